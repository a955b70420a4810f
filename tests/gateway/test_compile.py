"""Document -> snapshot: what did not change is the same object, no cycle holds an old one, and no step is long."""

from __future__ import annotations

import copy
import gc
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from fastgw.gateway.compile import compile_snapshot
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.model import Document
from fastgw.gateway.snapshot import Snapshot, release
from fastgw.model.route import Route
from tests.support.config import Config

PLAIN: Config = {
    "listeners": [{"address": "127.0.0.1:8080", "health_path": "/healthz"}, {"address": "127.0.0.1:8081"}],
    "instance": "test",
    "upstreams": {
        "app": {
            "targets": ["http://127.0.0.1:9001"],
            "timeouts": {"connect": "2s", "response": "3s", "idle": "4s", "total": "5s"},
        },
        "other": {"targets": ["http://127.0.0.1:9002"], "preserve_host": False},
    },
    "routes": [
        {"name": "one", "match": {"path": "/one/*"}, "upstream": "app"},
        {
            "name": "two",
            "match": {"path": "/two"},
            "upstream": "other",
            "max_body": "1KB",
            "max_in_flight": 7,
        },
        {
            "name": "static",
            "match": {"path": "/static"},
            "reply": {"status": 200, "body": "hé", "content_type": "text/plain"},
        },
    ],
}


@pytest.fixture
def plain() -> Config:
    return copy.deepcopy(PLAIN)


def document(plain: Config) -> Document:
    return load_plain(copy.deepcopy(plain), "test")


def compiled(plain: Config, version: int = 1, previous: Snapshot | None = None) -> Snapshot:
    steps = compile_snapshot(document(plain), version, previous)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            snapshot = stop.value
            assert isinstance(snapshot, Snapshot)
            return snapshot


def find(snapshot: Snapshot, path: bytes) -> object:
    return snapshot.table.find(b"a.example", b"GET", path, {})


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Only reference counts free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_route_has_what_its_options_say(plain: Config) -> None:
    snapshot = compiled(plain)
    one, two, static = (snapshot.routes[name] for name in ("one", "two", "static"))
    assert find(snapshot, b"/one/x") is one
    assert find(snapshot, b"/static") is static
    assert find(snapshot, b"/three") is None
    assert (one.upstream, one.preserve_host, one.max_body) == ("app", True, snapshot.server.max_body)
    assert (two.upstream, two.preserve_host, two.max_in_flight) == ("other", False, 7)
    assert two.max_body in (1000, 1024)
    assert len(two.chain) == 1
    assert (one.chain, one.reply, one.max_in_flight) == ((), None, 0)
    assert static.reply is not None
    assert (static.reply.status, static.reply.body, static.reply.content_type) == (
        200,
        "hé".encode(),
        b"text/plain",
    )
    assert static.upstream == ""


def test_timeouts_of_a_route_win_one_by_one(plain: Config) -> None:
    plain["routes"][0]["timeouts"] = {"response": "30s"}
    made = compiled(plain).routes["one"].timeouts
    assert (made.connect, made.response, made.idle, made.total) == (2.0, 30.0, 4.0, 5.0)
    made = compiled(PLAIN).routes["two"].timeouts
    assert made.total == 0.0


def test_the_snapshot_knows_its_listeners_and_proxies(plain: Config) -> None:
    plain["trusted_proxies"] = ["10.0.0.0/8", "fd00::/8"]
    snapshot = compiled(plain, 42)
    assert snapshot.version == 42
    assert snapshot.health_paths == (b"/healthz", b"")
    assert [str(network) for network in snapshot.trusted] == ["10.0.0.0/8", "fd00::/8"]
    assert snapshot.hash == snapshot.document.hash


def test_an_unchanged_document_keeps_every_object(plain: Config) -> None:
    first = compiled(plain)
    first.routes["one"].bound = bound = object()
    second = compiled(plain, 2, first)
    assert second.version == 2
    assert all(second.routes[name] is first.routes[name] for name in first.routes)
    assert all(second.upstreams[name] is first.upstreams[name] for name in first.upstreams)
    assert second.routes["one"].bound is bound
    assert find(second, b"/one/x") is first.routes["one"]


def test_a_changed_route_is_a_new_object_and_no_other_is(plain: Config) -> None:
    first = compiled(plain)
    plain["routes"][0]["max_body"] = "5KB"
    second = compiled(plain, 2, first)
    assert second.routes["one"] is not first.routes["one"]
    assert second.routes["two"] is first.routes["two"]
    assert second.upstreams["app"] is first.upstreams["app"]
    assert find(first, b"/one/x") is first.routes["one"]
    assert find(second, b"/one/x") is second.routes["one"]


@pytest.mark.parametrize(
    "change",
    [
        {"timeouts": {"response": "9s"}}, {"preserve_host": False}, {"max_in_flight": 3}, {"connections": {"max": 9}},
        {"targets": ["http://127.0.0.1:9009"]}, {"balance": "round_robin"},
    ],
)  # fmt: skip
def test_a_changed_upstream_recompiles_its_routes_and_no_others(plain: Config, change: Config) -> None:
    first = compiled(plain)
    plain["upstreams"]["app"].update(change)
    second = compiled(plain, 2, first)
    assert second.routes["one"] is not first.routes["one"]
    assert second.routes["two"] is first.routes["two"]
    assert second.routes["static"] is first.routes["static"]
    assert second.upstreams["app"] is not first.upstreams["app"]
    assert second.upstreams["other"] is first.upstreams["other"]
    if "timeouts" in change:
        assert second.routes["one"].timeouts.response == 9.0


@pytest.mark.parametrize("server", [{"max_body": "2MB"}, {"server_timing": True}])
def test_what_a_route_takes_from_the_server_recompiles_it(plain: Config, server: Config) -> None:
    first = compiled(plain)
    plain["server"] = server
    second = compiled(plain, 2, first)
    assert second.routes["one"] is not first.routes["one"]
    if "max_body" in server:
        assert second.routes["one"].max_body == second.server.max_body != first.server.max_body
        assert second.routes["two"].max_body == first.routes["two"].max_body


def test_what_no_route_takes_from_the_server_recompiles_none(plain: Config) -> None:
    first = compiled(plain)
    plain["server"] = {"keepalive_timeout": "7s", "header_timeout": "3s"}
    second = compiled(plain, 2, first)
    assert all(second.routes[name] is first.routes[name] for name in first.routes)
    assert second.keepalive_timeout == 7.0


def test_a_route_that_moved_to_another_upstream_is_new(plain: Config) -> None:
    first = compiled(plain)
    plain["routes"][0]["upstream"] = "other"
    second = compiled(plain, 2, first)
    assert second.routes["one"].upstream == "other"
    assert second.routes["one"] is not first.routes["one"]


def test_a_compile_that_is_given_up_half_way_changes_nothing(plain: Config) -> None:
    first = compiled(plain)
    before = dict(first.routes)
    plain["routes"][0]["max_body"] = "5KB"
    steps = compile_snapshot(document(plain), 2, first)
    next(steps)
    steps.close()
    assert first.routes == before
    assert find(first, b"/one/x") is before["one"]


# --- what is dropped is freed ---


class Watched:
    """Stands in a route's place for run-time state, and can be watched."""


def test_no_cycle_holds_a_snapshot_or_a_route(plain: Config, no_collection: None) -> None:
    plain["routes"][0]["rewrite"] = {
        "path": {"strip_prefix": "/one"},
        "request_headers": {"set": {"x-a": "1"}},
    }
    snapshot = compiled(plain)
    watches = []
    for route in snapshot.routes.values():
        route.bound = watched = Watched()
        watches.append(weakref.ref(watched))
        del watched, route
    assert all(watch() is not None for watch in watches)
    del snapshot
    assert [watch() for watch in watches] == [None] * len(watches)


def test_a_reload_frees_what_it_replaced_and_nothing_else(plain: Config, no_collection: None) -> None:
    first = compiled(plain)
    watches = {}
    for name, route in first.routes.items():
        route.bound = watched = Watched()
        watches[name] = weakref.ref(watched)
        del watched, route
    plain["routes"][0]["max_body"] = "5KB"
    second = compiled(plain, 2, first)
    for _ in release(first):
        pass
    del first
    assert watches["one"]() is None
    assert watches["two"]() is second.routes["two"].bound
    assert find(second, b"/two") is second.routes["two"]


def test_an_exchange_keeps_its_own_route_alive(plain: Config, no_collection: None) -> None:
    snapshot = compiled(plain)
    route = snapshot.routes["one"]
    for _ in release(snapshot):
        pass
    del snapshot
    assert isinstance(route, Route)
    assert (route.name, route.upstream) == ("one", "app")


def test_a_hundred_reloads_leave_no_garbage(plain: Config) -> None:
    documents = []
    for size in ("1KB", "2KB"):
        plain["routes"][0]["max_body"] = size
        documents.append(document(plain))

    def run(steps: Any) -> Any:
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return stop.value

    snapshot = run(compile_snapshot(documents[0], 0, None))
    gc.collect()
    for number in range(100):
        old, snapshot = snapshot, run(compile_snapshot(documents[number % 2], number, snapshot))
        run(release(old))
        del old
    assert gc.collect() == 0


# --- slices ---


def big(routes: int, upstreams: int) -> Config:
    return {
        "listeners": [{"address": "127.0.0.1:8080"}],
        "instance": "test",
        "upstreams": {
            f"u{number}": {"targets": [f"http://127.0.0.1:{1024 + number}"]} for number in range(upstreams)
        },
        "routes": [
            {"name": f"r{number}", "match": {"path": f"/p{number}/*"}, "upstream": f"u{number % upstreams}"}
            for number in range(routes)
        ],
    }


def median_of_slowest(steps: Any) -> tuple[float, int, Any]:
    """(the slowest step in seconds, how many steps, the result). CPU time of this thread: others may hold the machine."""
    slowest, count = 0.0, 0
    while True:
        before = time.thread_time()
        try:
            next(steps)
        except StopIteration as stop:
            return max(slowest, time.thread_time() - before), count, stop.value
        slowest = max(slowest, time.thread_time() - before)
        count += 1


def test_slices_stay_small() -> None:
    """Below a millisecond each on a quiet machine; three times that here, best of three, without the collector."""
    made = load_plain(big(1500, 1500), "test")
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        best_compile = best_again = best_release = 1.0
        for _ in range(3):
            slowest, count, snapshot = median_of_slowest(compile_snapshot(made, 1, None))
            assert count > 100
            best_compile = min(best_compile, slowest)
            slowest, _, again = median_of_slowest(compile_snapshot(made, 2, snapshot))
            best_again = min(best_again, slowest)
            del snapshot
            slowest, count, _ = median_of_slowest(release(again))
            assert count > 5
            best_release = min(best_release, slowest)
            del again
    finally:
        gc.enable()
        gc.unfreeze()
    assert max(best_compile, best_again, best_release) < 0.003, (best_compile, best_again, best_release)

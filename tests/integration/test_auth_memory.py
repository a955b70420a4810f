"""Floods of credentials that are all different: what a worker remembers of them is bounded, and nobody else waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.integration import issuers
from tests.integration.issuers import World, key
from tests.support import processes
from tests.support.client import request
from tests.support.gateway import Gateway
from tests.support.tokens import bearer
from tests.support.upstream import Upstream

WARM, ROUNDS, BATCH = 8, 14, 250  # of some 8 KB each: caches are full after 16 MB of them; 12 MB follow
SLACK = 8 << 20  # what a heap may grow besides: arenas, buffers, memos of heads


@pytest.fixture(scope="module")
def world() -> World:
    return issuers.make_world()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, world: World) -> Iterator[Gateway]:
    one = issuers.start(tmp_path_factory.mktemp("auth-memory"), upstream.url, world)
    yield one
    one.check_ledger()
    one.stop()


def flood(live: Gateway, path: str, fields_of: Callable[[int], list[str]], status: int) -> int:
    """Pipelined in batches; returns the growth of the worker from the moment when its caches are full."""
    pid = live.worker_pids()[0]
    before, number = 0, 0
    with live.client() as client:
        for turn in range(ROUNDS):
            for _ in range(BATCH // 25):
                fields = [fields_of(number + one) for one in range(25)]
                client.send(b"".join(request(path, fields=one) for one in fields))
                assert {client.read().status for _ in fields} == {status}
                number += 25
            if turn + 1 == WARM:
                before = processes.rss(pid)
    return processes.rss(pid) - before


def padded(world: World, number: int) -> str:
    return world.hs.token(sub=f"user-{number}", pad="x" * 5600)


def test_invalid_tokens_leave_nothing_behind(live: Gateway, world: World) -> None:
    def wrong(number: int) -> list[str]:
        return bearer(padded(world, number)[:-6] + "AAAAAA")

    assert flood(live, "/hs/flood", wrong, 401) < SLACK


def test_unknown_keys_leave_nothing_behind(live: Gateway) -> None:
    assert flood(live, "/key/flood", lambda number: key(f"{number}-" + "k" * 8000), 401) < SLACK


def test_valid_tokens_are_remembered_within_bounds(live: Gateway, world: World) -> None:
    assert flood(live, "/hs/good", lambda number: bearer(padded(world, number)), 200) < SLACK


def test_honest_callers_do_not_wait_for_a_flood(live: Gateway, world: World) -> None:
    """Beside a client that pipelines wrong tokens without a pause."""
    good, wrong = bearer(world.rs.token()), bearer(world.rs.token()[:-6] + "AAAAAA")
    spent = []
    with live.client() as honest, live.client() as abusive:
        assert honest.get("/rs/warm", fields=good).status == 200
        for _ in range(40):
            abusive.send(b"".join(request("/rs/wrong", fields=wrong) for _ in range(25)))
            start = time.monotonic()
            assert honest.get("/rs/honest", fields=good).status == 200
            spent.append(time.monotonic() - start)
            assert {abusive.read().status for _ in range(25)} == {401}
    assert sorted(spent)[len(spent) // 2] < 0.05

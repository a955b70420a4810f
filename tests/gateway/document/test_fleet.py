from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastgw.clock import ManualClock
from fastgw.config.errors import ConfigError
from fastgw.gateway.document.fleet import (
    MACHINE,
    FleetVersions,
    completed,
    fleet_hash,
    fleet_part,
    laid_over,
    own_part,
    own_part_of,
    version_hash,
)
from fastgw.gateway.document.load import load_parts, load_plain
from fastgw.gateway.document.model import Document
from fastgw.gateway.document.options import BaseOptions
from fastgw.gateway.document.publish import current
from fastgw.versions.redis_server import RedisServer
from fastgw.versions.redis_store import RedisStore
from tests.support.valkey import Valkey

REDIS = {"store": "redis", "redis": {"url": "redis://127.0.0.1:1"}}
OTHER_MACHINE: dict[str, Any] = {
    "instance": "another",
    "workers": 7,
    "listeners": [{"address": "127.0.0.1:9999"}],
    "admin": {"address": "127.0.0.1:9998"},
    "log": {"access": "none"},
    "redis": {"url": "redis://elsewhere:1"},
}


@pytest.fixture
def plain(plain: dict[str, Any]) -> dict[str, Any]:
    return {**plain, **REDIS}


def test_the_keys_exist() -> None:
    assert set(MACHINE) <= set(BaseOptions.model_fields)


def test_a_document_is_its_two_halves(plain: dict[str, Any]) -> None:
    own, common = own_part(plain), fleet_part(plain)
    assert own.keys() | common.keys() == plain.keys()
    assert not own.keys() & common.keys()
    assert laid_over(common, own) == plain
    assert laid_over({**plain, **OTHER_MACHINE}, own) == plain


def test_machines_that_differ_only_in_what_is_theirs_have_one_hash(plain: dict[str, Any]) -> None:
    one, other = load_plain(plain, "one"), load_plain({**plain, **OTHER_MACHINE}, "other")
    assert one.hash != other.hash
    assert fleet_hash(one) == fleet_hash(other) == fleet_hash(load_parts(one.parts()))
    assert own_part_of(load_parts(other.parts())) == own_part({**plain, **OTHER_MACHINE})
    changed = load_plain({**plain, "drain": {"timeout": "3s"}}, "changed")
    assert fleet_hash(changed) != fleet_hash(one)
    assert version_hash(one) == fleet_hash(one)
    alone = load_plain({**plain, "store": "file:x"}, "alone")
    assert version_hash(alone) == alone.hash


# --- a publish for all ---


def test_a_document_may_leave_out_what_is_the_machines_own(plain: dict[str, Any]) -> None:
    assert completed(fleet_part(plain), own_part(plain), "it") == plain
    assert completed(dict(plain), own_part(plain), "it") == plain


@pytest.mark.parametrize("key", [key for key in MACHINE if key != "store"])
def test_a_document_that_changes_it_is_refused(plain: dict[str, Any], key: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"it: {key}: it is each machine's own .* change it in the machine's file"
    ):
        completed({**plain, key: OTHER_MACHINE[key]}, own_part(plain), "it")


def test_all_that_is_changed_is_said_at_once(plain: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        completed({**plain, "store": "file:x", "log": {"access": "none"}}, own_part(plain), "it")
    assert [problem.path for problem in caught.value.problems] == ["log", "store"]


# --- the store as one gateway sees it ---


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture
def inner(valkey: Valkey) -> Iterator[RedisStore]:
    valkey.client().flushall()
    server = RedisServer(valkey.url, valkey.url)
    yield RedisStore(server, "fastgw:", ManualClock())
    server.close()


def test_what_is_added_has_nothing_of_the_machine_and_what_is_read_has(
    inner: RedisStore, plain: dict[str, Any]
) -> None:
    one, other = load_plain(plain, "one"), load_plain({**plain, **OTHER_MACHINE}, "other")
    mine = FleetVersions(inner, lambda: own_part_of(one))
    theirs = FleetVersions(inner, lambda: own_part_of(other))
    added = mine.add(one.plain, one.hash, "api", "", True, None, 0)
    assert added.plain == one.plain
    assert added.hash == fleet_hash(one)
    kept = inner.newest()
    assert kept is not None
    assert kept.plain == fleet_part(plain)
    for read in (theirs.newest(), theirs.newest_from_file(), theirs.get(1)):
        assert read is not None
        assert load_plain(read.plain, "read").hash == other.hash
    assert theirs.get(2) is None
    assert theirs.newest_number() == 1
    assert [entry.hash for entry in theirs.list()] == [added.hash]


def test_one_document_on_two_machines_is_one_version(inner: RedisStore, plain: dict[str, Any]) -> None:
    one, other = load_plain(plain, "one"), load_plain({**plain, **OTHER_MACHINE}, "other")
    mine = FleetVersions(inner, lambda: own_part_of(one))
    theirs = FleetVersions(inner, lambda: own_part_of(other))
    assert current(mine, one, "start")[0].number == 1
    version, document = current(theirs, other, "start")
    assert (version.number, document) == (1, other)
    # Published by one through the API: the other serves it with what is its own, also what its file says since then.
    changed = load_plain({**plain, "drain": {"timeout": "3s"}}, "changed")
    mine.add(changed.plain, changed.hash, "api", "", False)
    moved = load_plain({**plain, **OTHER_MACHINE, "workers": 9}, "moved")
    version, document = current(theirs, moved, "start")
    assert version.number == 2
    assert (document.base.drain.timeout, document.base.workers) == (3.0, 9)
    assert document.base.instance == "another"


def test_files_that_are_changed_one_after_the_other(inner: RedisStore, plain: dict[str, Any]) -> None:
    def file(name: str, timeout: str) -> Document:
        return load_plain({**plain, "instance": name, "drain": {"timeout": timeout}}, name)

    def serve(name: str, timeout: str) -> tuple[int, float]:
        written = file(name, timeout)
        version, document = current(FleetVersions(inner, lambda: own_part_of(written)), written, "start")
        return version.number, document.base.drain.timeout

    assert [serve("a", "1s"), serve("b", "1s")] == [(1, 1.0), (1, 1.0)]
    assert serve("a", "2s") == (2, 2.0)
    # b starts again before its own file has been changed.
    assert serve("b", "1s") == (2, 2.0)
    assert [serve("b", "2s"), serve("a", "2s")] == [(2, 2.0), (2, 2.0)]
    # Back again, on purpose.
    assert serve("a", "1s") == (3, 1.0)
    assert serve("b", "2s") == (3, 1.0)
    assert [serve("b", "1s"), serve("a", "1s")] == [(3, 1.0), (3, 1.0)]
    # Of a machine that nobody knows, the file counts.
    assert serve("c", "2s") == (4, 2.0)


# --- what the file may say ---


def test_a_fleet_needs_a_store_that_others_reach(problems: Callable[..., list[str]]) -> None:
    listeners = "listeners: [{address: 127.0.0.1:1}]\n"
    assert problems(listeners + "store: redis\n") == [
        "gateway.yaml:2: store: redis: there is no redis key that says where it is; write redis: {url: redis://host:port}"
    ]
    (problem,) = problems(listeners + "store: redis\nredis: {url: embedded}\n")
    assert "the embedded server is this machine's own" in problem
    (problem,) = problems(listeners + "store: redis\nredis:\n")
    assert "there is no redis key" in problem
    assert problems(listeners + "store: redis\nredis: {url: redis://127.0.0.1:1}\n") == []
    assert problems(listeners + "store: file:x\nredis: {url: embedded}\n") == []

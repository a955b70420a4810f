from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from fastgw.clock import ManualClock
from fastgw.config.errors import ConfigError, Problem
from fastgw.control.fleet import Fleet, Sharing
from fastgw.control.outcome import Outcome
from fastgw.control.published import History, Published
from fastgw.gateway.document.fleet import FleetVersions, fleet_hash, own_part_of
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.model import Document
from fastgw.versions.redis_server import RedisServer
from fastgw.versions.redis_store import RedisStore
from fastgw.versions.register import Register
from fastgw.versions.version import Version
from tests.control.harness import ReadableLog, make_document
from tests.support.valkey import Valkey

TIMEOUT = 0.3


@pytest.fixture(scope="module")
def shared_valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture
def valkey(shared_valkey: Valkey) -> Iterator[Valkey]:
    shared_valkey.client().flushall()
    yield shared_valkey
    shared_valkey.resume()


class Machine:
    """A gateway of the fleet: its history, and a publisher that does as it is told."""

    def __init__(self, valkey: Valkey, name: str, log: ReadableLog, version: int = 0) -> None:
        self.file = make_document(instance=name, store="redis", redis={"url": valkey.url})
        self.history = History(Published(version, self.file, self.file.parts()))
        self.server = RedisServer(valkey.url, valkey.url, TIMEOUT)
        self.store = FleetVersions(RedisStore(self.server, "fastgw:"), lambda: own_part_of(self.document))
        self.register = Register(self.server, "fastgw:")
        self.clock = ManualClock(wall=1000.0)
        self.reloads: list[str] = []
        self.refuses: Exception | None = None
        self.readable = True  # the file
        self.followed = asyncio.Event()
        self.fleet = Fleet(
            Sharing(self.store, self.register), self, self.history, f"{name}/1",
            applied=self.applied, clock=self.clock, log=log, from_store=version > 0,
        )  # fmt: skip

    @property
    def document(self) -> Document:
        return self.history.current.document

    async def applied(self, version: int, patience: float) -> tuple[int, int]:
        return (2, 2)

    async def reload(self, by: str) -> Outcome:
        self.reloads.append(by)
        if self.readable:
            number = await asyncio.to_thread(self.store.newest_number)
            if not number:
                await self.publish()
        return Outcome(0.0, by, self.readable, self.history.current.version)

    async def publish(self, **more: Any) -> int:
        document = load_plain({**self.document.plain, **more}, "test")
        added = await asyncio.to_thread(self.store.add, document.plain, document.hash, "api", "", False)
        self.history.publish(Published(added.number, document, document.parts()))
        return added.number

    async def follow(self, version: Version) -> bool:
        if self.refuses is not None:
            raise self.refuses
        document = load_plain(version.plain, "test")
        self.history.publish(Published(version.number, document, document.parts()))
        self.followed.set()
        return True


MakeMachine = Callable[..., Machine]


@pytest.fixture
def machine(valkey: Valkey, log: ReadableLog) -> Iterator[MakeMachine]:
    made: list[Machine] = []

    def make(name: str, version: int = 0) -> Machine:
        made.append(Machine(valkey, name, log, version))
        return made[-1]

    yield make
    for one in made:
        one.server.close()


async def seen(one: Machine) -> dict[str, dict[str, Any]]:
    return {each["instance"]: each for each in (await one.fleet.plain())["instances"]}


async def test_what_one_publishes_the_other_serves_with_what_is_its_own(machine: MakeMachine) -> None:
    a, b = machine("a"), machine("b")
    await a.fleet.look()
    await b.fleet.look()
    assert (a.history.current.version, b.history.current.version) == (1, 1)
    assert await a.publish(drain={"timeout": "3s"}) == 2
    await a.fleet.look()
    await b.fleet.look()
    assert b.history.current.version == 2
    assert b.document.base.drain.timeout == 3.0
    assert b.document.base.instance == "b"
    for one in (a, b):
        found = await one.fleet.plain()
        assert found["store"] == {"kind": "redis", "up": True, "error": ""}
        assert [(each["instance"], each["version"], each["me"]) for each in found["instances"]] == [
            ("a", 2, one is a),
            ("b", 2, one is b),
        ]
        assert {each["hash"] for each in found["instances"]} == {fleet_hash(a.document)}
        assert found["instances"][0]["workers"] == {"serving": 2, "of": 2}
        assert found["instances"][0]["id"] == "a/1"


async def test_nothing_new_is_not_followed_again(machine: MakeMachine) -> None:
    a = machine("a")
    await a.fleet.look()
    a.refuses = AssertionError("there is nothing to follow")
    await a.fleet.look()
    assert (await seen(a))["a"]["error"] == ""


async def test_a_version_that_is_refused_here_is_shown_and_the_next_one_is_tried(
    machine: MakeMachine, log: ReadableLog
) -> None:
    a, b = machine("a"), machine("b")
    await a.fleet.look()
    await b.fleet.look()
    b.refuses = ConfigError([Problem("version 2 of the store", 0, "future", "unknown key")])
    await a.publish(drain={"timeout": "3s"})
    await b.fleet.look()
    await b.fleet.look()
    assert b.history.current.version == 1
    error = "version 2 of the store: future: unknown key"
    assert (await seen(a))["b"]["error"] == (await seen(b))["b"]["error"] == error
    assert [line for line in log.lines() if "refused here" in line] == [
        f"control: version 2 of the fleet is refused here, version 1 stays: {error}"
    ]
    b.refuses = None
    await a.publish(drain={"timeout": "4s"})
    await b.fleet.look()
    assert b.history.current.version == 3
    assert (await seen(a))["b"]["error"] == ""


async def test_a_defect_that_shows_only_here_is_shown_too(machine: MakeMachine) -> None:
    a, b = machine("a"), machine("b")
    await a.fleet.look()
    b.refuses = ZeroDivisionError("ours")
    await b.fleet.look()
    assert (await seen(b))["b"]["error"] == "internal error (ZeroDivisionError: ours)"


async def test_a_store_that_is_away_is_said_once_and_caught_up_with(
    machine: MakeMachine, valkey: Valkey, log: ReadableLog
) -> None:
    a, b = machine("a"), machine("b")
    await a.fleet.look()
    await b.fleet.look()
    log.lines()
    valkey.stall()
    await b.fleet.look()
    await b.fleet.look()
    found = await b.fleet.plain()
    assert found["store"]["up"] is False
    assert "cannot be used: TimeoutError" in found["store"]["error"]
    assert [each["instance"] for each in found["instances"]] == ["b"]
    assert b.history.current.version == 1
    (line,) = log.lines()
    assert "TimeoutError" in line
    assert line.endswith("what is served stays")
    valkey.resume()
    await a.publish(drain={"timeout": "3s"})
    await b.fleet.look()
    assert b.history.current.version == 2
    assert log.lines() == ["control: the version store can be used again"]
    assert (await b.fleet.plain())["store"] == {"kind": "redis", "up": True, "error": ""}


async def test_a_store_that_takes_nothing_is_followed_all_the_same(
    machine: MakeMachine, valkey: Valkey, log: ReadableLog
) -> None:
    a, b = machine("a"), machine("b")
    await a.fleet.look()
    await b.fleet.look()
    await a.publish(drain={"timeout": "3s"})
    log.lines()
    valkey.client().config_set("maxmemory", "1")
    try:
        await b.fleet.look()
        await b.fleet.look()
        b.clock.advance(2.0)
        await b.fleet.look()
    finally:
        valkey.client().config_set("maxmemory", "0")
    assert b.history.current.version == 2
    assert (await b.fleet.plain())["store"]["up"] is False
    (line,) = log.lines()
    assert "OutOfMemoryError" in line
    await b.fleet.look()
    assert log.lines() == ["control: the version store can be used again"]


async def test_a_start_without_the_store_reads_the_file_again_when_it_is_there(
    machine: MakeMachine, valkey: Valkey
) -> None:
    valkey.stall()
    a = machine("a")
    await a.fleet.look()
    assert a.reloads == []
    assert (await seen(a))["a"]["version"] == 0
    valkey.resume()
    await a.fleet.look()
    await a.fleet.look()
    assert a.reloads == ["the store can be reached"]
    assert a.history.current.version == 1
    # Whoever got its version from the store has asked it already.
    b = machine("b", version=1)
    await b.fleet.look()
    assert b.reloads == []


async def test_a_file_that_is_broken_meanwhile_does_not_keep_it_from_following(
    machine: MakeMachine, valkey: Valkey
) -> None:
    a, b = machine("a"), machine("b")
    await a.fleet.look()
    b.readable = False
    await b.fleet.look()
    await b.fleet.look()
    assert b.reloads == ["the store can be reached"]
    assert b.history.current.version == 1


async def test_a_store_that_lost_everything_gets_what_is_served(machine: MakeMachine, valkey: Valkey) -> None:
    a = machine("a", version=7)
    await a.fleet.look()
    assert a.history.current.version == 7
    b = machine("b")
    version = await asyncio.to_thread(b.store.newest)
    assert version is not None
    assert (version.number, version.hash) == (7, fleet_hash(a.document))
    await b.fleet.look()
    assert b.history.current.version == 7


async def test_who_ends_is_forgotten_at_once(machine: MakeMachine) -> None:
    a, b = machine("a"), machine("b")
    await a.fleet.look()
    await b.fleet.look()
    assert set(await seen(a)) == {"a", "b"}
    await b.fleet.close()
    assert set(await seen(a)) == {"a"}


async def test_the_end_does_not_wait_for_a_store_that_is_away(machine: MakeMachine, valkey: Valkey) -> None:
    a = machine("a")
    await a.fleet.look()
    valkey.stall()
    await a.fleet.close()
    await a.fleet.look()
    valkey.resume()
    await a.fleet.close()


async def test_a_line_is_written_when_it_changes_and_now_and_then(machine: MakeMachine) -> None:
    a = machine("a")
    await a.fleet.look()
    a.register.forget("a/1")
    await a.fleet.look()
    assert a.register.read() == []
    a.clock.advance(2.0)
    await a.fleet.look()
    assert len(a.register.read()) == 1
    a.register.forget("a/1")
    await a.publish(drain={"timeout": "3s"})
    await a.fleet.look()
    assert len(a.register.read()) == 1


async def test_a_strange_line_does_not_break_the_list(machine: MakeMachine) -> None:
    a = machine("a")
    await a.fleet.look()
    a.register.write("z/1", {"instance": None, "workers": [], "version": "x", "at": {}, "more": 1})
    strange = (await a.fleet.plain())["instances"][1]
    mine = (await a.fleet.plain())["instances"][0]
    assert strange.keys() == mine.keys()
    assert {key: type(value) for key, value in strange.items()} == {
        key: type(value) for key, value in mine.items()
    }


async def test_a_gateway_with_versions_of_its_own_is_alone(machine: MakeMachine, log: ReadableLog) -> None:
    a = machine("a", version=3)
    alone = Fleet(None, a, a.history, "a/1", applied=a.applied, clock=a.clock, log=log)
    await alone.run()
    await alone.close()
    found = await alone.plain()
    assert found["store"] == {"kind": "file", "up": True, "error": ""}
    (mine,) = found["instances"]
    assert (mine["instance"], mine["version"], mine["hash"], mine["me"]) == (
        "a",
        3,
        fleet_hash(a.document),
        True,
    )


async def test_it_asks_again_and_again(machine: MakeMachine) -> None:
    a, b = machine("a"), machine("b")
    running = asyncio.ensure_future(b.fleet.run())
    try:
        await a.fleet.look()
        number = await a.publish(drain={"timeout": "3s"})
        async with asyncio.timeout(2):
            while b.history.current.version != number:
                b.followed.clear()
                await b.followed.wait()
    finally:
        running.cancel()


async def test_a_defect_does_not_end_the_following(machine: MakeMachine, log: ReadableLog) -> None:
    a = machine("a", version=1)
    said = asyncio.Event()

    async def broken(version: int, patience: float) -> tuple[int, int]:
        said.set()
        raise ZeroDivisionError("ours")

    fleet = Fleet(
        Sharing(a.store, a.register),
        a,
        a.history,
        "a/1",
        applied=broken,
        clock=a.clock,
        log=log,
        from_store=True,
    )
    running = asyncio.ensure_future(fleet.run())
    await said.wait()
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
    assert log.lines()[0] == "control: following the fleet failed"


def test_the_hash_of_a_put_back_version_is_the_fleets(machine: MakeMachine) -> None:
    a = machine("a", version=2)
    version = Version(2, "h", 1.0, "x", "", False, a.document.plain)
    a.store.put_back(replace(version, hash=fleet_hash(a.document)))
    found = a.store.get(2)
    assert found is not None
    assert found.plain == a.document.plain

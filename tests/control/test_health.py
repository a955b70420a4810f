"""The steward of health, with checks whose verdicts the test gives and pauses that it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fastgw.clock import ManualClock
from fastgw.control.health import CONCURRENT, HealthSteward
from fastgw.control.health_check import Probe, Verdict
from fastgw.control.targets import Targets
from fastgw.gateway.document.model import Document
from fastgw.ipc import messages
from fastgw.ipc.messages import Message
from fastgw.upstream.place import Place

Make = Callable[..., Document]

GOOD = Verdict(True, "answered 200")
BAD = Verdict(False, "connection refused")
HEALTH = {"interval": "2s", "timeout": "1s", "healthy_after": 2, "unhealthy_after": 3, "path": "/up"}
ONE = Place("10.0.0.1", 80, "10.0.0.1")


class World:
    def __init__(self, log: Any) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.took = 0.0
        self.probes: asyncio.Queue[Probe] = asyncio.Queue()
        self.told: list[Message] = []
        self.sleeping: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()
        self.clock = ManualClock()
        self.targets = Targets()
        self.random = 0.5
        self.health = HealthSteward(
            self.targets, self.check, self.told.append, log, self.clock, lambda: self.random, self.sleep
        )

    async def check(self, probe: Probe) -> Verdict:
        self.probes.put_nowait(probe)
        self.clock.advance(self.took)
        return self.verdicts.get(probe.address, GOOD)

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        self.sleeping.put_nowait((seconds, event))
        await event.wait()

    async def pass_time(self, times: int = 1) -> float:
        """End the next pause; how long it was to be."""
        seconds = 0.0
        for _ in range(times):
            seconds, event = await self.sleeping.get()
            event.set()
        return seconds

    async def asked(self, count: int) -> list[Probe]:
        """End so many pauses; the checks that follow."""
        await self.pass_time(count)
        return [await self.probes.get() for _ in range(count)]

    async def rounds(self, verdict: Verdict, times: int) -> list[Message]:
        """So many checks of the only target end like this; what was told meanwhile."""
        before = len(self.told)
        for _ in range(times):
            self.verdicts["10.0.0.1"] = verdict
            await self.pass_time()
            pause = await self.sleeping.get()  # the check is done
            self.sleeping.put_nowait(pause)
        return self.told[before:]

    def follow(self, document: Document) -> None:
        self.targets.follow(document)
        self.health.follow()

    def state(self, place: Place = ONE) -> tuple[bool, str]:
        watched = self.health.of("a", place)
        assert watched is not None
        return watched.healthy, watched.cause


@pytest.fixture
async def world(log: Any) -> AsyncIterator[World]:
    one = World(log)
    yield one
    await one.health.close()


def checked(*urls: str, **health: Any) -> dict[str, Any]:
    return {"a": {"targets": list(urls) or ["http://10.0.0.1:80"], "health": {**HEALTH, **health}}}


def told(healthy: bool, cause: str) -> Message:
    return messages.health("a", "10.0.0.1", 80, "10.0.0.1", healthy, cause)


async def test_a_target_is_healthy_until_checks_say_otherwise(
    world: World, document: Make, log: Any
) -> None:
    world.follow(document(upstreams=checked()))
    assert world.state() == (True, "not checked yet")
    assert await world.rounds(BAD, 2) == []
    assert world.state()[0]
    assert await world.rounds(BAD, 1) == [told(False, "connection refused")]
    assert world.state() == (False, "connection refused")
    assert log.lines() == [
        "control: 10.0.0.1:80 of a is unhealthy after 3 checks in a row, the last one: connection refused"
    ]
    assert await world.rounds(BAD, 3) == []  # only changes are told


async def test_it_is_healthy_again_after_so_many_good_ones_in_a_row(world: World, document: Make, log: Any) -> None:
    world.follow(document(upstreams=checked()))
    await world.rounds(BAD, 3)
    log.lines()
    assert await world.rounds(GOOD, 1) == []
    assert await world.rounds(BAD, 1) == []
    assert await world.rounds(GOOD, 1) == []  # counted from the start
    assert await world.rounds(GOOD, 1) == [told(True, "answered 200")]
    assert "healthy again after 2 checks" in log.lines()[0]


async def test_failures_must_follow_each_other(world: World, document: Make) -> None:
    world.follow(document(upstreams=checked()))
    for _ in range(4):
        await world.rounds(BAD, 2)
        await world.rounds(GOOD, 1)
    assert all(message["healthy"] for message in world.told) and world.state()[0]


async def test_workers_that_outlived_a_control_process_are_told_what_is_true_now(
    world: World, document: Make, log: Any
) -> None:
    world.follow(document(upstreams=checked()))
    assert await world.rounds(GOOD, 2) == [told(True, "answered 200")]
    assert await world.rounds(GOOD, 3) == []
    assert not log.lines()  # nothing has changed


async def test_what_is_asked_is_what_the_document_says(world: World, document: Make) -> None:
    world.follow(
        document(
            upstreams=checked("http://10.0.0.1:80", "http://[::1]:81", "unix:/run/a", statuses=[200, 204])
        )
    )
    probes = await world.asked(3)
    common = {"path": "/up", "timeout": 1.0, "statuses": (200, 204)}
    assert sorted(probes, key=lambda probe: probe.port) == sorted(
        [
            Probe("10.0.0.1", 80, "", b"10.0.0.1", **common),  # type: ignore[arg-type]  # a mixed dict
            Probe("", 80, "/run/a", b"localhost", **common),  # type: ignore[arg-type]  # the same
            Probe("::1", 81, "", b"[::1]:81", **common),  # type: ignore[arg-type]  # the same
        ],
        key=lambda probe: probe.port,
    )


async def test_the_first_check_comes_at_once_and_the_rest_at_the_interval(world: World, document: Make) -> None:
    world.follow(document(upstreams=checked()))
    assert await world.pass_time() == 0.1  # half of a tenth of the interval
    assert await world.pass_time() == 2.0
    world.random = 1.0
    assert await world.pass_time() == pytest.approx(2.2)
    world.random, world.took = 0.0, 0.8
    assert await world.pass_time() == pytest.approx(1.0)  # of 1.8, which began before the check
    world.took = 5.0
    assert await world.pass_time() == 0.0


async def test_a_long_interval_does_not_delay_the_first_check(world: World, document: Make) -> None:
    world.random = 1.0
    world.follow(document(upstreams=checked(interval="1h", timeout="1s")))
    assert await world.pass_time() == 0.5


async def test_upstreams_without_health_are_left_alone(world: World, document: Make) -> None:
    world.follow(document(upstreams={"a": {"targets": ["http://10.0.0.1:80"]}}))
    assert world.health.of("a", ONE) is None and world.sleeping.empty()


async def test_a_reload_keeps_what_is_known(world: World, document: Make) -> None:
    world.follow(document(upstreams=checked()))
    await world.rounds(BAD, 3)
    world.follow(document(upstreams=checked("http://10.0.0.2:80", "http://10.0.0.1:80", path="/other")))
    assert world.state() == (False, "connection refused")
    assert len(world.told) == 1
    while not world.probes.empty():
        world.probes.get_nowait()
    assert {probe.path for probe in await world.asked(2)} == {"/other"}


@pytest.mark.parametrize("after", [{"targets": ["http://10.0.0.1:80"]}, {"targets": ["http://10.0.0.9:80"]}])
async def test_a_sick_target_that_nobody_checks_any_more_is_not_sick_for_ever(
    world: World, document: Make, after: dict[str, Any]
) -> None:
    world.follow(document(upstreams=checked()))
    await world.rounds(BAD, 3)
    world.follow(document(upstreams={"a": after}))
    assert world.told[-1] == told(True, "not checked any more")
    assert not world.health.wants(world.told[-1])


async def test_each_address_of_a_name_is_checked_as_long_as_it_is_one(world: World, document: Make) -> None:
    world.follow(document(upstreams=checked("http://svc:80")))
    assert world.sleeping.empty()
    world.targets.resolved(messages.addresses("a", "svc", 80, ["10.0.0.1", "10.0.0.2"], None))
    world.health.follow()
    probes = await world.asked(2)
    assert {(probe.address, probe.host_field) for probe in probes} == {("10.0.0.1", b"svc"), ("10.0.0.2", b"svc")}
    assert world.health.wants(messages.health("a", "svc", 80, "10.0.0.2", True, ""))
    world.targets.resolved(messages.addresses("a", "svc", 80, ["10.0.0.2"], None))
    world.health.follow()
    assert world.health.of("a", Place("svc", 80, "10.0.0.1")) is None
    assert world.health.of("a", Place("svc", 80, "10.0.0.2")) is not None
    assert not world.health.wants(messages.health("a", "svc", 80, "10.0.0.1", True, ""))


async def test_many_targets_are_not_checked_all_at_once(document: Make, log: Any) -> None:
    busy = most = done = 0
    go_on = asyncio.Event()
    over = asyncio.Event()

    async def check(probe: Probe) -> Verdict:
        nonlocal busy, most, done
        busy += 1
        most = max(most, busy)
        if busy == CONCURRENT:
            go_on.set()
        await go_on.wait()
        busy -= 1
        done += 1
        if done == 300:
            over.set()
        return GOOD

    targets = Targets()
    health = HealthSteward(targets, check, lambda message: None, log, ManualClock(), lambda: 0.0)
    targets.follow(document(upstreams=checked(*(f"http://10.0.1.{n}:80" for n in range(1, 151)),
                                              *(f"http://10.0.2.{n}:80" for n in range(1, 151)))))  # fmt: skip
    health.follow()
    async with asyncio.timeout(10):
        await over.wait()
    assert most == CONCURRENT
    await health.close()

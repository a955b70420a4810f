"""The worker's side of its channel: what it takes for its data plane, and what it waits for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from fastgw.account.series import SeriesMemory
from fastgw.clock import ManualClock
from fastgw.ipc import messages
from fastgw.ipc.channel import Channel, Received, pair
from fastgw.worker.control_link import LIVE_BACKLOG, LONGEST_REFUSAL, ControlLink

URL, OTHER = "https://id/jwks", "https://other/jwks"


class Plane:
    """What the link hands on."""

    def __init__(self) -> None:
        self.keys: list[tuple[str, list[dict[str, Any]], str | None]] = []
        self.ask: Any = None
        self.tell: Any = None
        self.health: list[tuple[Any, ...]] = []
        self.forced: list[tuple[Any, ...]] = []
        self.watched: list[Any] = []
        self.tell_live: Any = None
        self.heard = asyncio.Event()

    def log(self, line: str) -> None:
        pass

    def set_keys(self, issuer: str, keys: list[dict[str, Any]], error: str | None) -> None:
        self.keys.append((issuer, keys, error))

    def on_unknown_key(self, tell: Any) -> None:
        self.ask = tell

    def on_breaker(self, tell: Any) -> None:
        self.tell = tell

    def on_live(self, tell: Any) -> None:
        self.tell_live = tell

    def set_watch(self, condition: Any) -> None:
        self.watched.append(condition)
        self.heard.set()

    def breakers(self) -> list[messages.Message]:
        return [messages.breaker("app", "", "open", "failures", 1.0, 2.0, False)]

    def set_health(self, *said: Any) -> None:
        self.health.append(said)
        self.heard.set()

    def force_breaker(self, *said: Any) -> None:
        self.forced.append(said)
        self.heard.set()


def base(*urls: str | None) -> SimpleNamespace:
    issuers = {str(number): SimpleNamespace(jwks_url=url) for number, url in enumerate(urls)}
    return SimpleNamespace(issuers=issuers, redis=None)


class World:
    def __init__(self, *urls: str | None) -> None:
        self.plane = Plane()
        self.came = asyncio.Event()
        birth: Any = SimpleNamespace(
            index=0,
            series=SeriesMemory(2, 4096, 65536),
            document=SimpleNamespace(hash="h", base=base(*urls)),
            snapshot=SimpleNamespace(version=1, hash="h"),
            build=None,
            limit_store=None,
        )
        plane: Any = self.plane
        self.link = ControlLink(
            birth, asyncio.get_running_loop(), ManualClock(), plane, on_addresses=self.came.set, on_lost=self.came.set
        )
        ours, theirs = pair()
        self.control = Channel(theirs)
        self.link.attach(ours.detach())

    async def heard(self) -> list[Received]:
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.control.fileno(), readable.set)
        async with asyncio.timeout(5):
            await readable.wait()
        loop.remove_reader(self.control.fileno())
        return self.control.receive()

    async def say(self, message: messages.Message) -> None:
        self.came.clear()
        self.control.send(message)
        async with asyncio.timeout(5):
            await self.came.wait()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    one = World(URL, None, OTHER)
    yield one
    one.control.close()
    async with asyncio.timeout(5):
        await one.came.wait()


async def test_it_waits_until_control_has_said_something_about_every_source(world: World) -> None:
    assert world.link.needs_keys()
    await world.say(messages.keys(URL, [{"kty": "EC"}], None))
    assert world.link.needs_keys()
    await world.say(messages.keys(OTHER, [], "cannot connect"))
    assert not world.link.needs_keys()
    assert world.plane.keys == [(URL, [{"kty": "EC"}], None), (OTHER, [], "cannot connect")]


async def test_keys_that_it_was_born_with_count(world: World) -> None:
    for url in (URL, OTHER):
        world.link.set_keys(messages.keys(url, [{"kty": "EC"}, 3], None))  # type: ignore[list-item]
    assert not world.link.needs_keys()
    assert world.plane.keys[0] == (URL, [{"kty": "EC"}], None)
    world.came.set()


async def test_an_unknown_key_is_asked_for(world: World) -> None:
    hello, _ = await world.heard()
    assert hello.message == messages.hello(0, os.getpid(), 1, "h")
    world.plane.ask(URL)
    (asked,) = await world.heard()
    assert asked.message == messages.unknown_key(URL)
    world.came.set()


async def test_without_issuers_nothing_is_waited_for() -> None:
    one = World()
    assert not one.link.needs_keys()
    one.control.close()
    async with asyncio.timeout(5):
        await one.came.wait()


async def test_health_and_an_operators_word_reach_the_data_plane(world: World) -> None:
    world.control.send(messages.health("app", "app.test", 80, "192.0.2.1", False, "status 500"))
    world.control.send(messages.force_breaker("app", "192.0.2.1:80", "open", 99.5))
    async with asyncio.timeout(5):
        while not world.plane.forced:
            await world.plane.heard.wait()
            world.plane.heard.clear()
    assert world.plane.health == [("app", "app.test", 80, "192.0.2.1", False)]
    assert world.plane.forced == [("app", "192.0.2.1:80", "open", 99.5)]


async def test_control_learns_of_open_circuits_at_hello_and_of_every_change(world: World) -> None:
    heard = await world.heard()
    assert [one.type for one in heard] == ["hello", "breaker"]
    world.plane.tell(messages.breaker("app", "", "closed", "2 probes succeeded", 3.0, 0.0, False))
    (again,) = await world.heard()
    assert (again.type, again.message["state"]) == ("breaker", "closed")


async def test_who_looks_on_comes_and_goes_with_control(world: World) -> None:
    assert world.plane.watched == [None]  # nobody, until this control process says so
    condition = {"troubled": True, "routes": None, "slower": 0.0, "rate": 100}
    world.control.send(messages.watch(condition))
    async with asyncio.timeout(5):
        while len(world.plane.watched) < 2:
            await world.plane.heard.wait()
            world.plane.heard.clear()
    assert world.plane.watched[1] == condition
    ours, theirs = pair()
    world.link.attach(ours.detach())
    theirs.close()
    assert world.plane.watched[2:] == [None]


async def test_what_is_shown_is_left_out_rather_than_waited_for(world: World) -> None:
    taken = 0
    while world.plane.tell_live(["x" * 20_000], 0, []):
        taken += 1
        assert taken < 1000
    assert taken >= LIVE_BACKLOG
    world.plane.tell(messages.breaker("app", "", "closed", "2 probes succeeded", 3.0, 0.0, False))  # this one goes on
    types = []
    while "closed" not in types:
        types += [one.message.get("state", one.type) for one in await world.heard()]
    assert types.count("live") == taken
    assert world.plane.tell_live(["y"], 3, ["note"])
    (shown,) = await world.heard()
    assert shown.message == messages.live(["y"], 3, ["note"])


async def test_a_long_refusal_is_cut_so_that_following_goes_on(world: World) -> None:
    """A message that is longer than a packet would be an exception between two slices: none would come after it."""
    world.link.follower._on_rejected(2, "x" * 100_000)
    world.came.set()
    refused = (await world.heard())[-1]
    assert refused.type == "rejected" and len(str(refused.message["error"])) == LONGEST_REFUSAL

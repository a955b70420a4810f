"""How many gateways share the store: said in time, told when it changes, and known on while the store is away."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fastgw.account import families
from fastgw.account.series import SeriesMemory, Word
from fastgw.control.instances import Instances, StoreStatus, announce
from fastgw.gateway.document.limit_store import LimitStore
from fastgw.gateway.document.process import RedisOptions
from fastgw.ipc import messages
from tests.control.harness import Gateway, ReadableLog
from tests.control.test_process import Worker
from tests.support.valkey import Valkey

URL = "redis://someone:hushhush@store.internal:6379/1"


class Base:
    def __init__(self, url: str | None) -> None:
        self.redis = None if url is None else RedisOptions(url=url, prefix="p:")


class Document:
    def __init__(self, url: str | None) -> None:
        self.base = Base(url)


class Fleet:
    """A scripted store: each announcement gets the next answer."""

    def __init__(self, log: ReadableLog, store: LimitStore) -> None:
        self.heard: list[tuple[str, bytes, str]] = []
        self.told: list[int] = []
        self.asked = asyncio.Event()
        self.answers: asyncio.Queue[int | OSError] = asyncio.Queue()
        self.log = log
        self.instances = Instances(self.announce, store, "me", tell=self.told.append, log=log, interval=0.001)
        self.running: asyncio.Task[None] | None = None

    async def announce(self, url: str, prefix: bytes, instance: str) -> int:
        self.heard.append((url, prefix, instance))
        self.asked.set()
        answer = await self.answers.get()
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def answer(self, *answers: int | OSError) -> None:
        """Each of them once, until the next question: then the last of them was taken in."""
        if self.running is None:
            self.running = asyncio.ensure_future(self.instances.run())
            await self.asked.wait()
        for each in answers:
            self.asked.clear()
            self.answers.put_nowait(each)
            async with asyncio.timeout(5):
                await self.asked.wait()


@pytest.fixture
async def fleet(log: ReadableLog) -> AsyncIterator[Callable[[str | None], Fleet]]:
    made: list[Fleet] = []

    def make(url: str | None = URL) -> Fleet:
        store = LimitStore()
        store.follow(Base(url).redis)
        made.append(Fleet(log, store))
        return made[-1]

    yield make
    for one in made:
        if one.running is not None:
            one.running.cancel()
            await asyncio.gather(one.running, return_exceptions=True)


async def test_it_says_that_it_lives_and_tells_each_change_once(fleet: Any) -> None:
    one = fleet()
    await one.answer(1, 2, 2, 3)
    assert one.heard[0] == (URL, b"p:", "me")
    assert one.told == [2, 3]
    assert (one.instances.count, one.instances.up) == (3, True)
    assert one.log.lines() == []


async def test_while_the_store_is_away_the_last_count_stands(fleet: Any) -> None:
    one = fleet()
    await one.answer(4, OSError("refused"), OSError("refused"))
    assert one.told == [4]
    assert (one.instances.count, one.instances.up, one.instances.error) == (4, False, "refused")
    await one.answer(4)
    lines = one.log.lines()
    assert lines == [
        "control: redis://store.internal:6379/1 does not answer: refused",
        "control: redis://store.internal:6379/1 answers again",
    ]
    assert "hushhush" not in str(lines)


async def test_without_a_store_nobody_is_asked(fleet: Any) -> None:
    one = fleet(None)
    one.running = asyncio.ensure_future(one.instances.run())
    await asyncio.sleep(0.01)
    assert (one.heard, one.told, one.instances.count) == ([], [], 1)


async def test_another_store_is_asked_at_once(log: ReadableLog) -> None:
    store = LimitStore()
    store.follow(Base("redis://one").redis)
    one = Fleet(log, store)
    one.instances = Instances(one.announce, store, "me", tell=one.told.append, log=log, interval=3600)
    running = asyncio.ensure_future(one.instances.run())
    one.answers.put_nowait(2)
    async with asyncio.timeout(5):
        await one.asked.wait()
        one.asked.clear()
        one.instances.follow(Document("redis://two"))  # type: ignore[arg-type]
        await one.asked.wait()
    assert [url for url, _, _ in one.heard] == ["redis://one", "redis://two"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_status_shows_the_store_without_its_password(fleet: Any) -> None:
    one = fleet()
    series = SeriesMemory(5, 4096, 65536)
    status = StoreStatus(one.instances, series, 2)
    assert status.plain() == {
        "url": "redis://store.internal:6379/1",
        "embedded": None,
        "state": "unknown",
        "error": "",
        "instances": 1,
        "modes": ["unknown", "unknown"],
    }
    for index, up in ((0, 1), (1, 0)):
        slot = series.slot(index)
        slot.counter(families.LIMIT_STORE_COMMANDS, ())
        slot.cells[slot.gauge(families.LIMIT_STORE_UP, (str(index),))] = up
    await one.answer(OSError("refused"))
    shown = status.plain()
    assert shown is not None
    assert (shown["state"], shown["error"], shown["modes"]) == ("down", "refused", ["redis", "local"])
    series.slot(0).cells[series.slot(0).gauge(families.LIMIT_STORE_UP, ("0",))] = 0
    shown = status.plain()
    assert shown is not None and shown["modes"] == ["local", "local"]


async def test_the_status_of_an_embedded_server(log: ReadableLog) -> None:
    store = LimitStore("unix:///run/own.sock")
    store.follow(RedisOptions())
    series = SeriesMemory(5, 4096, 65536)
    series.slot(4).set(Word.PID, 77)
    series.slot(4).set(Word.RESPAWNS, 2)
    fleet = Fleet(log, store)
    shown = StoreStatus(fleet.instances, series, 2).plain()
    assert shown is not None
    assert (shown["url"], shown["embedded"]) == ("unix:///run/own.sock", {"pid": 77, "restarts": 2})


async def test_without_a_store_the_status_is_none(fleet: Any) -> None:
    assert StoreStatus(fleet(None).instances, SeriesMemory(4, 4096, 65536), 2).plain() is None


async def test_workers_learn_the_count_now_and_when_they_come_later(gateway: Gateway) -> None:
    gateway.living = 3
    first = Worker(gateway, 0, gateway.version, gateway.document.hash)
    await first.heard("addresses")
    gateway.path.write_text(gateway.path.read_text() + "redis: {url: 'redis://store.internal'}\n")
    assert (await gateway.control.publisher.reload("test")).ok
    assert (await first.heard("instances")).message == messages.instances(3)
    second = Worker(gateway, 1, 0, "nothing")
    assert (await second.heard("instances")).message == messages.instances(3)
    ((url, prefix, me),) = gateway.announced
    assert (url, prefix) == ("redis://store.internal", b"fastgw:")
    assert me.startswith(f"one/{os.getpid()}/")
    shown = gateway.control.status.plain()["redis"]
    assert isinstance(shown, dict)
    assert (shown["instances"], shown["state"]) == (3, "up")
    for worker in (first, second):
        worker.channel.close()


async def test_two_gateways_count_each_other_over_a_real_store() -> None:
    with Valkey() as valkey:
        assert await announce(valkey.url, b"p:", "one") == 1
        assert await announce(valkey.url, b"p:", "two") == 2
        assert await announce(valkey.url, b"p:", "one") == 2
        assert await announce(valkey.url, b"other:", "one") == 1
        valkey.kill()
        with pytest.raises(OSError):
            await announce(valkey.url, b"p:", "one")

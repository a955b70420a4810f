from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from fastgw.cli.event_stream import Event, EventStream
from fastgw.control.live import LINES, MOST_WAITING, MOST_WATCHERS, Crowded, Live, Watcher
from fastgw.control.tail import Filters
from fastgw.ipc import messages
from fastgw.ipc.messages import Message


class Told(list[Message]):
    def conditions(self) -> list[object]:
        return [message["condition"] for message in self]


@pytest.fixture
def told() -> Told:
    return Told()


async def no_pause() -> None:
    pass


@pytest.fixture
def live(told: Told) -> Live:
    return Live(told.append, 2, pause=no_pause)


def line(**fields: object) -> str:
    return json.dumps({"route": "orders", "reason": "ok", "status": 200, "duration_ms": 1.0, **fields})


class Reader:
    """What comes out of a watcher, as its client reads it."""

    def __init__(self, watcher: Watcher) -> None:
        self.bytes: AsyncIterator[bytes] = aiter(watcher)
        self.stream = EventStream()

    async def events(self) -> list[Event]:
        """Of the next piece."""
        return self.stream.feed(await anext(self.bytes))


async def opened(watcher: Watcher) -> Reader:
    reader = Reader(watcher)
    assert await anext(reader.bytes) == b": watching\n\n"
    return reader


async def test_exchanges_notices_and_what_was_missed_reach_every_watcher(live: Live) -> None:
    readers = [await opened(live.watch()) for _ in range(2)]
    live.heard(1, messages.live([line(path="/ä"), line()], 3, ["worker 1: breaker open"]))
    for reader in readers:
        events = await reader.events()
        assert [event.name for event in events] == ["exchange", "exchange", "notice", "missed"]
        assert json.loads(events[0].data)["path"] == "/ä"
        assert json.loads(events[2].data) == {"worker": 1, "text": "worker 1: breaker open"}
        assert json.loads(events[3].data) == {"worker": 1, "lines": 3}


async def test_a_watcher_gets_what_passes_its_filters(live: Live) -> None:
    some = await opened(live.watch(Filters(statuses=((500, 599),))))
    every = await opened(live.watch())
    live.heard(0, messages.live([line(status=503), line()], 0, []))
    assert [json.loads(event.data)["status"] for event in await some.events()] == [503]
    assert [json.loads(event.data)["status"] for event in await every.events()] == [503, 200]


async def test_a_text_of_several_lines_stays_one_event(live: Live) -> None:
    reader = await opened(live.watch())
    live.note("one\ntwo\n\nevent: exchange")
    (event,) = await reader.events()
    assert json.loads(event.data) == {"worker": None, "text": "one\ntwo\n\nevent: exchange"}


def condition(**changes: object) -> dict[str, object]:
    """What everybody together wants, of whom one wants everything."""
    anything = dict.fromkeys(("routes", "reasons", "upstreams", "consumers"))
    return {"troubled": False, **anything, "slower": 0.0, "rate": LINES, **changes}


def test_what_is_named_by_everybody_is_all_that_is_sent(live: Live, told: Told) -> None:
    live.watch(Filters(reasons=frozenset({"ok"}), consumers=frozenset({"b"}), upstreams=frozenset({"u"})))
    live.watch(Filters(reasons=frozenset({"ip_denied"}), consumers=frozenset({"a"})))
    assert told.conditions()[-1] == condition(reasons=["ip_denied", "ok"], consumers=["a", "b"])


def test_workers_are_told_when_what_is_wanted_changes_and_only_then(live: Live, told: Told) -> None:
    narrow = live.watch(Filters(routes=frozenset({"b", "a"}), statuses=((500, 599),), slower=2.0))
    same = live.watch(Filters(routes=frozenset({"a"}), statuses=((503, 503),), slower=3.0))
    assert told.conditions() == [condition(troubled=True, routes=["a", "b"], slower=2.0)]
    other = live.watch(Filters(routes=frozenset({"c"}), slower=1.0))
    assert told.conditions()[1:] == [condition(routes=["a", "b", "c"], slower=1.0)]
    every = live.watch()
    assert told.conditions()[2:] == [condition()]
    for watcher in (same, every, other, narrow):
        watcher.close()
        watcher.close()
    assert told.conditions()[-1] is None
    assert all(message["type"] == "watch" for message in told)
    assert live.watchers == 0


def test_nobody_looks_on_and_nothing_is_kept(live: Live, told: Told) -> None:
    live.heard(0, messages.live([line()], 1, ["x"]))
    live.note("x")
    assert told == []


def test_one_watcher_too_many_is_refused(live: Live) -> None:
    watchers = [live.watch() for _ in range(MOST_WATCHERS)]
    with pytest.raises(Crowded, match="64 watch already"):
        live.watch()
    watchers[0].close()
    live.watch()


async def test_a_watcher_that_does_not_keep_up_loses_events_and_is_told_how_many(live: Live) -> None:
    slow, quick = await opened(live.watch()), await opened(live.watch())
    long = line(path="/" + "x" * 8000)
    fit = -(-MOST_WAITING // (len(long) + len("event: exchange\ndata: \n\n")))
    for _ in range(fit + 5):
        live.heard(2, messages.live([long], 0, []))
        assert [event.name for event in await quick.events()] == ["exchange"]
    live.heard(0, messages.live([], 2, ["a notice too"]))
    events = await slow.events()
    assert [event.name for event in events[:fit]] == ["exchange"] * fit
    assert [(event.name, json.loads(event.data)) for event in events[fit:]] == [
        ("missed", {"worker": 2, "lines": 5}),
        ("missed", {"worker": 0, "lines": 3}),
    ]
    live.heard(2, messages.live([long], 0, []))
    assert [event.name for event in await slow.events()] == ["exchange"]


async def test_a_silent_stream_says_that_it_lives(told: Told) -> None:
    reader = await opened(Live(told.append, 1, heartbeat=0.001).watch())
    assert await anext(reader.bytes) == b": \n\n"


async def test_what_comes_soon_after_goes_out_together(told: Told) -> None:
    over = asyncio.Event()
    live = Live(told.append, 1, pause=over.wait)
    reader = await opened(live.watch())
    live.heard(0, messages.live([line(path="/1")], 0, []))
    assert len(await reader.events()) == 1
    later = asyncio.ensure_future(reader.events())
    for number in (2, 3):
        live.heard(0, messages.live([line(path=f"/{number}")], 0, []))
        await asyncio.sleep(0)
    assert not later.done()
    over.set()
    assert [json.loads(event.data)["path"] for event in await later] == ["/2", "/3"]


@pytest.mark.parametrize(("workers", "rate"), [(1, LINES), (4, 500), (64, 31), (512, 3)])
def test_many_workers_share_what_control_can_take(told: Told, workers: int, rate: int) -> None:
    Live(told.append, workers).watch()
    assert told.conditions() == [condition(rate=rate)]


async def test_closing_ends_streams_that_wait(live: Live, told: Told) -> None:
    reader = await opened(live.watch())
    waiting = asyncio.ensure_future(anext(reader.bytes))
    await asyncio.sleep(0)
    live.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert told.conditions()[-1] is None

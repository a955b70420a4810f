"""Who looks on: hands what workers show of their exchanges to the watchers that asked for it, and tells the workers what
all of them want together; nothing where nobody looks.

A watcher that does not keep up loses events, which are counted for it; nobody waits for one. What a query means is in
tail.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Final

import orjson

from fastgw.control.tail import EVERYTHING, Filters
from fastgw.ipc import messages
from fastgw.ipc.messages import Message

MOST_WATCHERS: Final = 64
MOST_WAITING: Final = 1024 * 1024  # bytes that a watcher has yet to read: 1,600 exchanges
LINES: Final = 500  # a second and worker at most: more than anybody reads, and under 1 % of a worker's time
ALL_LINES: Final = 2000  # a second of all workers: one costs control 13 us with ten watchers
HEARTBEAT: Final = 10.0  # seconds of silence after which a comment says that the stream lives
# Seconds between two writes of a stream, as between two messages of a worker: of 32 of them to 64 watchers, a write for
# each message would be 40,000 a second.
PACE: Final = 0.05
# Bytes of the words of one kind that the workers are told: four kinds go into one message of 64 KB. What all watchers
# name together may be ten times that; then everything is sent, and chosen from here.
MOST_WORDS: Final = 12 * 1024

Pause = Callable[[], Awaitable[object]]


async def _pause() -> None:
    await asyncio.sleep(PACE)


class Crowded(Exception):
    """As many look on as may."""


class Watcher:
    """One stream of server-sent events. Iterating gives bytes to send until `close`, or until control ends."""

    __slots__ = ("_closed", "_filters", "_forget", "_frames", "_heartbeat", "_lost", "_pause", "_ready", "_size")

    def __init__(
        self, filters: Filters, forget: Callable[[Watcher], None], heartbeat: float, pause: Pause
    ) -> None:
        self._filters = filters
        self._forget = forget
        self._heartbeat = heartbeat
        self._pause = pause
        self._frames: list[bytes] = []
        self._size = 0
        self._lost: dict[int | None, int] = {}  # by worker
        self._ready = asyncio.Event()
        self._closed = False

    @property
    def filters(self) -> Filters:
        return self._filters

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._ready.set()
            self._forget(self)

    def put(self, worker: int | None, frame: bytes) -> None:
        if self._size < MOST_WAITING:
            self._frames.append(frame)
            self._size += len(frame)
            self._ready.set()
        else:
            self.missed(worker, 1)

    def missed(self, worker: int | None, lines: int) -> None:
        self._lost[worker] = self._lost.get(worker, 0) + lines
        self._ready.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield _comment("watching")  # the head of the answer goes out with it
        while not self._closed:
            if not self._ready.is_set():
                try:
                    async with asyncio.timeout(self._heartbeat):
                        await self._ready.wait()
                except TimeoutError:
                    yield _comment("")
                    continue
            self._ready.clear()
            if data := self._take():
                yield data
                await self._pause()

    def _take(self) -> bytes:
        """All that waits: what was lost came after what is here."""
        frames, self._frames = self._frames, []
        self._size = 0
        frames += [_frame("missed", {"worker": worker, "lines": lines}) for worker, lines in self._lost.items()]
        self._lost.clear()
        return b"".join(frames)


class Live:
    """`tell` hands a fact to every worker, of which there are `workers`, and to those that are born later."""

    __slots__ = ("_condition", "_heartbeat", "_pause", "_rate", "_tell", "_watchers")

    def __init__(
        self, tell: Callable[[Message], None], workers: int, *, heartbeat: float = HEARTBEAT, pause: Pause = _pause
    ) -> None:
        self._tell = tell
        self._rate = min(LINES, ALL_LINES // workers)
        self._heartbeat = heartbeat
        self._pause = pause
        self._watchers: list[Watcher] = []
        self._condition: dict[str, object] | None = None

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def watch(self, filters: Filters = EVERYTHING) -> Watcher:
        """The caller closes it. Raises Crowded."""
        if len(self._watchers) >= MOST_WATCHERS:
            raise Crowded(f"{MOST_WATCHERS} watch already, which is all there may be; end one of them")
        watcher = Watcher(filters, self._forget, self._heartbeat, self._pause)
        self._watchers.append(watcher)
        self._announce()
        return watcher

    def close(self) -> None:
        """Every stream ends."""
        for watcher in list(self._watchers):
            watcher.close()

    def heard(self, worker: int, message: Mapping[str, object]) -> None:
        """A `live` message of a worker."""
        lines, missed, notices = message["lines"], message["missed"], message["notices"]
        if isinstance(lines, list):
            self._exchanges(worker, lines)
        if isinstance(missed, int) and missed:
            for watcher in self._watchers:
                watcher.missed(worker, missed)
        if isinstance(notices, list):
            for text in notices:
                self.note(str(text), worker)

    def note(self, text: str, worker: int | None = None) -> None:
        """An operational line; without a worker it is one of control."""
        if self._watchers:
            frame = _frame("notice", {"worker": worker, "text": text})
            for watcher in self._watchers:
                watcher.put(worker, frame)

    def _exchanges(self, worker: int, lines: Iterable[str]) -> None:
        choosy = any(watcher.filters is not EVERYTHING for watcher in self._watchers)
        for line in lines:
            frame = b"event: exchange\ndata: %b\n\n" % line.encode()
            exchange = orjson.loads(line) if choosy else {}
            for watcher in self._watchers:
                if watcher.filters is EVERYTHING or watcher.filters.want(exchange):
                    watcher.put(worker, frame)

    def _forget(self, watcher: Watcher) -> None:
        self._watchers.remove(watcher)
        self._announce()

    def _announce(self) -> None:
        """What all watchers want together, if that is another than before."""
        wanted = together((watcher.filters for watcher in self._watchers), self._rate)
        if wanted != self._condition:
            self._condition = wanted
            self._tell(messages.watch(wanted))


def together(everybody: Iterable[Filters], rate: int) -> dict[str, object] | None:
    """The one condition that lets through what any of them wants. None: there is nobody."""
    filters = list(everybody)
    if not filters:
        return None
    return {
        "troubled": all(each.troubled for each in filters),
        "routes": _any_of(each.routes for each in filters),
        "reasons": _any_of(each.reasons for each in filters),
        "upstreams": _any_of(each.upstreams for each in filters),
        "consumers": _any_of(each.consumers for each in filters),
        "slower": min(each.slower for each in filters),
        "rate": rate,
    }


def _any_of(words: Iterable[frozenset[str]]) -> list[str] | None:
    """What one of them names; None where one of them takes any, or where that is too much to tell."""
    everyone = list(words)
    named = sorted(frozenset().union(*everyone)) if all(everyone) else None
    return None if named is None or len(orjson.dumps(named)) > MOST_WORDS else named


def _frame(name: str, data: Mapping[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


def _comment(text: str) -> bytes:
    return b": %b\n\n" % text.encode()

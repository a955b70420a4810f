"""One connection to the store: bytes out in order, answers back in order. RESP is hiredis's.

Whoever asks gives something to take the answer; the connection keeps them in a queue, those too that have given up, so
that a late answer is never taken for another's. What may not live here: scripts, decisions, when to connect.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import hiredis

# An answer to a full command has 5 KB. More bytes than this without a whole answer are none of ours.
MAX_ANSWER: Final = 262_144
# hiredis makes room for all that a list announces: a hundred million of them would stall the loop for seconds. An
# answer has at most 509 elements, and nothing in it but its head begins with a star.
_TOO_MANY: Final = re.compile(rb"\*[0-9]{4}")
TAIL: Final = 4  # bytes of the read before that may begin such a head
_NOT_YET: Final = object()  # hiredis's own sign is False, which is an answer too in RESP3


class Taker(Protocol):
    """Takes one answer: bytes, an int, a list, None, or hiredis.ReplyError for an error of the store's."""

    def on_answer(self, answer: object) -> None: ...


class StoreError(Exception):
    """The store said no, in words for the operator."""


class Reply:
    """An answer that a coroutine waits for: the greeting only."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[object] = loop.create_future()

    def on_answer(self, answer: object) -> None:
        if not self.future.done():
            self.future.set_result(answer)


class Link(asyncio.Protocol):
    __slots__ = ("_bytes", "_loop", "_lost", "_reader", "_tail", "_takers", "cause", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, lost: Callable[[Link, str], None]) -> None:
        self._loop = loop
        self._lost = lost  # called once, from the event loop or from within `close`, with the cause
        self._reader = hiredis.Reader(notEnoughData=_NOT_YET)
        self._takers: deque[Taker] = deque()
        self._bytes = 0  # since the last whole answer
        self._tail = b""
        self.transport: asyncio.Transport | None = None
        self.cause = ""  # why it is closed; empty while it is not

    # --- asking -----------------------------------------------------------------------------------------------

    def send(self, data: bytes, taker: Taker) -> None:
        """Only on a connected link that is not closed."""
        assert self.transport is not None
        self._takers.append(taker)
        self.transport.write(data)

    async def ask(self, *words: bytes) -> object:
        """One command and its answer; StoreError for an error or the end of the connection."""
        if self.cause:
            raise StoreError(self.cause)
        reply = Reply(self._loop)
        self.send(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words), reply)
        answer = await reply.future
        if isinstance(answer, Exception):
            raise StoreError(said(answer))
        return answer

    def close(self, cause: str) -> None:
        """At once: what is unsent is of no use. Idempotent."""
        if self.cause:
            return
        self.cause = cause
        if self.transport is not None:
            self.transport.abort()
        takers, self._takers = self._takers, deque()
        for taker in takers:
            if isinstance(taker, Reply):
                taker.on_answer(StoreError(cause))
        self._lost(self, cause)

    # --- asyncio's side ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports do not subclass asyncio's
        if self.cause:
            transport.abort()  # type: ignore[attr-defined]  # both kinds have it

    def data_received(self, data: bytes) -> None:
        if self.cause:
            return
        reader = self._reader
        if _TOO_MANY.search(self._tail + data):
            self.close("a list longer than anything that was asked for")
            return
        self._tail = data[-TAIL:]
        self._bytes += len(data)
        try:
            reader.feed(data)
            answer = reader.gets()
            while answer is not _NOT_YET:
                self._bytes = 0
                if not self._takers:
                    self.close("it answers what nobody asked")
                    return
                self._takers.popleft().on_answer(answer)
                if self.cause:
                    return
                answer = reader.gets()
        except hiredis.ProtocolError:
            self.close("it does not speak Redis's protocol")
            return
        if self._bytes > MAX_ANSWER:
            self.close("an answer without end")

    def connection_lost(self, exc: Exception | None) -> None:
        self.close("the connection was lost" if exc is None else f"the connection was lost: {exc}")


def said(error: Exception) -> str:
    """An error of the store's for a log line: its first line, not too long."""
    return f"it says {str(error).splitlines()[0][:120]!r}" if str(error) else "it says nothing"

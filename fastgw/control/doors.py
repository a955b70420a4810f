"""The connections of the admin address: not more than so many, and none that holds its place by being slow.

A wrapper around each protocol of the web server, which knows keep-alive but neither a bound nor a deadline for a head
that never ends. What requests say is none of its business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from fastgw.clock import Clock

MOST: Final = 256
HEAD_TIMEOUT: Final = 10.0  # from the first byte of a request to the end of its head; and until there is a first
IDLE_TIMEOUT: Final = 75.0  # between two requests
STALL_TIMEOUT: Final = 30.0  # a caller that does not read its answer

_PROBLEM: Final = (
    b'{"type":"urn:fastgw:reason:overloaded","title":"Service Unavailable","status":503,'
    b'"detail":"As many connections to the admin address are open as there may be","reason":"overloaded"}'
)
_TURNED_AWAY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"
    b"Retry-After: 1\r\nServer: fastgw\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    b"Connection: close\r\n\r\n%b"
) % (len(_PROBLEM), _PROBLEM)

Factory = Callable[[], asyncio.Protocol]


class Doors:
    """`sweep` regularly: deadlines are looked at then."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._visitors: dict[asyncio.BaseTransport, _Visitor] = {}

    @property
    def open(self) -> int:
        return len(self._visitors)

    def guard(self, factory: Factory) -> Factory:
        """What makes the protocol of a new connection."""

        return lambda: _Visitor(self, factory())

    def entered(self, transport: asyncio.BaseTransport | None) -> None:
        """Its request is being answered, however long that takes."""
        visitor = self._visitor(transport)
        if visitor is not None:
            visitor.deadline = None

    def left(self, transport: asyncio.BaseTransport | None) -> None:
        visitor = self._visitor(transport)
        if visitor is not None:
            visitor.awaits_head = False
            visitor.deadline = self._clock.now() + IDLE_TIMEOUT

    def when_lost(self, transport: asyncio.BaseTransport | None, act: Callable[[], None]) -> None:
        """At once where it is lost already."""
        visitor = self._visitor(transport)
        if visitor is None:
            act()
        else:
            visitor.when_lost.append(act)

    def sweep(self) -> None:
        now = self._clock.now()
        for visitor in list(self._visitors.values()):
            if min(visitor.deadline or now + 1, visitor.stalled or now + 1) <= now:
                visitor.transport.abort()

    def now(self) -> float:
        return self._clock.now()

    def admit(self, visitor: _Visitor) -> bool:
        """False: all places are taken."""
        if len(self._visitors) >= self._most:
            return False
        self._visitors[visitor.transport] = visitor
        return True

    def remove(self, visitor: _Visitor) -> None:
        self._visitors.pop(visitor.transport, None)

    def _visitor(self, transport: asyncio.BaseTransport | None) -> _Visitor | None:
        return None if transport is None else self._visitors.get(transport)


class _Visitor(asyncio.Protocol):
    """One connection. `deadline` is for its next request, `stalled` for reading its answer; None: there is none."""

    def __init__(self, doors: Doors, inner: asyncio.Protocol) -> None:
        self._doors = doors
        self._inner = inner
        self.transport: asyncio.Transport
        self.deadline: float | None = None
        self.stalled: float | None = None
        self.awaits_head = True
        self.when_lost: list[Callable[[], None]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport, but do the same.
        self.transport = cast(asyncio.Transport, transport)
        self.deadline = self._doors.now() + HEAD_TIMEOUT
        if self._doors.admit(self):
            self._inner.connection_made(transport)
        else:
            self.transport.set_protocol(asyncio.Protocol())  # nothing that comes is read
            self.transport.write(_TURNED_AWAY)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self.deadline is not None and not self.awaits_head:
            # The first bytes after an answer: from now on a head is due.
            self.awaits_head = True
            self.deadline = self._doors.now() + HEAD_TIMEOUT
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self.stalled = self._doors.now() + STALL_TIMEOUT
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self.stalled = None
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._doors.remove(self)
        self._inner.connection_lost(exc)
        for act in self.when_lost:
            act()
        self.when_lost.clear()

"""The life of a client's transport: states, closing in order, lingering, cutting, reading on and off, being slow to read.

The lower half of a client's connection; what its bytes mean is connection.py's.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from fastgw.model.deadlines import NEVER, Timed

if TYPE_CHECKING:
    from fastgw.edge.dataplane import DataPlane

LINGER_BYTES: Final = 1024 * 1024  # discarded of what nobody wants, so that a reset does not destroy the answer
LINGER_SECONDS: Final = 2.0
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


class State(IntEnum):
    """IDLE <-> BUSY; BUSY -> TUNNEL; any -> LINGER (discarding), CLOSING (flushing), CLOSED."""

    IDLE = 0  # between exchanges, perhaps with part of a head
    BUSY = 1
    TUNNEL = 2
    LINGER = 3
    CLOSING = 4
    CLOSED = 5


# A member looked up on its class costs 45 ns in CPython 3.11, a module's name 4.
IDLE: Final = State.IDLE
BUSY: Final = State.BUSY
TUNNEL: Final = State.TUNNEL
LINGER: Final = State.LINGER
CLOSING: Final = State.CLOSING
CLOSED: Final = State.CLOSED


class Link(asyncio.Protocol, Timed):
    __slots__ = (
        "_eof", "_lingered", "_plane", "_read_paused", "_state", "_unsent", "blocked", "deadline", "transport", "wake",
    )  # fmt: skip

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self.transport: asyncio.Transport | None = None
        self._state = IDLE
        self._read_paused = False
        self._eof = False  # the client closed its half
        self._lingered = 0
        self._unsent = 0  # bytes in the write buffer when the send deadline was set
        self.blocked = False
        self.deadline = NEVER
        self.wake = NEVER

    def close(self) -> None:
        """Flush, then close. The deadline is for a client that does not read the rest."""
        if self.transport is None or self._state >= CLOSING:
            return
        self._state = CLOSING
        self._plane.deadlines.watch(self, self._plane.clock.now() + self._send_timeout())
        self._plane.outbox.flush()
        self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def reset(self) -> None:
        """End with RST, so that the client cannot take what it has for all there is."""
        transport = self.transport
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._state = CLOSING
            transport.abort()

    def linger(self) -> None:
        """Half-close and discard for a while: closing with unread bytes sends a reset that destroys the answer."""
        transport = self.transport
        if transport is None or self._eof:
            self.close()
            return
        self._state = LINGER
        self._plane.deadlines.watch(self, self._plane.clock.now() + LINGER_SECONDS)
        self.half_close()
        self._resume_reading()

    def half_close(self) -> None:
        """FIN behind everything that was written."""
        self._plane.outbox.flush()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()

    def _discard(self, data: bytes) -> None:
        self._lingered += len(data)
        if self._lingered > LINGER_BYTES:
            self.abort()

    def write(self, data: bytes) -> None:
        self._plane.outbox.send(self, data)

    def _send_timeout(self) -> float:
        return self._plane.engine.snapshot.server.send_timeout

    def _watch_sending(self) -> None:
        """The client does not read: it has `send_timeout` to take the next byte."""
        transport = self.transport
        if transport is not None:
            self._unsent = transport.get_write_buffer_size()
        self._plane.deadlines.watch(self, self._plane.clock.now() + self._send_timeout())

    def _sends(self, now: float) -> bool:
        """Whether the client took anything since the last look; then it has as long again."""
        transport = self.transport
        left = transport.get_write_buffer_size() if transport is not None else 0
        if left >= self._unsent:
            return False
        self._unsent = left
        self._plane.deadlines.watch(self, now + self._send_timeout())
        return True

    def _pause_reading(self) -> None:
        if not self._read_paused and self.transport is not None:
            self._read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._read_paused and self.transport is not None:
            self._read_paused = False
            self.transport.resume_reading()

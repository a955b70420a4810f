"""Small writes of one turn of the event loop, sent together at its end.

uvloop writes at once. Between two writes lie 20 us of Python: long enough for the peer's process to finish what it got
and to fall asleep, so that every write wakes it again (an interrupt to another core, half of a write's cost in a
virtual machine). Sent one after the other they wake it once: 12.7 -> 9.4 us of kernel time per exchange at 64
connections.
A turn with a single write gains nothing and would pay for the callback, so the outbox steps aside while turns are short.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

# Larger writes go straight on: they are bodies, and their bytes would pile up here.
DIRECT: Final = 16 * 1024
# Writes kept at most before they are sent, so that the first of a long turn does not wait for the last.
AT_ONCE: Final = 32
# Turns in a row with one write, after which writes go straight through; and how many do before the next look.
LONELY_TURNS: Final = 16
PASS_BY: Final = 256


class Writable(Protocol):
    """A transport, as far as it matters here."""

    def write(self, data: bytes) -> None: ...


class Sender(Protocol):
    """Whoever has a transport; None once it is gone, and what was to be written with it."""

    @property
    def transport(self) -> Writable | None: ...


class Outbox:
    __slots__ = ("_call_soon", "_lonely", "_passing", "_pending")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """`call_soon(call)` runs `call` after everything that this turn of the loop brings."""
        self._call_soon = call_soon
        self._pending: list[tuple[Sender, bytes]] = []
        self._lonely = 0
        self._passing = 0

    def send(self, sender: Sender, data: bytes) -> None:
        """Hot. Bytes of one sender keep their order."""
        if self._passing:
            self._passing -= 1
            _write(sender, data)
            return
        pending = self._pending
        if not pending:
            self._call_soon(self._turn_ends)
        pending.append((sender, data))
        if len(pending) >= AT_ONCE or len(data) > DIRECT:
            self._lonely = 0
            self.flush()

    def flush(self) -> None:
        """Send what is pending; whoever closes a transport in order calls this first."""
        pending = self._pending
        if pending:
            self._pending = []
            for sender, data in pending:
                transport = sender.transport
                if transport is not None:
                    try:
                        transport.write(data)  # `_write`, without a call for each
                    except RuntimeError:
                        pass

    def _turn_ends(self) -> None:
        if len(self._pending) == 1:
            self._lonely += 1
            if self._lonely >= LONELY_TURNS:
                self._lonely = LONELY_TURNS - 1  # one more lonely turn after the pause is enough
                self._passing = PASS_BY
        elif self._pending:
            self._lonely = 0
        self.flush()


def _write(sender: Sender, data: bytes) -> None:
    transport = sender.transport
    if transport is not None:
        try:
            transport.write(data)
        except RuntimeError:
            pass  # its writing half is closed: nobody else's bytes, and no answer's account, may be lost for that

"""Connections to one target in one worker: idle ones, how many are open, who waits. Bookkeeping only, synchronous.

LIFO over idle connections (the warmest serves, the rest expire), FIFO over waiters, integer counters; nothing is ever
scanned. There is no await between choosing a connection and marking it taken (aiohttp `connector.py` tells why).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol

from fastgw.errors import Reason, Retry
from fastgw.http1.memo import Streak
from fastgw.upstream.connection import UpstreamConnection
from fastgw.upstream.tls import failure
from fastgw.upstream.wire import Owner, Shared, State, Wire

if TYPE_CHECKING:
    from fastgw.upstream.target import Target


# Seconds below the upstream's promise (`Keep-Alive: timeout=`): its clock started before ours.
MARGIN: Final = 1.0


class PoolLimits(Protocol):
    """`connections` of an upstream's options: counts, and seconds."""

    @property
    def max(self) -> int: ...

    @property
    def idle(self) -> int: ...

    @property
    def idle_timeout(self) -> float: ...

    @property
    def queue(self) -> int: ...

    @property
    def queue_timeout(self) -> float: ...


class Waiter(Owner, Protocol):
    """An owner in the queue. `waiting` turns false when it gives up; the queue then skips it."""

    if not TYPE_CHECKING:  # mypy takes slots of a protocol for all the attributes that there are
        __slots__ = ()

    waiting: bool

    def on_turn(self, connection: Wire | None) -> None:
        """A connection, taken for this waiter; or None: there is room to open one, which it must do at once."""


class Pool:
    __slots__ = (
        "_chosen", "_idle", "_keep", "_keep_seconds", "_shared", "_streak", "generation", "limits", "max", "open",
        "opened", "queued", "reserved", "target", "waiters",
    )  # fmt: skip

    def __init__(self, target: Target, limits: PoolLimits, shared: Shared, streak: Streak) -> None:
        self.target = target
        self._shared = shared
        self._streak = streak
        self._idle: dict[Wire, None] = {}  # a dict is a stack that can also forget from the middle
        self.open = 0  # connecting, busy and idle
        self.opened = 0  # since birth, for the metric
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()  # FIFO, and anyone can leave from the middle
        self._chosen: dict[Waiter, Wire | None] = {}  # whose turn is on its way, and with what
        self.queued = 0  # waiters that still wait
        self.reserved = 0  # places promised to waiters whose turn is on its way
        self.generation = 0  # of a removed target: -1, so that nothing comes back
        self.configure(limits)

    def configure(self, limits: PoolLimits) -> None:
        """Take over changed bounds: idle connections beyond them end now, and if there are too many still, all that are
        busy end when they come back. Where there is more room than before, those who wait get it."""
        self.limits = limits
        # Read per exchange: an attribute of a pydantic model costs five times as much.
        self._keep = limits.idle
        self._keep_seconds = limits.idle_timeout
        self.max = limits.max
        while self._idle and (self.open > self.max or len(self._idle) > self._keep):
            next(iter(self._idle)).close()  # the coldest
        if self.open > self.max:
            self.generation += 1
        self._offer_room()

    def renew(self) -> None:
        """Connections are made otherwise from now on: those that are there serve no further exchange."""
        self.generation += 1
        for connection in list(self._idle):
            connection.close()

    @property
    def idle(self) -> int:
        return len(self._idle)

    def take(self, now: float) -> Wire | None:
        """The most recently used idle connection, or None."""
        idle = self._idle
        while idle:
            connection, _ = idle.popitem()
            if connection.deadline > now:
                return connection
            connection.close()  # expired, its sweep is due within a tick
        return None

    def has_room(self) -> bool:
        """Whether a connection may be opened now; those who wait come first."""
        return not self.queued and self.open + self.reserved < self.max

    def connect(self, owner: Owner, deadline: float) -> Wire:
        """Open a connection for `owner`, who hears `on_connected` or `on_failure`. The one task of the data plane."""
        connection = UpstreamConnection(self, self._shared, self._streak)
        connection.owner = owner
        self.open += 1
        self.opened += 1
        self._shared.deadlines.watch(connection, deadline)
        connection.task = self._shared.loop.create_task(_open(connection, self._shared, self.target))
        return connection

    def enqueue(self, waiter: Waiter) -> bool:
        """False: the queue is full."""
        if self.queued >= self.limits.queue:
            return False
        self.queued += 1
        waiter.waiting = True
        self.waiters[waiter] = None
        return True

    def leave(self, waiter: Waiter) -> None:
        """The waiter gives up, wherever it stands; what was on its way to it goes to the next one."""
        if not waiter.waiting:
            return
        waiter.waiting = False
        if waiter in self.waiters:
            del self.waiters[waiter]
            self.queued -= 1
        elif waiter in self._chosen:
            connection = self._chosen.pop(waiter)
            if connection is None:
                self.reserved -= 1
                self._offer_room()
            else:
                connection.owner = None
                self.give(connection, connection.now())

    def give(self, connection: Wire, now: float) -> None:
        """Hot. Back from an exchange, fit for another one."""
        if connection.generation != self.generation:
            connection.close()
            return
        if self.queued:
            self._hand_over(connection)
            return
        if len(self._idle) >= self._keep:
            connection.close()
            return
        seconds = self._keep_seconds
        promised = connection.keep_seconds
        if promised >= 0.0 and promised - MARGIN < seconds:
            seconds = promised - MARGIN
            if seconds <= 0.0:
                connection.close()
                return
        deadline = connection.deadline = now + seconds
        if deadline < connection.wake:
            self._shared.deadlines.watch(connection, deadline)
        self._idle[connection] = None

    def _hand_over(self, connection: Wire | None) -> None:
        """The next waiter's turn: a connection, or room to open one. Not at once, for we are in the middle of another
        exchange's answer; until then the waiter is `_chosen` and may still leave."""
        waiter, _ = self.waiters.popitem(last=False)
        self.queued -= 1
        self._chosen[waiter] = connection
        if connection is None:
            self.reserved += 1
        else:
            connection.deadline = connection.now() + self.limits.idle_timeout
            connection.owner = waiter
        self._shared.loop.call_soon(self._turn, waiter)

    def _turn(self, waiter: Waiter) -> None:
        if waiter in self._chosen:
            connection = self._chosen.pop(waiter)
            if connection is None:
                self.reserved -= 1
            waiter.waiting = False
            waiter.on_turn(connection)

    def _offer_room(self) -> None:
        while self.queued and self.open + self.reserved < self.max:
            self._hand_over(None)

    def closed(self, connection: Wire) -> None:
        """Called once by every connection that ends, in whatever state it was."""
        self._idle.pop(connection, None)
        self.open -= 1
        for waiter, promised in self._chosen.items():  # those of one turn of the loop
            if promised is connection:
                self._chosen[waiter] = None  # the place that it leaves is still this waiter's
                self.reserved += 1
                break
        self._offer_room()

    def retire(self) -> None:
        """The target is gone from the configuration: idle connections close now, busy ones when they end."""
        self.generation = -1
        self._keep = 0  # a connection opened from now on, for one who waited, serves once
        for connection in list(self._idle):
            connection.close()

    def abort(self) -> None:
        for connection in list(self._idle):
            connection.close()


async def _open(connection: Wire, shared: Shared, target: Target) -> None:
    """Runs in a task of its own; the deadline is the connection's, which cancels this task."""
    try:
        tls = target.tls
        if tls is not None:
            await shared.loop.create_connection(
                lambda: connection, target.address, target.port,
                ssl=tls.context, server_hostname=tls.server_name,
            )  # fmt: skip
        elif target.unix_path:
            await shared.loop.create_unix_connection(lambda: connection, target.unix_path)
        else:
            await shared.loop.create_connection(lambda: connection, target.address, target.port)
    except OSError as error:  # ssl.SSLError is one
        if connection.state is State.CONNECTING:
            owner = connection.owner
            connection.task = None  # this very task: it must not be cancelled by close()
            connection.close()
            if owner is not None:
                reason, detail = _connect_reason(error, target.tls is not None)
                owner.on_failure(reason, detail, Retry.ALWAYS)


def _connect_reason(error: OSError, secure: bool) -> tuple[Reason, str]:
    """Foreign exceptions are mapped where foreign code is called."""
    detail = failure(error) if secure else None
    if detail is not None:
        return Reason.TLS_ERROR, detail
    if isinstance(error, TimeoutError):
        return Reason.CONNECT_TIMEOUT, "the target did not answer the connection attempt"
    return Reason.CONNECT_REFUSED, f"the target refused the connection ({error.strerror or type(error).__name__})"

"""What the exchanges of one worker share: the snapshot, the run-time state, the ledger, ids and the date.

Made once per worker by edge/dataplane.py and passed down; nothing of it is module state.
"""

from __future__ import annotations

from collections.abc import Callable
from os import urandom

from fastgw.account import families
from fastgw.account.ledger import Ledger
from fastgw.clock import Clock
from fastgw.gateway.snapshot import Snapshot
from fastgw.http1.writer import date_line
from fastgw.model.deadlines import Deadlines
from fastgw.model.exchange import Exchange
from fastgw.policy.runtime import Runtime
from fastgw.upstream.registry import Registry


class Engine:
    __slots__ = (
        "_date", "_date_second", "_prefix", "_serial", "clock", "closing", "deadlines", "draining", "in_flight",
        "ledger", "log", "registry", "runtime", "snapshot", "wall_offset", "websockets",
    )  # fmt: skip

    def __init__(
        self, snapshot: Snapshot, registry: Registry, ledger: Ledger, deadlines: Deadlines, clock: Clock,
        log: Callable[[str], None], runtime: Runtime,
    ) -> None:  # fmt: skip
        self.snapshot = snapshot
        self.registry = registry
        self.ledger = ledger
        self.deadlines = deadlines
        self.clock = clock
        self.log = log  # operational lines
        self.runtime = runtime  # what the policies share
        self.wall_offset = clock.wall() - clock.now()  # renewed by the tick: one clock read per exchange less
        self.in_flight = 0
        self.websockets = 0
        self.draining = False  # the health path says 503
        self.closing = False  # replies carry `Connection: close`
        # Ids are a random prefix of this worker's birth and a count: unique, and 0.15 us instead of urandom's 0.46.
        self._prefix = urandom(8).hex().encode()
        self._serial = int.from_bytes(urandom(4), "big") << 28
        self._date_second = -1
        self._date = b""

    def stamp(self, exchange: Exchange) -> None:
        """Request id, trace id and span id (W3C Trace Context). A trusted peer's id is kept, a valid trace continued."""
        serial = self._serial = self._serial + 1
        span = exchange.span = b"%016x" % serial
        exchange.request_id = exchange.trace_id = self._prefix + span
        head = exchange.head
        if head is not None and head.named:
            if head.request_id and exchange.trusted:
                exchange.request_id = head.request_id
            if head.traceparent:
                exchange.trace_id = head.traceparent[3:35]

    def date(self, wall: float) -> bytes:
        """The `Date` line of this second."""
        second = int(wall)
        if second != self._date_second:
            self._date_second = second
            self._date = date_line(wall)
        return self._date

    def refused_retry(self, upstream: str, why: str) -> None:
        """Counted: another attempt was due, and its budget or every circuit said no."""
        self.ledger.count(families.RETRIES_REFUSED, (upstream, why))

    def close(self, exchange: Exchange, now: float) -> None:
        """The last phase, exactly once per exchange."""
        self.in_flight -= 1
        route = exchange.route
        if route is not None:
            route.in_flight -= 1
        self.ledger.close(exchange, now, now + self.wall_offset)

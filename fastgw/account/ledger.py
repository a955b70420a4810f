"""Where an exchange is accounted, exactly once, whatever happened: series in shared memory, then the access log.

What lives here: `close` and the cells it counts in. What may not: deciding what an exchange's outcome is.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from fastgw.account import families
from fastgw.account.access_log import NO_CONSUMER, AccessLog, json_string, outcome
from fastgw.account.families import Family
from fastgw.account.series import Slot
from fastgw.errors import Reason, Source
from fastgw.model.exchange import WOULD_REFUSE, Exchange
from fastgw.model.identity import Identity
from fastgw.model.route import Route

NO_ROUTE = "-"  # the route label of exchanges that matched none

# Unknown methods fold into one label (design section 12).
_METHODS: dict[bytes, str] = {
    name: name.decode()
    for name in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"CONNECT", b"TRACE")
}
# A member looked up on its class costs 45 ns in CPython 3.11, a module's name 4.
_OK: Final = Reason.OK
_UPSTREAM: Final = Source.UPSTREAM

MAX_REFUSALS: Final = 1024  # of one route: rules are names of the configuration
MAX_TEXTS: Final = 16  # of one caller: routes, methods, statuses
_METHOD_NUMBER: dict[bytes, int] = {name: number for number, name in enumerate(_METHODS, 1)}

_REQUEST_BOUNDS = families.REQUEST_DURATION.buckets
_REQUEST_SUM = len(_REQUEST_BOUNDS) + 1
_OWN_BOUNDS = families.GATEWAY_DURATION.buckets
_OWN_SUM = len(_OWN_BOUNDS) + 1
_UPSTREAM_BOUNDS = families.UPSTREAM_DURATION.buckets
_UPSTREAM_SUM = len(_UPSTREAM_BOUNDS) + 1


class Tally:
    """The cells of one route in this worker. `lines` holds, by status, method and source in one number, the counter's
    offset and the part of the log line that follows from them where the reason is `ok`."""

    __slots__ = ("duration", "label", "lines", "own", "refusals", "text")

    def __init__(self, label: str, text: bytes, duration: int, own: int) -> None:
        self.label = label
        self.text = text  # as in the log line
        self.duration = duration
        self.own = own
        self.lines: dict[int, tuple[int, bytes]] = {}
        # By the same number, the reason's and the rule: the rejection's offset, and the part of the log line.
        self.refusals: dict[tuple[int, int, str], tuple[int, bytes]] = {}


class Ledger:
    __slots__ = ("_cells", "_log", "_share", "_slot", "_unrouted", "_upstreams", "sample")

    def __init__(self, slot: Slot, log: AccessLog) -> None:
        self._slot = slot
        self._cells = slot.cells
        self._log = log
        self._unrouted = self._tally(NO_ROUTE, b"null")
        self._upstreams: dict[str, int] = {}
        self._share = 0.0
        self.sample = 1.0  # share of successful exchanges that are logged

    def close(self, exchange: Exchange, now: float, wall: float) -> None:
        """Hot. Exactly once per exchange: a second call is a defect, and is refused."""
        if exchange.closed:
            raise RuntimeError("an exchange was closed twice")
        exchange.closed = True
        route = exchange.route
        tally = self._unrouted if route is None else route.tally
        if tally.__class__ is not Tally:
            assert route is not None
            tally = self._bind(route)
        cells = self._cells
        status = exchange.status
        key = status * 32 + (_METHOD_NUMBER.get(exchange.method) or 0)
        if exchange.source is _UPSTREAM:
            key += 16
        line = tally.lines.get(key)
        if line is None:
            line = self._line(tally, key, exchange)
        offset, text = line
        cells[offset] += 1
        total = now - exchange.started
        base = tally.duration
        cells[base + bisect_left(_REQUEST_BOUNDS, total)] += 1
        cells[base + _REQUEST_SUM] += int(total * 1e6)
        upstream_seconds = exchange.upstream_seconds
        own = total - upstream_seconds
        if own < 0.0:  # noqa: PLR1730 (hot: a comparison, not a call)
            own = 0.0
        base = tally.own
        cells[base + bisect_left(_OWN_BOUNDS, own)] += 1
        cells[base + _OWN_SUM] += int(own * 1e6)
        if exchange.attempts:
            base = self._upstreams.get(exchange.upstream) or self._bind_upstream(exchange.upstream)
            cells[base + bisect_left(_UPSTREAM_BOUNDS, upstream_seconds)] += 1
            cells[base + _UPSTREAM_SUM] += int(upstream_seconds * 1e6)
            if exchange.attempts > 1:
                cells[self._slot.counter(families.RETRIES, (exchange.upstream,))] += exchange.attempts - 1
        if exchange.reason is not _OK:
            refusal = tally.refusals.get((key, exchange.reason.number, exchange.rule))
            if refusal is None:
                refusal = self._refusal(tally, key, exchange)
            offset, text = refusal
            cells[offset] += 1
            if exchange.identity is not None:
                text = text.replace(NO_CONSUMER, exchange.identity.log, 1)
        elif exchange.rule:
            text = self._noted(tally, exchange)
        elif exchange.identity is not None:
            identity = exchange.identity
            text = identity.texts.get(text) or _with_consumer(text, identity)
        log = self._log
        kept = log.enabled
        if kept and self.sample < 1.0:
            kept = self._is_kept(exchange)
        tap = log.tap
        if tap is not None and tap.wants(tally.label, exchange, total):
            tap.add(log.exchange(exchange, text, wall, total, own, kept))
        elif kept:
            log.exchange(exchange, text, wall, total, own)

    def _is_kept(self, exchange: Exchange) -> bool:
        """Whether this exchange is logged where only a share of those that end well is; what a policy in shadow mode
        would have refused is logged as the refusal that it would be."""
        if exchange.reason is not _OK or exchange.status >= 400 or exchange.rule.startswith(WOULD_REFUSE):
            return True
        return self._sampled()

    def count(self, family: Family, labels: tuple[str, ...]) -> None:
        """One more of something that happens seldom."""
        self._cells[self._slot.counter(family, labels)] += 1

    def _sampled(self) -> bool:
        """Whether this successful exchange is one of the share that is logged: evenly spread, not by chance."""
        self._share += self.sample
        if self._share < 1.0:
            return False
        self._share -= 1.0
        return True

    def _noted(self, tally: Tally, exchange: Exchange) -> bytes:
        """An exchange that ended well although a policy in shadow mode would have refused it."""
        text = outcome(tally.text, exchange, _OK, exchange.rule)
        if exchange.rule.startswith(WOULD_REFUSE):
            rule = exchange.rule.removeprefix(WOULD_REFUSE)
            self._cells[self._slot.counter(families.SHADOW_REFUSALS, (tally.label, rule))] += 1
        return text if exchange.identity is None else text.replace(NO_CONSUMER, exchange.identity.log, 1)

    def _tally(self, label: str, text: bytes) -> Tally:
        return Tally(
            label,
            text,
            self._slot.histogram(families.REQUEST_DURATION, (label,)),
            self._slot.histogram(families.GATEWAY_DURATION, (label,)),
        )

    def _bind(self, route: Route) -> Tally:
        tally = self._tally(route.name, json_string(route.name))
        route.tally = tally
        return tally

    def _bind_upstream(self, name: str) -> int:
        base = self._slot.histogram(families.UPSTREAM_DURATION, (name,))
        self._upstreams[name] = base
        return base

    def _line(self, tally: Tally, key: int, exchange: Exchange) -> tuple[int, bytes]:
        method = _METHODS.get(exchange.method, "other")
        labels = (tally.label, method, str(exchange.status), exchange.source.value)
        # Kept for exchanges that end well, whatever became of the first one with this status.
        made = self._slot.counter(families.REQUESTS, labels), outcome(tally.text, exchange, _OK, "")
        tally.lines[key] = made
        return made

    def _refusal(self, tally: Tally, key: int, exchange: Exchange) -> tuple[int, bytes]:
        reason = exchange.reason
        made = (
            self._slot.counter(families.REJECTIONS, (tally.label, reason.value)),
            outcome(tally.text, exchange, reason, exchange.rule),
        )
        if len(tally.refusals) < MAX_REFUSALS:
            tally.refusals[(key, reason.number, exchange.rule)] = made
        return made


def _with_consumer(text: bytes, identity: Identity) -> bytes:
    """The middle of a log line with the name in it, remembered with the name: 0.1 us less for the next exchange."""
    made = text.replace(NO_CONSUMER, identity.log, 1)
    if len(identity.texts) < MAX_TEXTS:
        identity.texts[text] = made
    return made

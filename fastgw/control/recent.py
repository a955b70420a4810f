"""What was counted in the last seconds, as rows of tables: rates and percentiles by name.

Reads `Counts` and writes plain values; which rows there are is said by the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from fastgw.account import families
from fastgw.account.families import Family
from fastgw.control.counts import Counts, total
from fastgw.control.quantiles import quantile

Row = Mapping[str, object]
Percentiles = tuple[float | None, float | None]
KeyT = TypeVar("KeyT", str, tuple[str, str])


class Recent:
    """Some neighbouring intervals as one. Sums are made for the rows that are shown, not for 10,000 routes."""

    __slots__ = ("_counts", "_seconds")

    def __init__(self, counts: Iterable[Counts]) -> None:
        self._counts = tuple(counts)
        self._seconds = sum(each.seconds for each in self._counts)

    def busiest(
        self, keys: Iterable[KeyT], pick: Callable[[Counts], Mapping[KeyT, int]], most: int
    ) -> list[KeyT]:
        """At most so many of the keys, by how often they were counted, then by name."""
        count: Counter[KeyT] = Counter()
        for each in self._counts:
            count.update(pick(each))
        return sorted(keys, key=lambda key: (-count[key], key))[:most]

    def route(self, name: str) -> Row:
        p50, p99 = self._percentiles(families.REQUEST_DURATION, lambda each: each.durations.get(name))
        return {
            "route": name,
            "requests_s": self._rate(lambda each: each.requests[name]),
            "refused_s": self._rate(lambda each: each.refused[name]),
            "errors_s": self._rate(lambda each: each.errors[name]),
            "p50_ms": p50,
            "p99_ms": p99,
            "own_p99_ms": self._percentiles(families.GATEWAY_DURATION, lambda each: each.own.get(name))[1],
        }

    def upstream(self, name: str, in_flight: int) -> Row:
        p50, p99 = self._percentiles(families.UPSTREAM_DURATION, lambda each: each.upstreams.get(name))
        return {
            "upstream": name,
            "requests_s": self._rate(lambda each: each.served[name]),
            "p50_ms": p50,
            "p99_ms": p99,
            "retries_s": self._rate(lambda each: each.retries[name]),
            "in_flight": in_flight,
        }

    def reason(self, reason: str, route: str, total: int) -> Row:
        """`total`: since the gateway was started."""
        per_second = self._rate(lambda each: each.reasons[reason, route])
        return {"reason": reason, "route": route, "per_s": per_second, "total": total}

    def limit(self, route: str, limit: str) -> Row:
        """`mode`: how many decisions by who took them (the store, or the worker alone)."""
        modes: Counter[str] = Counter()
        for each in self._counts:
            modes.update(each.modes.get((route, limit), {}))
        return {
            "route": route,
            "limit": limit,
            "admitted_s": self._rate(lambda each: each.outcomes[route, limit, "admitted"]),
            "refused_s": self._rate(lambda each: each.outcomes[route, limit, "refused"]),
            "shadow_s": self._rate(lambda each: each.outcomes[route, limit, "shadow"]),
            "mode": dict(modes),
        }

    def _rate(self, pick: Callable[[Counts], int]) -> float:
        return rate(sum(map(pick, self._counts)), self._seconds)

    def _percentiles(self, family: Family, pick: Callable[[Counts], list[int] | None]) -> Percentiles:
        found = [buckets for buckets in map(pick, self._counts) if buckets is not None]
        return percentiles(family, total(family, found))


def rate(count: int, seconds: float) -> float:
    return round(count / seconds, 3) if seconds else 0.0


def percentiles(family: Family, buckets: Sequence[int]) -> Percentiles:
    """The 50th and the 99th in milliseconds; None where nothing was counted."""
    p50, p99 = (quantile(share, family.buckets, buckets) for share in (0.5, 0.99))
    return None if p50 is None else round(p50 * 1000, 3), None if p99 is None else round(p99 * 1000, 3)

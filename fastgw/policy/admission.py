"""The bound of a route on exchanges in flight (design section 5, phase 1): refuse before any work."""

from __future__ import annotations

from typing import Protocol

from fastgw.errors import STATUS, Reason
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Reply


class Bounded(Protocol):
    @property
    def max_in_flight(self) -> int | None: ...


class Admission:
    """Counts nothing itself: the pipeline keeps `route.in_flight`, this exchange included."""

    __slots__ = ("_bound", "_reply")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._reply = Reply(
            Reason.OVERLOADED,
            STATUS[Reason.OVERLOADED],
            "the route serves as many exchanges as it may; try again shortly",
            rule="max_in_flight",
        )

    def check(self, exchange: Exchange, runtime: object) -> Reply | None:
        route = exchange.route
        return self._reply if route is not None and route.in_flight > self._bound else None


def build(options: Bounded) -> Admission | None:
    return Admission(options.max_in_flight) if options.max_in_flight else None

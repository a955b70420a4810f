"""The bound of a route on exchanges in flight (design section 5, phase 1): refuse before any work."""

from __future__ import annotations

from typing import Protocol

from fastgw.errors import STATUS, Reason
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Reply
from fastgw.model.route import Route


class Bounded(Protocol):
    @property
    def max_in_flight(self) -> int | None: ...


class Admission:
    """Counts nothing itself: the pipeline keeps `route.in_flight`, this exchange included."""

    __slots__ = ("_before", "_bound", "_reply")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._before: tuple[Route, ...] = ()  # what the route was before reloads, while exchanges are in there
        self._reply = Reply(
            Reason.OVERLOADED,
            STATUS[Reason.OVERLOADED],
            "the route serves as many exchanges as it may; try again shortly",
            rule="max_in_flight",
        )

    def check(self, exchange: Exchange, runtime: object) -> Reply | None:
        route = exchange.route
        if route is None:
            return None
        count = route.in_flight
        if self._before:
            count += sum(before.in_flight for before in self._still_inside())
        return self._reply if count > self._bound else None

    def succeed(self, before: Route) -> None:
        """A reload changed the route: those that are inside by what it was count until they end."""
        earlier = before.chain[0] if before.chain else None
        # Looked at here as well: a route that nobody asks for would else hold all that it ever was.
        self._before = (before, *(earlier._still_inside() if isinstance(earlier, Admission) else ()))

    def _still_inside(self) -> tuple[Route, ...]:
        self._before = tuple(before for before in self._before if before.in_flight)
        return self._before


def build(options: Bounded) -> Admission | None:
    return Admission(options.max_in_flight) if options.max_in_flight else None

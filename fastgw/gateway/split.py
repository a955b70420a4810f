"""A traffic split: which part of a route gets an exchange (canary, blue-green). Its weights change with the snapshot.

The arithmetic is routing/split.py's; the parts are routes, which floor 3 cannot make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastgw.model.exchange import Exchange
from fastgw.model.keys import key_of
from fastgw.model.route import Route
from fastgw.routing.split import SplitTable


class TrafficSplit:
    """`sticky`: what of an exchange decides; None: chance does."""

    __slots__ = ("_heaviest", "_key_of", "_parts", "_random", "_table")

    def __init__(
        self, parts: Sequence[Route], weights: Sequence[int], sticky: str | None, name: str, random: Callable[[], float]
    ) -> None:
        self._parts = tuple(parts)
        self._heaviest = max(range(len(parts)), key=weights.__getitem__)
        self._table = SplitTable([(part.upstream, weight) for part, weight in zip(parts, weights, strict=True)], name)
        self._key_of = None if sticky is None else key_of(sticky)
        self._random = random

    def part(self, exchange: Exchange) -> Route:
        if self._key_of is None:
            return self._parts[self._table.choose(self._random())]
        return self._parts[self._table.stick(self._key_of(exchange))]

    def usual(self, exchange: Exchange) -> Route:
        """Without chance, for whoever asks what would become of a request: the part of its key, else the heaviest."""
        return self._parts[self._heaviest] if self._key_of is None else self.part(exchange)

"""A route's split: which of several upstreams an exchange goes to, by weight, by chance or by a key.

May not live here: what the parts are (they are numbers here, in the order given), whose key it is (model/keys.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from fastgw.model.keys import draw, point_of, seed_of


class SplitTable:
    """Immutable. Parts with weight 0 get nothing; one at least has more."""

    __slots__ = ("_bounds", "_drawn", "_total")

    def __init__(self, parts: Sequence[tuple[str, int]], salt: str) -> None:
        """`parts` are names and weights; `salt` is the route's name, so that the callers who are first to see something
        new are not the same ones on every route."""
        self._bounds = list(accumulate(weight for _, weight in parts))
        self._total = self._bounds[-1] if parts else 0
        if self._total <= 0:
            raise ValueError("a split needs a part with a weight above 0")
        # By name, not by place: a document that lists them in another order moves nobody.
        self._drawn = [
            (seed_of(f"{salt}\0{name}"), weight, index)
            for index, (name, weight) in enumerate(parts)
            if weight
        ]

    def choose(self, chance: float) -> int:
        """The number of a part; `chance` is at least 0.0 and below 1.0."""
        return bisect_right(self._bounds, int(chance * self._total))

    def stick(self, key: bytes) -> int:
        """The number of the part that this key always goes to: 1.0 us of two. Changed weights move those keys that must
        move: 95/5 to 90/10 every twentieth, from the first to the second."""
        point = point_of(key)
        return min([(draw(point, seed) / weight, index) for seed, weight, index in self._drawn])[1]

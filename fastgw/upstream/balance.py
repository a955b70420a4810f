"""Ways to choose a target: smooth weighted round robin, least requests, the better of two; rendezvous.py has one by key.
Pure arithmetic.

May not live here: health, pools, slow start, which targets exist. Candidates are few (an upstream's targets that may be
asked now), so each way looks at all of them: 0.1 to 0.25 us a candidate, and nothing to keep in step with a list that
changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from fastgw.upstream.rendezvous import Rendezvous


class Candidate(Protocol):
    """What a choice is made by."""

    @property
    def weight(self) -> float:
        """Above zero. As configured: what a cold target takes part in is slow_start's word."""

    @property
    def in_flight(self) -> int: ...

    @property
    def ewma(self) -> float:
        """Seconds until an answer, a moving average; 0.0 as long as nothing was measured."""

    @property
    def seed(self) -> int:
        """Of its label, for the choice by key: model.keys.seed_of."""

    current: float  # scratch of RoundRobin: nobody else reads or writes it


C = TypeVar("C", bound=Candidate)


class Balancer(Protocol[C]):
    def pick(self, candidates: Sequence[C], exclude: C | None, point: int) -> C:
        """One of `candidates`, which are not empty; not `exclude` (the one an attempt just failed on), unless there is
        no other. `point` is the key's (model.keys.point_of) where the choice is by key, else 0."""


class RoundRobin:
    """Smooth and weighted, as in nginx: weights 5, 1, 1 give a a b a c a a, never five in a row."""

    __slots__ = ()

    def pick(self, candidates: Sequence[C], exclude: C | None, point: int) -> C:
        best: C | None = None
        total: float = 0
        for candidate in candidates:
            if candidate is exclude:
                continue
            total += candidate.weight
            candidate.current += candidate.weight
            if best is None or candidate.current > best.current:
                best = candidate
        if best is None:
            return candidates[0]
        best.current -= total
        return best


class LeastRequests:
    """The fewest requests in flight for its weight; among equals by chance, in proportion to their weights. (The first
    of equals would take all the traffic of a quiet upstream, and the same one in every worker.)"""

    __slots__ = ("_random",)

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random

    def pick(self, candidates: Sequence[C], exclude: C | None, point: int) -> C:
        best: C | None = None
        tied: float = 0  # weight of all that are as good as `best`
        for candidate in candidates:
            if candidate is exclude:
                continue
            if best is None:
                best, tied = candidate, candidate.weight
                continue
            # a/v < b/w without a division: exact, so that a tie is a tie
            mine = candidate.in_flight * best.weight
            its = best.in_flight * candidate.weight
            if mine < its:
                best, tied = candidate, candidate.weight
            elif mine == its:
                tied += candidate.weight
                if self._random() * tied < candidate.weight:
                    best = candidate
        return candidates[0] if best is None else best


class BetterOfTwo:
    """Two different candidates by chance, in proportion to their weights; of these the one with the lower
    (in flight / weight + 1) * latency.

    At weight 1 that is the usual (in flight + 1) * latency. The weight divides the load only: dividing the whole would
    send everything to the heavier of two idle targets."""

    __slots__ = ("_random",)

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random

    def pick(self, candidates: Sequence[C], exclude: C | None, point: int) -> C:
        if exclude is not None:
            candidates = [candidate for candidate in candidates if candidate is not exclude] or candidates
        count = len(candidates)
        if count == 1:
            return candidates[0]
        if count == 2:
            one, other = candidates
            if self._random() * (one.weight + other.weight) >= one.weight:
                one, other = other, one
        else:
            total = sum([candidate.weight for candidate in candidates])
            one = self._drawn(candidates, total, None)
            other = self._drawn(candidates, total - one.weight, one)
        return self._better(one, other)

    def _drawn(self, candidates: Sequence[C], total: float, without: C | None) -> C:
        mark = self._random() * total
        last = candidates[0]
        for candidate in candidates:
            if candidate is without:
                continue
            last = candidate
            mark -= candidate.weight
            if mark < 0:
                break
        return last

    def _better(self, one: C, other: C) -> C:
        # Where they are equal it is the one drawn first: so the shares of equals are exactly their weights.
        mine = (one.in_flight + one.weight) * other.weight
        its = (other.in_flight + other.weight) * one.weight
        # Until both are measured only the load counts: an unknown latency of 0.0 would draw every request. The same where
        # they are nearly equal, the more often the nearer: so that each gets its part and is measured. (With every
        # difference counted, 598 of 600 go to whoever answered a little faster at first.)
        fast, slow = one.ewma, other.ewma
        if fast > slow:
            fast, slow = slow, fast
        if fast > 0.0 and slow - fast > fast * self._random():
            return one if mine * one.ewma <= its * other.ewma else other
        return one if mine <= its else other


def make_balancer(kind: str, random: Callable[[], float]) -> Balancer[Any]:
    """`kind` is the option's word; `random` gives floats from 0 up to 1."""
    if kind == "round_robin":
        return RoundRobin()
    if kind == "least_requests":
        return LeastRequests(random)
    if kind == "p2c":
        return BetterOfTwo(random)
    if kind == "hash":
        return Rendezvous()
    raise ValueError(f"no way to balance is called {kind!r}")

"""The way to balance that gives a key always the same target: each key has its own order of all targets, and the first
one that is there gets it.

A target that leaves gives up its own keys only, one that comes back gets the same ones again, and there is no ring to
rebuild whenever health or a breaker changes who is there: 0.25 us a candidate and choice instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Protocol, TypeVar

from fastgw.model.keys import MASK, MIX, UNIT


class Place(Protocol):
    @property
    def weight(self) -> float: ...

    @property
    def seed(self) -> int:
        """Of its label: model.keys.seed_of."""


P = TypeVar("P", bound=Place)


class Rendezvous:
    """See model.keys.draw, which is written out here: a call would cost as much as the arithmetic."""

    __slots__ = ()

    def pick(self, candidates: Sequence[P], exclude: P | None, point: int) -> P:
        best: P | None = None
        least = 0.0
        for candidate in candidates:
            if candidate is exclude:
                continue
            distance = -log(((point ^ candidate.seed) * MIX & MASK | 1) * UNIT) / candidate.weight
            if best is None or distance < least:
                best, least = candidate, distance
        return candidates[0] if best is None else best

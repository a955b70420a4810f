"""Slow start: how much of the traffic a target that came back takes part in, and in which choices.

May not live here: when a target came back, the ways to balance. These never see it: they get fewer candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from fastgw.model.keys import MASK, UNIT

# Where the warm-up begins. Nothing at all would warm up nobody; a tenth fills a target's connections and caches, and
# costs one request in twenty of two targets if it fails again.
FIRST_SHARE: Final = 0.1

# Another permutation than the draw between targets: the keys that begin are no particular ones.
_MIX: Final = 0xC2B2AE3D27D4EB4F


class Warming(Protocol):
    @property
    def share(self) -> float:
        """As `warm_share` says; 1.0 for a target that is warm."""

    @property
    def seed(self) -> int: ...


W = TypeVar("W", bound=Warming)


def warm_share(age: float, slow_start: float) -> float:
    """Of a target that came back `age` seconds ago: from a tenth to 1.0, in a straight line over `slow_start`."""
    if age >= slow_start:
        return 1.0
    return FIRST_SHARE + (1.0 - FIRST_SHARE) * max(age, 0.0) / slow_start


def taking_part(
    candidates: Sequence[W], exclude: W | None, point: int, random: Callable[[], float]
) -> Sequence[W]:
    """Those that a choice is made among, asked for only while one of them is cold: that one is there in its share of the
    choices. (A smaller weight would do nothing on a quiet upstream: ways that look at the load take whoever is idle.)

    With a point other than 0 it is the key that decides, not chance: its keys come back one after the other, and none
    that has come goes away again. Where nobody but `exclude` would take part, all do."""
    chosen = []
    others = 0
    for candidate in candidates:
        share = candidate.share
        if share < 1.0:
            lot = ((point ^ candidate.seed) * _MIX & MASK) * UNIT if point else random()
            if lot >= share:
                continue
        chosen.append(candidate)
        if candidate is not exclude:
            others += 1
    return chosen if others else candidates

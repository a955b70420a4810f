"""Medians, percentiles and paired ratios with their spread.

Pure arithmetic; knows nothing of sides or cases.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Ratio:
    """Median of the ratios of each round; quartiles as spread (both ends with fewer than four rounds)."""

    median: float
    low: float
    high: float
    rounds: int

    def plain(self) -> dict[str, float]:
        return asdict(self)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: an actual measurement, never an invention between two. `ordered` is sorted."""
    if not ordered:
        raise ValueError("no values")
    rank = -(-len(ordered) * share // 1)  # ceiling
    return ordered[min(len(ordered), max(1, int(rank))) - 1]


def paired(ours: Sequence[float], base: Sequence[float]) -> Ratio:
    """Ratio round by round, then the median.

    Noise that lasts longer than a round hits both sides of a pair.
    """
    if len(ours) != len(base):
        raise ValueError(f"{len(ours)} rounds cannot be paired with {len(base)}")
    if not ours:
        raise ValueError("no rounds")
    if any(value <= 0 for value in base):
        raise ValueError("the base must be positive in every round")
    ratios = sorted(a / b for a, b in zip(ours, base, strict=True))
    if len(ratios) < 4:
        return Ratio(median(ratios), ratios[0], ratios[-1], len(ratios))
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median(ratios), low, high, len(ratios))


def rotated(items: Sequence[T], by: int) -> list[T]:
    """The order of the sides in round `by`: nobody is always first after the pause."""
    if not items:
        return []
    by %= len(items)
    return [*items[by:], *items[:by]]

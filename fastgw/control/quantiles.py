"""A quantile out of the buckets of a histogram, as Prometheus' histogram_quantile does it."""

from __future__ import annotations

from collections.abc import Sequence


def quantile(share: float, bounds: Sequence[float], counts: Sequence[int]) -> float | None:
    """In the unit of the bounds. `counts` has one more than `bounds`, for what lies beyond; None: nothing was counted.

    Inside a bucket values are taken to be spread evenly; what lies beyond the last bound counts as that bound.
    """
    total = sum(counts)
    if not total:
        return None
    wanted = share * total
    running = 0
    lower = 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and running + count >= wanted:
            return lower + (bound - lower) * (wanted - running) / count
        running += count
        lower = bound
    return lower

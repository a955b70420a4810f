from __future__ import annotations

import pytest

from bench import stats


def test_ratio_is_the_median_of_pairs_not_the_ratio_of_medians() -> None:
    ratio = stats.paired([10, 20, 90], [10, 10, 30])
    assert (ratio.median, ratio.low, ratio.high, ratio.rounds) == (2.0, 1.0, 3.0, 3)


def test_spread_is_the_quartiles_from_four_rounds_on() -> None:
    ratio = stats.paired([1, 2, 3, 4, 100], [1, 1, 1, 1, 1])
    assert (ratio.median, ratio.low, ratio.high) == (3, 2, 4)


@pytest.mark.parametrize(("ours", "base"), [([], []), ([1], [1, 2]), ([1], [0]), ([1, 2], [1, -1])])
def test_pairs_that_cannot_be_compared_are_refused(ours: list[float], base: list[float]) -> None:
    with pytest.raises(ValueError, match=r"."):
        stats.paired(ours, base)


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([7], 0.99, 7),
        (list(range(1, 101)), 0.99, 99),
        (list(range(1, 101)), 0.5, 50),
        ([1, 2], 1.0, 2),
        ([1, 2], 0.0, 1),
    ],
)
def test_percentile_is_a_measured_value(values: list[float], share: float, wanted: float) -> None:
    assert stats.percentile(values, share) == wanted


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        stats.percentile([], 0.5)


def test_every_side_is_first_once() -> None:
    sides = ["a", "b", "c"]
    assert [stats.rotated(sides, number)[0] for number in range(3)] == sides
    assert stats.rotated([], 4) == []

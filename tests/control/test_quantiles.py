import pytest

from fastgw.control.quantiles import quantile

BOUNDS = (0.1, 0.2, 0.4)


@pytest.mark.parametrize(
    ("share", "counts", "expected"),
    [
        (0.5, [0, 0, 0, 0], None),
        (0.5, [10, 0, 0, 0], 0.05),  # evenly spread between 0 and the first bound
        (0.5, [0, 10, 0, 0], 0.15),
        (0.99, [0, 0, 100, 0], 0.398),
        (0.5, [5, 0, 5, 0], 0.1),  # the empty bucket is not where the median is
        (1.0, [1, 1, 1, 0], 0.4),
        (0.99, [0, 0, 0, 3], 0.4),  # beyond the last bound counts as that bound
        (0.5, [1, 0, 0, 9], 0.4),
    ],
)
def test_quantile(share: float, counts: list[int], expected: float | None) -> None:
    assert quantile(share, BOUNDS, counts) == (None if expected is None else pytest.approx(expected))

"""A limit that no bucket can keep is refused where it is made."""

from __future__ import annotations

import pytest

from fastgw.limiter.limit import Limit


@pytest.mark.parametrize(
    ("rate", "burst"),
    [(0.0, 1), (-1.0, 1), (float("inf"), 1), (float("nan"), 1), (1.0, 0), (1.0, 0.5), (1.0, float("nan"))],
)
def test_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="a rate above 0"):
        Limit(b"r/x", "x", rate, burst, "local", False, False)


@pytest.mark.parametrize(("rate", "burst"), [(1e-6, 1), (1e9, 1e9), (0.5, 1.0)])
def test_accepted(rate: float, burst: float) -> None:
    assert Limit(b"r/x", "x", rate, burst, "local", False, False).state is None

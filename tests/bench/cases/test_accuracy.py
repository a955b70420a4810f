from __future__ import annotations

import pytest

from bench.cases import accuracy
from bench.load.wrk import Result


def test_admitted_against_rate_times_time_and_burst() -> None:
    found = accuracy.figures_of(
        Result(50_000, 10.0, 0, 100, 2500, refused=50_000 - 10_890), {"redis": 3.0, "local": 1.0}
    )
    assert found["due"] == 11_000
    assert found["admitted"] == 10_890
    assert found["off %"] == pytest.approx(-1.0)
    assert found["asked/due"] == pytest.approx(4.545, abs=0.001)
    assert found["p99 ms"] == 2.5
    assert found["without store %"] == 25.0

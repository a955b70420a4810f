from __future__ import annotations

import pytest

from bench.machine import Pinning, pinning


@pytest.mark.parametrize(
    ("workers", "cores", "gateway", "load", "shared"),
    [
        (1, (0, 1), (0,), (1,), False),
        (1, (0, 1, 2, 3), (0,), (1, 2, 3), False),
        (2, (0, 1, 2, 3), (0, 1), (2, 3), False),
        (2, (0, 1), (0, 1), (0, 1), True),
        (2, (0, 1, 2), (0, 1, 2), (0, 1, 2), True),
        (1, (0,), (0,), (0,), True),
    ],
)
def test_load_is_kept_away_where_the_cores_allow(
    workers: int, cores: tuple[int, ...], gateway: tuple[int, ...], load: tuple[int, ...], shared: bool
) -> None:
    found = pinning(workers, cores)
    assert found == Pinning(gateway, load)
    assert found.shared is shared

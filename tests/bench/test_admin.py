from __future__ import annotations

import pytest

from bench import admin, process
from bench.errors import BenchError


@pytest.mark.parametrize(
    ("version", "workers", "served"),
    [(4, [4, 4], True), (4, [4, 3], False), (3, [3, 3], False), (4, [], False)],
)
def test_served_means_newer_and_everywhere(version: int, workers: list[int], served: bool) -> None:
    found = {"version": version, "workers": [{"version": worker} for worker in workers]}
    assert admin.served_by_all(found, 3) is served


def test_no_admin_address_is_said() -> None:
    with pytest.raises(BenchError, match="/api/status"):
        admin.status(process.free_port())

"""What `auto` means."""

from __future__ import annotations

import os

import pytest

from fastgw.supervisor.cores import usable_cores


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", None),
        ("100000 100000\n", 1),
        ("10000 100000\n", 1),
        ("9900000 100000\n", None),
        ("?", None),
    ],
)
def test_a_quota_bounds_the_affinity(tmp_path, text, cores):
    limit = tmp_path / "cpu.max"
    limit.write_text(text)
    assert usable_cores(limit) == (cores or len(os.sched_getaffinity(0)))


def test_without_a_quota_it_is_the_affinity(tmp_path):
    assert usable_cores(tmp_path / "absent") == len(os.sched_getaffinity(0))

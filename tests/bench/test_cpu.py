from __future__ import annotations

import os

import pytest

from bench import cpu
from bench.cpu import ProcessTime
from bench.errors import BenchError, VoidError


def test_stat_of_a_command_with_spaces_and_parentheses() -> None:
    fields = ["S", "41", *["0"] * 9, "120", "30", *["0"] * 6, "987654", "0"]
    assert cpu.parse_stat(f"42 (a ) (b) {' '.join(fields)}") == ("a ) (b", 41, 120, 30, 987654)


def test_nanoseconds_are_split_by_the_ticks() -> None:
    before = {(1, 5): ProcessTime("worker", 100, 50, 1_000_000_000)}
    after = {(1, 5): ProcessTime("worker", 130, 60, 1_420_000_000)}
    used = cpu.between(before, after)
    assert (round(used.user, 6), round(used.kernel, 6), round(used.total, 6)) == (0.315, 0.105, 0.42)


def test_without_schedstat_the_ticks_count() -> None:
    used = cpu.between(
        {(1, 5): ProcessTime("w", 0, 0, 0)}, {(1, 5): ProcessTime("w", cpu.TICK, 2 * cpu.TICK, 0)}
    )
    assert (used.user, used.kernel) == (1.0, 2.0)


def test_all_processes_count_and_a_newborn_counts_from_zero() -> None:
    before = {(1, 5): ProcessTime("supervisor", 0, 0, 10)}
    after = {
        (1, 5): ProcessTime("supervisor", 0, 0, 1_000_000_010),
        (2, 9): ProcessTime("logger", 0, 0, 500_000_000),
    }
    assert cpu.between(before, after).total == pytest.approx(1.5)
    assert cpu.by_process(before, after) == {"1 supervisor": 1.0, "2 logger": 0.5}


def test_a_process_that_ended_voids_the_round() -> None:
    with pytest.raises(VoidError, match=r"logger \(2\)"):
        cpu.between({(2, 9): ProcessTime("logger", 1, 1, 1)}, {})


def test_a_pid_that_was_used_again_is_another_process() -> None:
    with pytest.raises(VoidError, match="ended"):
        cpu.between({(2, 9): ProcessTime("w", 1, 1, 1)}, {(2, 10): ProcessTime("w", 1, 1, 1)})


def test_this_process_is_seen() -> None:
    pid = os.getpid()
    assert pid in {key[0] for key in cpu.read_sample(pid)}
    assert cpu.resident([pid])[pid] > 1 << 20


def test_a_side_that_is_gone_is_said() -> None:
    with pytest.raises(BenchError, match="gone"):
        cpu.read_sample(2**22 + 1)  # above the greatest pid

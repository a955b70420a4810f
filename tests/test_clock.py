"""The system's clocks go forward; the manual one goes where it is sent."""

from __future__ import annotations

import time

from fastgw.clock import Clock, ManualClock, SystemClock


def test_the_system_clock_is_monotonic_and_knows_the_time_of_day() -> None:
    clock: Clock = SystemClock()
    before, wall = time.monotonic(), time.time()
    first, second = clock.now(), clock.now()
    assert before <= first <= second <= time.monotonic()
    assert abs(clock.wall() - wall) < 60.0


def test_the_manual_clock_moves_both_times_and_only_when_told() -> None:
    clock = ManualClock(now=5.0, wall=100.0)
    assert (clock.now(), clock.wall()) == (5.0, 100.0)
    clock.advance(2.5)
    assert (clock.now(), clock.wall()) == (7.5, 102.5)
    assert (clock.now(), clock.wall()) == (7.5, 102.5)

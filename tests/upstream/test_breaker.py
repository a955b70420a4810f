"""Every transition, its cause and its time; everything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import pytest

from fastgw.upstream.breaker import CLOSED, HALF_OPEN, LEGAL, OPEN, Breaker, BreakerState, Transition


@dataclass(frozen=True)
class Limits:
    failures: int = 5
    error_rate: float = 0.5
    window: float = 10.0
    min_requests: int = 20
    open_for: float = 5.0
    max_open_for: float = 60.0
    probes: int = 1
    successes: int = 2


class Bench:
    """A breaker and all it told; without jitter unless asked for."""

    def __init__(self, options: Limits | None = None, random: Callable[[], float] = lambda: 0.0) -> None:
        self.told: list[Transition] = []
        self.breaker = Breaker(options or Limits(), 0.0, random, self.told.append)

    def fail(self, count: int, now: float) -> None:
        for _ in range(count):
            self.breaker.failed(self.breaker.era, now, "connect_refused")

    def succeed(self, count: int, now: float) -> None:
        for _ in range(count):
            self.breaker.succeeded(self.breaker.era, now)

    def half_open(self, options: Limits | None = None) -> int:
        """It opened at 0 and lets the first probe in at 5."""
        self.fail(5, 0.0)
        return self.breaker.admit(5.0)


def test_it_starts_closed_and_admits() -> None:
    bench = Bench()
    assert bench.breaker.state is CLOSED
    assert bench.breaker.admit(0.0) == bench.breaker.era == 1
    assert not bench.breaker.probing(0.0)
    assert bench.told == []


def test_failures_in_a_row_open_it() -> None:
    bench = Bench()
    bench.fail(4, 1.0)
    assert bench.breaker.state is CLOSED
    bench.fail(1, 1.0)
    cause = "5 failures in a row, the last one connect_refused"
    assert bench.told == [Transition(OPEN, cause, 1.0, 6.0, False, "failures")]
    assert bench.breaker.last is bench.told[0]
    assert bench.breaker.admit(5.9) == 0
    assert not bench.breaker.would_admit(5.9)


def test_a_success_ends_the_row() -> None:
    bench = Bench()
    bench.fail(4, 1.0)
    bench.succeed(1, 1.0)
    bench.fail(4, 1.0)
    assert bench.breaker.state is CLOSED


def test_a_success_counted_by_the_caller_ends_the_row() -> None:
    bench = Bench()
    bench.fail(4, 1.0)
    bench.breaker.ok += 1
    bench.breaker.failures_in_row = 0
    bench.fail(4, 1.0)
    assert bench.breaker.state is CLOSED


def test_one_failure_is_enough_where_one_is_written() -> None:
    bench = Bench(Limits(failures=1))
    bench.fail(1, 1.0)
    assert bench.told[0].cause == "1 failure in a row, the last one connect_refused"


def test_the_error_rate_opens_it() -> None:
    bench = Bench(Limits(failures=1000))
    bench.succeed(10, 1.0)
    bench.fail(9, 2.0)
    assert bench.breaker.state is CLOSED  # 9 of 19: neither enough requests nor enough failures
    bench.fail(1, 2.0)
    cause = "50 % of 20 attempts failed within 10 s"
    assert bench.told == [Transition(OPEN, cause, 2.0, 7.0, False, "error_rate")]


def test_the_error_rate_needs_its_requests() -> None:
    bench = Bench(Limits(failures=1000))
    bench.fail(19, 1.0)
    assert bench.breaker.state is CLOSED


def test_failures_older_than_the_window_do_not_count() -> None:
    bench = Bench(Limits(failures=1000))
    bench.fail(19, 0.0)
    bench.fail(1, 10.0)
    assert bench.breaker.state is CLOSED


def test_successes_older_than_the_window_do_not_count() -> None:
    bench = Bench(Limits(failures=1000))
    bench.succeed(1000, 0.0)
    for tenth in range(1, 101):
        bench.breaker.tick(tenth / 10)
    bench.fail(20, 10.1)
    assert bench.breaker.state is OPEN


def test_an_open_one_says_truly_when_to_come_back() -> None:
    bench = Bench()
    bench.fail(5, 0.0)
    assert bench.breaker.retry_after(0.0) == 5
    assert bench.breaker.retry_after(0.5) == 5
    assert bench.breaker.retry_after(4.5) == 1
    assert bench.breaker.retry_after(9.0) == 1


def test_looking_takes_nothing() -> None:
    bench = Bench()
    bench.fail(5, 0.0)
    for _ in range(3):
        assert bench.breaker.probing(5.0)
        assert bench.breaker.would_admit(5.0)
    assert bench.breaker.state is OPEN


def test_half_open_lets_as_many_probes_in_as_written() -> None:
    bench = Bench(Limits(probes=2))
    first = bench.half_open()
    assert bench.told[-1] == Transition(HALF_OPEN, "time for a probe", 5.0, 0.0, False, "probe_due")
    assert first == bench.breaker.era == 3
    assert bench.breaker.probing(5.0)
    assert bench.breaker.admit(5.0) == first
    assert not bench.breaker.probing(5.0)
    assert bench.breaker.admit(5.0) == 0
    assert bench.breaker.retry_after(5.0) == 1
    bench.breaker.dropped(first, 5.1)
    assert bench.breaker.admit(5.1) == first


def test_successes_close_it_with_nothing_counted() -> None:
    bench = Bench()
    ticket = bench.half_open()
    bench.breaker.succeeded(ticket, 5.1)
    assert bench.breaker.state is HALF_OPEN
    ticket = bench.breaker.admit(5.2)
    bench.breaker.succeeded(ticket, 5.3)
    assert bench.told[-1] == Transition(CLOSED, "2 probes succeeded", 5.3, 0.0, False, "probes_succeeded")
    bench.fail(4, 5.4)
    assert bench.breaker.state is CLOSED


def test_one_failure_opens_it_again_for_twice_the_time() -> None:
    bench = Bench()
    now, times = 0.0, []
    bench.fail(5, now)
    for _ in range(6):
        probe_at = bench.breaker.last.probe_at
        times.append(probe_at - now)
        now = probe_at
        bench.breaker.failed(bench.breaker.admit(now), now, "response_timeout")
        assert bench.breaker.last.cause == "probe failed: response_timeout"
        assert bench.breaker.last.kind == "probe_failed"
    assert times == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


@pytest.mark.parametrize(("after", "seconds"), [(9.9, 10.0), (10.0, 5.0)])
def test_the_time_starts_over_once_it_stayed_closed_for_a_window(after: float, seconds: float) -> None:
    bench = Bench(Limits(successes=1))
    bench.breaker.succeeded(bench.half_open(), 6.0)
    assert bench.told[-1].cause == "1 probe succeeded"
    bench.fail(5, 6.0 + after)
    assert bench.breaker.last.probe_at - (6.0 + after) == pytest.approx(seconds)


def test_the_jitter_only_shortens() -> None:
    for drawn in (0.0, 0.5, 0.999):
        bench = Bench(Limits(open_for=60.0), random=lambda drawn=drawn: drawn)  # type: ignore[misc]  # a default
        bench.fail(5, 0.0)
        assert bench.breaker.last.probe_at == pytest.approx(60.0 * (1 - 0.1 * drawn))


def test_doubling_without_end_does_not_overflow() -> None:
    bench = Bench(Limits(open_for=1.0, max_open_for=1.0))
    bench.fail(5, 0.0)
    for turn in range(1, 3000):
        bench.breaker.failed(bench.breaker.admit(float(turn)), float(turn), "reset")
    assert bench.breaker.retry_after(2999.0) == 1


def test_results_of_before_it_opened_are_ignored() -> None:
    bench = Bench(Limits(successes=1))
    old = bench.breaker.admit(0.0)
    bench.half_open()
    bench.breaker.succeeded(old, 5.0)
    bench.breaker.failed(old, 5.0, "response_timeout")
    bench.breaker.dropped(old, 5.0)
    assert bench.breaker.state is HALF_OPEN
    assert bench.breaker.admit(5.0) == 0  # the probe's place is still taken


def test_a_probe_that_never_ends_does_not_block_for_good() -> None:
    bench = Bench()
    bench.half_open()
    assert not bench.breaker.would_admit(9.9)
    assert bench.breaker.admit(9.9) == 0
    assert bench.breaker.would_admit(10.0)
    assert bench.breaker.admit(10.0)
    assert bench.breaker.admit(10.0) == 0


def test_forced_open_admits_nothing_until_its_end_and_then_probes() -> None:
    bench = Bench()
    bench.breaker.force("open", 100.0, 0.0)
    assert bench.told == [Transition(OPEN, "forced by an operator", 0.0, 100.0, True, "forced", 100.0)]
    assert bench.breaker.admit(99.9) == 0
    assert bench.breaker.retry_after(40.5) == 60
    bench.breaker.tick(99.9)
    assert bench.breaker.state is OPEN
    bench.breaker.tick(100.0)
    assert bench.told[-1] == Transition(HALF_OPEN, "no longer forced", 100.0, 0.0, False, "force_ended")
    assert bench.breaker.admit(100.0)
    assert bench.breaker.admit(100.0) == 0


def test_forced_open_ends_without_a_tick() -> None:
    bench = Bench()
    bench.breaker.force("open", 100.0, 0.0)
    assert bench.breaker.probing(100.0)
    assert bench.breaker.admit(100.0) == bench.breaker.era
    assert not bench.breaker.forced
    assert bench.breaker.admit(100.0) == 0


def test_forced_closed_never_opens_and_ends_with_nothing_counted() -> None:
    bench = Bench()
    bench.fail(5, 0.0)
    bench.breaker.force("closed", 100.0, 1.0)
    assert bench.told[-1] == Transition(CLOSED, "forced by an operator", 1.0, 0.0, True, "forced", 100.0)
    bench.fail(1000, 2.0)
    assert bench.breaker.admit(2.0)
    bench.breaker.tick(100.0)
    assert bench.told[-1] == Transition(CLOSED, "no longer forced", 100.0, 0.0, False, "force_ended")
    bench.fail(4, 100.0)
    assert bench.breaker.state is CLOSED
    bench.fail(1, 100.0)
    assert bench.breaker.last.probe_at == 105.0  # what was doubled starts over


def test_forcing_takes_the_tickets_back() -> None:
    bench = Bench()
    ticket = bench.half_open()
    bench.breaker.force("closed", 100.0, 5.0)
    bench.breaker.unforce(6.0)
    for _ in range(100):
        bench.breaker.failed(ticket, 6.0, "reset")
    assert bench.breaker.state is CLOSED


def test_what_was_counted_before_it_was_forced_is_forgotten() -> None:
    bench = Bench(Limits(failures=1000))
    bench.breaker.ok += 100  # not in the window yet
    bench.breaker.force("closed", 100.0, 0.0)
    bench.breaker.unforce(1.0)
    bench.fail(20, 1.0)
    assert bench.breaker.state is OPEN


def test_probes_of_another_era_take_no_place() -> None:
    bench = Bench()
    bench.half_open()
    bench.breaker.force("open", 6.0, 5.0)
    bench.breaker.tick(6.0)
    assert bench.breaker.admit(6.0)


def test_the_same_fact_told_again_changes_nothing() -> None:
    bench = Bench()
    bench.breaker.force("open", 100.0, 0.0)
    bench.breaker.force("open", 100.0, 1.0)
    assert len(bench.told) == 1
    bench.breaker.force("open", 200.0, 1.0)
    assert bench.told[-1].probe_at == 200.0


def test_a_fact_that_is_over_forces_nothing() -> None:
    bench = Bench()
    bench.breaker.force("open", 5.0, 5.0)
    assert bench.breaker.state is CLOSED
    assert bench.told == []
    bench.breaker.unforce(6.0)
    assert bench.told == []


def test_an_unknown_forced_state_is_refused() -> None:
    with pytest.raises(KeyError, match="half_open"):
        Bench().breaker.force("half_open", 100.0, 0.0)


def test_other_options_keep_the_state() -> None:
    bench = Bench()
    bench.fail(4, 0.0)
    bench.breaker.configure(Limits(failures=6), 0.0)
    bench.fail(1, 0.0)
    assert bench.breaker.state is CLOSED
    bench.fail(1, 0.0)
    assert bench.breaker.state is OPEN
    bench.breaker.configure(Limits(open_for=1.0, max_open_for=1.0), 0.0)
    assert bench.breaker.retry_after(0.0) == 5


def test_another_window_counts_from_new_and_the_same_one_goes_on() -> None:
    options = Limits(failures=1000)
    bench = Bench(options)
    bench.succeed(15, 0.0)
    bench.fail(15, 0.0)  # 15 of 30, and the last one opened it
    assert bench.breaker.state is OPEN
    bench = Bench(options)
    bench.breaker.ok += 100  # not in the window yet
    bench.fail(15, 0.0)
    bench.breaker.ok += 100
    bench.breaker.configure(replace(options, probes=3), 0.0)
    bench.breaker.configure(replace(options, window=5.0), 0.0)
    bench.fail(19, 0.0)
    assert bench.breaker.state is CLOSED
    bench.breaker.configure(replace(options, window=5.0, probes=3), 0.0)
    bench.fail(1, 0.0)
    assert bench.breaker.state is OPEN


def test_steady_after_twenty_successes_since_the_last_failure() -> None:
    bench = Bench()
    bench.succeed(19, 0.0)
    assert not bench.breaker.steady
    bench.succeed(1, 0.0)
    assert bench.breaker.steady
    bench.fail(1, 0.0)
    assert not bench.breaker.steady
    bench.succeed(20, 0.0)
    assert bench.breaker.steady
    bench.breaker.force("open", 10.0, 0.0)
    assert not bench.breaker.steady
    bench.breaker.force("closed", 10.0, 0.0)
    assert not bench.breaker.steady


def test_who_is_told_sees_the_breaker_as_it_is_then() -> None:
    seen: list[tuple[BreakerState, int, int]] = []

    def look(told: Transition) -> None:
        seen.append((breaker.state, breaker.era, breaker.retry_after(told.at)))
        assert breaker.last is told

    breaker = Breaker(Limits(failures=1), 0.0, lambda: 0.0, look)
    breaker.failed(breaker.admit(0.0), 0.0, "reset")
    assert breaker.admit(5.0)
    assert seen == [(OPEN, 2, 5), (HALF_OPEN, 3, 1)]


def test_a_table_of_transitions_and_nothing_beside_it() -> None:
    kinds = {kind for _, kind in LEGAL} | {"boredom"}
    refused = 0
    for state, kind, to in product(BreakerState, kinds, BreakerState):
        bench = Bench()
        bench.breaker.state = state
        change = bench.breaker._change  # the guard itself: no public call can get there
        if to in LEGAL.get((state, kind), ()):
            change(to, kind, "", 0.0)
            assert bench.breaker.state is to
        else:
            refused += 1
            with pytest.raises(ValueError, match=f"{state.name} does not become {to.name}"):
                change(to, kind, "", 0.0)
            assert bench.told == []
            assert bench.breaker.state is state
    assert refused == 3 * 8 * 3 - 13

"""What retries may cost: at most a quarter in an outage, and nothing is refused while there is somewhere to go."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgw.upstream.budget import RetryBudget


def test_few_are_always_allowed() -> None:
    budget = RetryBudget(0.2, floor=3)
    assert [budget.take(1) for _ in range(4)] == [True, True, True, False]
    assert budget.in_use == 3


def test_not_more_than_the_share_in_flight() -> None:
    budget = RetryBudget(0.2, floor=3)
    taken = 0
    for _ in range(64):
        budget.firsts += 5  # credit is not what refuses
        taken += budget.take(64)
    assert taken == 12  # 13 of 64 would be more than a fifth


def test_failed_ones_are_paid_for_by_first_attempts() -> None:
    budget = RetryBudget(0.25, floor=3)
    for _ in range(3):
        assert budget.take(1000)
        budget.give(False)
    assert not budget.take(1000)
    budget.firsts += 3
    assert not budget.take(1000)
    budget.firsts += 1
    assert budget.take(1000)
    budget.give(False)
    assert not budget.take(1000)


def test_those_that_succeed_cost_nothing() -> None:
    budget = RetryBudget(0.0, floor=1)
    for _ in range(100):
        assert budget.take(1)
        budget.give(True)
    assert budget.in_use == 0


def test_no_more_is_saved_than_the_floor() -> None:
    budget = RetryBudget(0.2, floor=3)
    budget.firsts += 10_000
    assert sum(budget.take(10_000) for _ in range(100)) == 3


def test_a_steady_target_is_never_refused_and_its_failures_are_saved_again() -> None:
    budget = RetryBudget(0.5, floor=3)
    assert all(budget.take(64, steady=True) for _ in range(32))
    for _ in range(32):
        budget.give(False)
    assert not budget.take(64)
    budget.firsts += 59
    assert not budget.take(64)  # 29 owed, 29.5 paid
    budget.firsts += 1
    assert budget.take(64)


def test_another_share_counts_from_then_on() -> None:
    budget = RetryBudget(0.0, floor=1)
    assert budget.take(1)
    budget.give(False)
    budget.firsts += 100
    budget.configure(0.5)
    assert not budget.take(1)
    budget.firsts += 2
    assert budget.take(1)


@given(
    st.floats(0.0, 1.0),
    st.integers(0, 12),
    st.lists(st.tuples(st.sampled_from(["first", "take", "steady", "good", "bad"]), st.integers(1, 200))),
)
def test_against_a_plain_model(share: float, floor: int, steps: list[tuple[str, int]]) -> None:
    budget = RetryBudget(share, floor)
    credit, busy = float(floor), 0
    for what, in_flight in steps:
        if what == "first":
            budget.firsts += 1
            credit = min(floor, credit + share)
        elif what in ("take", "steady"):
            room = busy < floor or busy + 1 <= share * in_flight
            if abs(credit - 1.0) < 1e-6 and what == "take":
                continue  # sums of floats in another order
            allowed = what == "steady" or (room and credit >= 1.0)
            assert budget.take(in_flight, what == "steady") is allowed
            busy += allowed
            credit -= allowed
        elif busy:
            budget.give(what == "good")
            busy -= 1
            credit = min(floor, credit + (what == "good"))
        assert budget.in_use == busy


# --- simulated upstreams ------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    requests: int = 0
    attempts: int = 0
    refused: int = 0
    failed: int = 0

    @property
    def amplification(self) -> float:
        return self.attempts / self.requests


# By target and whether it is a retry: how long an attempt takes and whether it succeeds.
Nature = Callable[[int, bool], tuple[float, bool]]


class Upstream:
    """Targets in turn, two attempts a request, the second one elsewhere. A target is steady as a breaker has it."""

    def __init__(self, nature: Nature, targets: int, *, breakers: bool, proven: bool = False) -> None:
        self.nature = nature
        self.streaks = [20 if proven else 0] * targets
        self.breakers = breakers
        self.budget = RetryBudget(0.2)  # the default share and floor
        self.turn = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.outcome = Outcome()
        self.queue: list[tuple[float, int, int, bool, bool]] = []
        self.order = 0

    def request(self, now: float) -> None:
        self.outcome.requests += 1
        self.budget.firsts += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.turn = (self.turn + 1) % len(self.streaks)
        self._attempt(now, self.turn, False)

    def _attempt(self, now: float, target: int, retry: bool) -> None:
        seconds, good = self.nature(target, retry)
        self.outcome.attempts += 1
        self.order += 1
        heapq.heappush(self.queue, (now + seconds, self.order, target, retry, good))

    def step(self) -> tuple[float, bool]:
        """The next attempt that ends: when, and whether its request ended with it."""
        now, _, target, retry, good = heapq.heappop(self.queue)
        if retry:
            self.budget.give(good)
        self.streaks[target] = self.streaks[target] + 1 if good else 0
        if not good and not retry:
            other = (target + 1) % len(self.streaks)
            steady = self.breakers and other != target and self.streaks[other] >= 20
            if self.budget.take(self.in_flight, steady):
                self._attempt(now, other, True)
                return now, False
            self.outcome.refused += 1
        self.outcome.failed += not good
        self.in_flight -= 1
        return now, True


def closed_loop(upstream: Upstream, clients: int, requests: int) -> Outcome:
    """Each client asks again as soon as it has its answer."""
    for _ in range(clients):
        upstream.request(0.0)
    while upstream.queue:
        now, ended = upstream.step()
        if ended and upstream.outcome.requests < requests:
            upstream.request(now)
    assert upstream.budget.in_use == 0
    assert upstream.in_flight == 0
    return upstream.outcome


def open_loop(upstream: Upstream, rate: float, seconds: float, random: Random) -> Outcome:
    """Requests arrive as they like."""
    now = 0.0
    while now < seconds:
        now += random.expovariate(rate)
        while upstream.queue and upstream.queue[0][0] <= now:
            upstream.step()
        upstream.request(now)
    while upstream.queue:
        upstream.step()
    return upstream.outcome


def outage(kind: str, random: Random) -> Nature:
    times: dict[str, Callable[[bool], float]] = {
        "instant": lambda retry: 0.0,
        "slow": lambda retry: 1.0,
        "slow, spread": lambda retry: random.uniform(0.5, 1.5),
        "mixed": lambda retry: random.choice([0.0, 0.001, 1.0]),
        "retries fail faster": lambda retry: 0.0 if retry else 1.0,
        "retries fail slower": lambda retry: 1.0 if retry else 0.001,
    }
    seconds = times[kind]
    return lambda target, retry: (seconds(retry), False)


OUTAGES = ["instant", "slow", "slow, spread", "mixed", "retries fail faster", "retries fail slower"]


@pytest.mark.parametrize("kind", OUTAGES)
@pytest.mark.parametrize("clients", [64, 100, 512])
@pytest.mark.parametrize("targets", [1, 2, 4])
@pytest.mark.parametrize("proven", [False, True])
def test_an_outage_is_multiplied_by_a_quarter_at_most(
    kind: str, clients: int, targets: int, proven: bool
) -> None:
    """`proven`: all targets were steady and die in the same moment."""
    upstream = Upstream(outage(kind, Random(1)), targets, breakers=True, proven=proven)
    outcome = closed_loop(upstream, clients, max(512, 4 * clients))
    assert outcome.amplification <= 1.25
    assert outcome.failed == outcome.requests


@pytest.mark.parametrize("kind", OUTAGES)
def test_over_a_long_outage_what_is_left_is_the_share(kind: str) -> None:
    upstream = Upstream(outage(kind, Random(1)), 2, breakers=True, proven=True)
    assert closed_loop(upstream, 64, 20_000).amplification <= 1.201


def test_in_flight_alone_would_not_bound_it() -> None:
    """Why there is a credit: failures that do not wait are never in flight together."""
    upstream = Upstream(outage("instant", Random(1)), 2, breakers=False)
    upstream.budget = RetryBudget(0.2, floor=1_000_000)
    upstream.request(0.0)
    most = 0
    while upstream.queue:
        _, ended = upstream.step()
        most = max(most, upstream.budget.in_use)
        if ended and upstream.outcome.requests < 1000:
            upstream.request(0.0)
    assert upstream.outcome.amplification == 2.0
    assert most == 1


@pytest.mark.parametrize("rate", [100, 200, 500])
@pytest.mark.parametrize("slow", [0.001, 0.005, 0.01, 0.018])
@pytest.mark.parametrize("dead", [0.0, 0.002])
def test_one_dead_of_two_is_never_refused_a_retry(rate: int, slow: float, dead: float) -> None:
    """Without any breaker: half of all attempts are retries, at one to ten requests in flight."""
    random = Random(1)
    upstream = Upstream(lambda target, retry: (slow, True) if target else (dead, False), 2, breakers=False)
    now = 0.0
    while now < 20.0:
        now += random.expovariate(rate)
        while upstream.queue and upstream.queue[0][0] <= now:
            upstream.step()
        if upstream.in_flight < 10:
            upstream.request(now)
    while upstream.queue:
        upstream.step()
    outcome = upstream.outcome
    assert outcome.requests > 0.9 * 20 * rate or upstream.most_in_flight == 10
    assert (outcome.refused, outcome.failed) == (0, 0)
    assert outcome.amplification == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize("clients", [64, 512])
def test_one_of_two_dies_with_half_of_all_in_flight_on_it(clients: int) -> None:
    """They break in the same moment, far more than a fifth at once, and every one is saved: the other is steady."""
    upstream = Upstream(
        lambda target, retry: (0.02, True) if target else (0.0, False), 2, breakers=True, proven=True
    )
    outcome = closed_loop(upstream, clients, 20 * clients)
    assert (outcome.refused, outcome.failed) == (0, 0)


def test_where_all_targets_fail_in_part_retries_stay_within_the_share_in_flight() -> None:
    """A brown-out is what a budget is for: a third fails everywhere, and retries must not add a third of the load."""
    random = Random(1)
    upstream = Upstream(
        lambda target, retry: (random.uniform(0.5, 1.5), random.random() > 0.33), 4, breakers=True
    )
    outcome = closed_loop(upstream, 200, 20_000)
    assert outcome.refused > 0
    assert outcome.amplification <= 1.26


def test_open_arrivals_in_an_outage() -> None:
    random = Random(3)
    upstream = Upstream(outage("mixed", random), 2, breakers=True, proven=True)
    outcome = open_loop(upstream, 500.0, 20.0, random)
    assert upstream.most_in_flight >= 64
    assert outcome.amplification <= 1.25

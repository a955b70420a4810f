"""Every way to balance keeps to the weights, to the load, and to `exclude`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgw.model.keys import point_of, seed_of
from fastgw.upstream.balance import make_balancer
from fastgw.upstream.target import EWMA_SHARE, FADE

KINDS = ["round_robin", "least_requests", "p2c", "hash"]


@dataclass(eq=False)
class Peer:
    name: str
    weight: float = 1
    in_flight: int = 0
    ewma: float = 0.0
    current: float = 0.0

    @property
    def seed(self) -> int:
        return seed_of(self.name)


def peers(*weights: float) -> list[Peer]:
    return [Peer(chr(ord("a") + index), weight) for index, weight in enumerate(weights)]


def shares(kind: str, candidates: list[Peer], picks: int = 6000, *, seed: int = 1) -> dict[str, float]:
    balancer = make_balancer(kind, Random(seed).random)
    count = Counter(balancer.pick(candidates, None, 0).name for _ in range(picks))
    return {candidate.name: count[candidate.name] / picks for candidate in candidates}


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'random'"):
        make_balancer("random", Random(1).random)


def test_round_robin_is_smooth() -> None:
    candidates = peers(5, 1, 1)
    balancer = make_balancer("round_robin", Random(1).random)
    assert "".join(balancer.pick(candidates, None, 0).name for _ in range(7)) == "aabacaa"


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_round_robin_is_exact_over_a_full_turn(weights: list[int]) -> None:
    candidates = peers(*weights)
    balancer = make_balancer("round_robin", Random(1).random)
    count = Counter(balancer.pick(candidates, None, 0).name for _ in range(sum(weights)))
    assert [count[candidate.name] for candidate in candidates] == weights
    assert all(candidate.current == 0 for candidate in candidates)


@pytest.mark.parametrize("kind", ["least_requests", "p2c"])
@pytest.mark.parametrize("weights", [(1, 1), (1, 2), (1, 1, 1), (2, 1, 1), (0.5, 0.25, 1)])
@pytest.mark.parametrize("ewma", [0.0, 0.01])
def test_equals_share_a_quiet_upstream_by_weight(kind: str, weights: tuple[int, ...], ewma: float) -> None:
    candidates = peers(*weights)
    for candidate in candidates:
        candidate.ewma = ewma
    for candidate, share in zip(candidates, shares(kind, candidates).values(), strict=True):
        assert share == pytest.approx(candidate.weight / sum(weights), abs=0.03)


@pytest.mark.parametrize("kind", ["least_requests", "p2c"])
@pytest.mark.parametrize("weights", [(1, 1), (1, 3), (1, 1, 2), (5, 2, 1)])
def test_load_follows_the_weights_under_concurrency(kind: str, weights: tuple[int, ...]) -> None:
    candidates = peers(*weights)
    for candidate in candidates:
        candidate.ewma = 0.01
    random = Random(7)
    balancer = make_balancer(kind, random.random)
    held: list[Peer] = []
    count: Counter[str] = Counter()
    for _ in range(6000):
        if len(held) == 8 * sum(weights):
            held.pop(random.randrange(len(held))).in_flight -= 1
        chosen = balancer.pick(candidates, None, 0)
        chosen.in_flight += 1
        held.append(chosen)
        count[chosen.name] += 1
    for candidate in candidates:
        assert candidate.in_flight / len(held) == pytest.approx(candidate.weight / sum(weights), abs=0.05)
        assert count[candidate.name] / 6000 == pytest.approx(candidate.weight / sum(weights), abs=0.05)


@given(
    st.lists(st.floats(0.1, 20), min_size=1, max_size=6),
    st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=8),
)
def test_round_robin_owes_nobody_much_while_candidates_come_and_go(
    weights: list[float], absences: list[set[int]]
) -> None:
    """What one is owed stays within a full turn, whoever was away meanwhile: nobody who comes back takes over."""
    candidates = peers(*weights)
    balancer = make_balancer("round_robin", Random(1).random)
    for number in range(200):
        away = absences[number // 7 % len(absences)]
        there = [item for index, item in enumerate(candidates) if index not in away] or candidates
        balancer.pick(there, None, 0)
        assert abs(sum(item.current for item in candidates)) < 1e-6
        assert max(abs(item.current) for item in candidates) <= len(weights) * sum(weights)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 50)), min_size=1, max_size=6), st.integers(0, 99))
def test_least_requests_never_picks_a_busier_one(state: list[tuple[int, int]], seed: int) -> None:
    candidates = [Peer(str(index), weight, load) for index, (weight, load) in enumerate(state)]
    chosen = make_balancer("least_requests", Random(seed).random).pick(candidates, None, 0)
    assert all(chosen.in_flight * other.weight <= other.in_flight * chosen.weight for other in candidates)


def test_p2c_prefers_the_faster_and_never_the_worst() -> None:
    candidates = peers(1, 1, 1)
    for candidate, ewma in zip(candidates, (0.001, 0.002, 0.5), strict=True):
        candidate.ewma = ewma
    share = shares("p2c", candidates)
    assert share["a"] == pytest.approx(2 / 3, abs=0.03)
    assert share["b"] == pytest.approx(1 / 3, abs=0.03)
    assert share["c"] == 0.0


def test_p2c_weighs_latency_against_load() -> None:
    slow, fast = Peer("slow", 1, 0, 0.010), Peer("fast", 1, 8, 0.001)
    balancer = make_balancer("p2c", Random(1).random)
    fast.in_flight = 4
    assert balancer.pick([slow, fast], None, 0) is fast  # 5 * 1 ms against 1 * 10 ms
    fast.in_flight = 20
    assert balancer.pick([slow, fast], None, 0) is slow


def test_p2c_measures_both_of_two_that_are_nearly_equal() -> None:
    """As long as one is less than twice as bad as the other, it gets a part that falls with how much worse it is."""
    one, other = Peer("one", 1, 0, 0.0010), Peer("other", 1, 0, 0.0013)
    share = shares("p2c", [one, other])
    assert share["other"] == pytest.approx(0.5 * 0.7, abs=0.03)
    other.ewma = 0.0021
    assert shares("p2c", [one, other])["other"] == 0.0


def test_p2c_does_not_pour_everything_on_an_unmeasured_target() -> None:
    known, new = Peer("known", 1, 1, 0.001), Peer("new", 1, 3, 0.0)
    assert make_balancer("p2c", Random(1).random).pick([known, new], None, 0) is known


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_exclude_is_kept_unless_it_is_the_only_one(kind: str, count: int) -> None:
    candidates = peers(*[1] * count)
    balancer = make_balancer(kind, Random(3).random)
    for excluded in candidates:
        picked = {balancer.pick(candidates, excluded, point_of(b"%d" % number)).name for number in range(200)}
        expected = {candidate.name for candidate in candidates if candidate is not excluded}
        assert picked == (expected or {excluded.name})


@pytest.mark.parametrize("kind", KINDS)
def test_exclude_of_somebody_else_changes_nothing(kind: str) -> None:
    candidates = peers(1, 1)
    balancer = make_balancer(kind, Random(3).random)
    assert {balancer.pick(candidates, Peer("z"), point_of(b"%d" % number)).name for number in range(100)} == {
        "a",
        "b",
    }


@pytest.mark.parametrize("kind", ["least_requests", "p2c"])
@pytest.mark.parametrize("extreme", [0.0, 1.0 - 2**-53])
def test_the_ends_of_random_are_in_range(kind: str, extreme: float) -> None:
    for count in range(1, 5):
        candidates = peers(*[1] * count)
        balancer = make_balancer(kind, lambda: extreme)
        for excluded in (None, *candidates):
            assert balancer.pick(candidates, excluded, 0) in candidates


@pytest.mark.parametrize("kind", ["least_requests", "p2c"])
def test_ties_are_broken_by_chance_not_in_turn(kind: str) -> None:
    candidates = peers(1, 1)
    balancer = make_balancer(kind, Random(5).random)
    names = [balancer.pick(candidates, None, 0).name for _ in range(200)]
    assert any(one == other for one, other in pairwise(names))


@pytest.mark.parametrize("rate", [50, 500, 2000])
@pytest.mark.parametrize("count", [2, 4])
def test_p2c_leaves_a_target_that_is_ten_times_slower(rate: int, count: int) -> None:
    """Arrivals by chance for a minute, after ten seconds in which the averages settle; latencies are exponential, as
    those of a target with queues inside are."""
    random = Random(11)
    candidates = peers(*[1] * count)
    balancer = make_balancer("p2c", random.random)
    ends: list[tuple[float, int, float]] = []
    taken: Counter[str] = Counter()
    latencies: list[float] = []
    now, faded = 0.0, 1.0
    while now < 70:
        now += random.expovariate(rate)
        while ends and ends[0][0] <= now:
            _, index, latency = heappop(ends)
            peer = candidates[index]
            peer.in_flight -= 1
            peer.ewma += (latency - peer.ewma) * EWMA_SHARE if peer.ewma else latency
        while faded <= now:
            faded += 1.0
            for peer in candidates:
                peer.ewma *= FADE
        peer = balancer.pick(candidates, None, 0)
        peer.in_flight += 1
        latency = random.expovariate(1 / (0.05 if peer is candidates[0] else 0.005))
        heappush(ends, (now + latency, candidates.index(peer), latency))
        if now > 10:
            taken[peer.name] += 1
            latencies.append(latency)
    assert taken["a"] / taken.total() < 0.05
    without = sorted(random.expovariate(1 / 0.005) for _ in latencies)
    assert sorted(latencies)[len(latencies) * 99 // 100] < 1.5 * without[len(latencies) * 99 // 100]

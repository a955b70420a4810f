"""Every way to balance keeps to the weights, to the load, and to `exclude`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgw.upstream.balance import make_balancer

KINDS = ["round_robin", "least_requests", "p2c"]


@dataclass(eq=False)
class Peer:
    name: str
    weight: int = 1
    in_flight: int = 0
    ewma: float = 0.0
    current: float = 0.0


def peers(*weights: int) -> list[Peer]:
    return [Peer(chr(ord("a") + index), weight) for index, weight in enumerate(weights)]


def shares(kind: str, candidates: list[Peer], picks: int = 6000, *, seed: int = 1) -> dict[str, float]:
    balancer = make_balancer(kind, Random(seed).random)
    count = Counter(balancer.pick(candidates, None).name for _ in range(picks))
    return {candidate.name: count[candidate.name] / picks for candidate in candidates}


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'hash'"):
        make_balancer("hash", Random(1).random)


def test_round_robin_is_smooth() -> None:
    candidates = peers(5, 1, 1)
    balancer = make_balancer("round_robin", Random(1).random)
    assert "".join(balancer.pick(candidates, None).name for _ in range(7)) == "aabacaa"


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_round_robin_is_exact_over_a_full_turn(weights: list[int]) -> None:
    candidates = peers(*weights)
    balancer = make_balancer("round_robin", Random(1).random)
    count = Counter(balancer.pick(candidates, None).name for _ in range(sum(weights)))
    assert [count[candidate.name] for candidate in candidates] == weights
    assert all(candidate.current == 0 for candidate in candidates)


@pytest.mark.parametrize("kind", ["least_requests", "p2c"])
@pytest.mark.parametrize("weights", [(1, 1), (1, 2), (1, 1, 1), (2, 1, 1)])
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
        chosen = balancer.pick(candidates, None)
        chosen.in_flight += 1
        held.append(chosen)
        count[chosen.name] += 1
    for candidate in candidates:
        assert candidate.in_flight / len(held) == pytest.approx(candidate.weight / sum(weights), abs=0.05)
        assert count[candidate.name] / 6000 == pytest.approx(candidate.weight / sum(weights), abs=0.05)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 50)), min_size=1, max_size=6), st.integers(0, 99))
def test_least_requests_never_picks_a_busier_one(state: list[tuple[int, int]], seed: int) -> None:
    candidates = [Peer(str(index), weight, load) for index, (weight, load) in enumerate(state)]
    chosen = make_balancer("least_requests", Random(seed).random).pick(candidates, None)
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
    assert balancer.pick([slow, fast], None) is fast  # 9 * 1 ms against 1 * 10 ms
    fast.in_flight = 10
    assert balancer.pick([slow, fast], None) is slow


def test_p2c_does_not_pour_everything_on_an_unmeasured_target() -> None:
    known, new = Peer("known", 1, 1, 0.001), Peer("new", 1, 3, 0.0)
    assert make_balancer("p2c", Random(1).random).pick([known, new], None) is known


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_exclude_is_kept_unless_it_is_the_only_one(kind: str, count: int) -> None:
    candidates = peers(*[1] * count)
    balancer = make_balancer(kind, Random(3).random)
    for excluded in candidates:
        picked = {balancer.pick(candidates, excluded).name for _ in range(200)}
        expected = {candidate.name for candidate in candidates if candidate is not excluded}
        assert picked == (expected or {excluded.name})


@pytest.mark.parametrize("kind", KINDS)
def test_exclude_of_somebody_else_changes_nothing(kind: str) -> None:
    candidates = peers(1, 1)
    balancer = make_balancer(kind, Random(3).random)
    assert {balancer.pick(candidates, Peer("z")).name for _ in range(100)} == {"a", "b"}


@pytest.mark.parametrize("kind", ["least_requests", "p2c"])
@pytest.mark.parametrize("extreme", [0.0, 1.0 - 2**-53])
def test_the_ends_of_random_are_in_range(kind: str, extreme: float) -> None:
    for count in range(1, 5):
        candidates = peers(*[1] * count)
        balancer = make_balancer(kind, lambda: extreme)
        for excluded in (None, *candidates):
            assert balancer.pick(candidates, excluded) in candidates


@pytest.mark.parametrize("kind", ["least_requests", "p2c"])
def test_ties_are_broken_by_chance_not_in_turn(kind: str) -> None:
    candidates = peers(1, 1)
    balancer = make_balancer(kind, Random(5).random)
    names = [balancer.pick(candidates, None).name for _ in range(200)]
    assert any(one == other for one, other in pairwise(names))

"""A target that came back gets its traffic back in a straight line, whatever the way to balance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgw.model.keys import point_of, seed_of
from fastgw.upstream.balance import make_balancer
from fastgw.upstream.slow_start import FIRST_SHARE, taking_part, warm_share

KEYS = [b"user-%d" % number for number in range(4000)]


@dataclass(eq=False)
class Peer:
    name: str
    share: float = 1.0
    weight: float = 1
    in_flight: int = 0
    ewma: float = 0.0
    current: float = 0.0

    def __post_init__(self) -> None:
        self.seed = seed_of(self.name)


def never() -> float:
    raise AssertionError("chance was asked")


def test_a_tenth_at_once_then_in_a_straight_line() -> None:
    assert warm_share(0.0, 10.0) == FIRST_SHARE
    assert warm_share(5.0, 10.0) == pytest.approx(0.55)
    assert warm_share(10.0, 10.0) == 1.0
    assert warm_share(1e9, 10.0) == 1.0
    assert warm_share(-1.0, 10.0) == FIRST_SHARE


@given(st.floats(0, 100))
def test_without_slow_start_everybody_is_warm(age: float) -> None:
    assert warm_share(age, 0.0) == 1.0


@given(st.floats(0, 20), st.floats(0, 20), st.floats(0.001, 20))
def test_it_never_shrinks(one: float, other: float, slow_start: float) -> None:
    younger, older = sorted((one, other))
    assert FIRST_SHARE <= warm_share(younger, slow_start) <= warm_share(older, slow_start) <= 1.0


@pytest.mark.parametrize("kind", ["round_robin", "least_requests", "p2c", "hash"])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("busy", [0, 3])
def test_a_cold_one_gets_its_share_of_a_warm_ones(kind: str, share: float, busy: int) -> None:
    """`busy`: what the warm one has in flight. A way that looks at the load takes the idle one every time it may."""
    random = Random(3).random
    cold, warm = Peer("cold", share), Peer("warm", in_flight=busy)
    balancer = make_balancer(kind, random)
    count: Counter[str] = Counter()
    for key in KEYS:
        point = point_of(key) if kind == "hash" else 0
        there = taking_part([cold, warm], None, point, random)
        count[balancer.pick(there, None, point).name] += 1
    whole = 1.0 if busy and kind in ("least_requests", "p2c") else 0.5
    assert count["cold"] / len(KEYS) == pytest.approx(share * whole, abs=0.03)


def test_a_key_that_came_back_stays() -> None:
    cold, warm = Peer("cold"), Peer("warm")
    come: set[bytes] = set()
    for step in range(1, 11):
        cold.share = step / 10
        taken = {key for key in KEYS if cold in taking_part([cold, warm], None, point_of(key), never)}
        assert come <= taken
        assert len(taken) / len(KEYS) == pytest.approx(cold.share, abs=0.03)
        come = taken
    assert come == set(KEYS)


@given(
    st.lists(st.sampled_from([0.1, 0.5, 1.0]), min_size=1, max_size=6), st.integers(-1, 5), st.integers(0, 99)
)
def test_somebody_else_than_the_excluded_one_takes_part_if_there_is_one(
    shares: list[float], which: int, seed: int
) -> None:
    candidates = [Peer(str(index), share) for index, share in enumerate(shares)]
    exclude = candidates[which % len(candidates)] if which >= 0 else None
    there = taking_part(candidates, exclude, 0, Random(seed).random)
    assert there
    assert set(there) <= set(candidates)
    assert set(there) != {exclude} or candidates == [exclude]


def test_where_all_are_cold_all_are_served_alike() -> None:
    candidates = [Peer("a", 0.1), Peer("b", 0.1)]
    assert taking_part(candidates, None, 0, lambda: 0.99) is candidates
    random = Random(5).random
    balancer = make_balancer("p2c", random)
    count = Counter(
        balancer.pick(taking_part(candidates, None, 0, random), None, 0).name for _ in range(4000)
    )
    assert count["a"] / 4000 == pytest.approx(0.5, abs=0.03)

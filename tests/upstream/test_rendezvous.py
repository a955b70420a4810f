"""A key's target: the same as long as it is there, and of the others as many keys as their weights say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgw.model.keys import draw, point_of, seed_of
from fastgw.upstream.rendezvous import Rendezvous

KEYS = [b"10.0.%d.%d" % divmod(number, 256) for number in range(20_000)]


@dataclass(eq=False)
class Peer:
    label: str
    weight: float = 1

    def __post_init__(self) -> None:
        self.seed = seed_of(self.label)


def peers(*weights: float) -> list[Peer]:
    return [Peer(f"192.0.2.{index}:80", weight) for index, weight in enumerate(weights)]


def homes(candidates: list[Peer], keys: list[bytes] = KEYS) -> list[str]:
    pick = Rendezvous().pick
    return [pick(candidates, None, point_of(key)).label for key in keys]


def test_it_is_the_draw_written_out() -> None:
    candidates = peers(1, 2, 3.5)
    for key in KEYS[:500]:
        point = point_of(key)
        nearest = min(candidates, key=lambda item: draw(point, item.seed) / item.weight)
        assert Rendezvous().pick(candidates, None, point) is nearest


def test_one_of_ten_that_leaves_moves_its_own_keys_only() -> None:
    candidates = peers(*[1] * 10)
    before = homes(candidates)
    for gone in candidates:
        rest = [item for item in candidates if item is not gone]
        after = homes(rest)
        moved = [new for old, new in zip(before, after, strict=True) if old != new]
        assert len(moved) == before.count(gone.label) < 0.12 * len(KEYS)
        # and they go to all the others alike, not to a neighbour
        assert max(Counter(moved).values()) < 2 * len(moved) / 9


@given(
    st.lists(st.floats(0.1, 10), min_size=2, max_size=8),
    st.data(),
    st.lists(st.binary(max_size=20), max_size=50),
)
def test_whoever_leaves_only_its_own_keys_move(
    weights: list[float], data: st.DataObject, keys: list[bytes]
) -> None:
    candidates = peers(*weights)
    there = data.draw(st.lists(st.sampled_from(candidates), min_size=1, unique=True))  # in any order
    labels = {item.label for item in there}
    for old, new in zip(homes(candidates, keys), homes(there, keys), strict=True):
        assert new == old if old in labels else new in labels


@given(st.lists(st.integers(1, 10), min_size=2, max_size=5), st.integers(0, 4), st.floats(1.1, 4))
def test_a_weight_that_grows_only_draws_keys_to_it(weights: list[int], which: int, factor: float) -> None:
    candidates = peers(*weights)
    before = homes(candidates, KEYS[:300])
    heavier = candidates[which % len(candidates)]
    heavier.weight *= factor
    for old, new in zip(before, homes(candidates, KEYS[:300]), strict=True):
        assert new in (old, heavier.label)


@pytest.mark.parametrize("weights", [(1, 1), (1, 2), (5, 2, 1), (1, 1, 1, 0.1), (100, 1)])
def test_weights_hold(weights: tuple[float, ...]) -> None:
    candidates = peers(*weights)
    count = Counter(homes(candidates))
    for item in candidates:
        assert count[item.label] / len(KEYS) == pytest.approx(item.weight / sum(weights), abs=0.015)


def test_the_next_attempt_goes_to_the_keys_next_one() -> None:
    candidates = peers(1, 1, 1)
    for key in KEYS[:200]:
        point = point_of(key)
        first = Rendezvous().pick(candidates, None, point)
        second = Rendezvous().pick(candidates, first, point)
        assert second is Rendezvous().pick([item for item in candidates if item is not first], None, point)
        assert second is not first


def test_the_excluded_one_is_taken_where_there_is_no_other() -> None:
    (only,) = peers(1)
    assert Rendezvous().pick([only], only, 7) is only

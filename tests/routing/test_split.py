"""A split keeps to its weights, by chance and by key, and keys move only as far as the weights do."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgw.routing.split import SplitTable

KEYS = [b"192.0.2.%d/%d" % divmod(number, 100) for number in range(20_000)]
PINNED = [1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 1, 0]
WEIGHTS = st.lists(st.integers(0, 100), min_size=1, max_size=5).filter(any)


def table(*weights: int, salt: str = "route") -> SplitTable:
    return SplitTable([(chr(ord("a") + index), weight) for index, weight in enumerate(weights)], salt)


def places(split: SplitTable, keys: list[bytes] = KEYS) -> list[int]:
    return [split.stick(key) for key in keys]


@pytest.mark.parametrize("weights", [(), (0,), (0, 0)])
def test_a_split_to_nothing_is_refused(weights: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="weight above 0"):
        table(*weights)


def test_chance_is_cut_by_weight() -> None:
    split = table(0, 95, 0, 5, 0)
    assert [split.choose(chance) for chance in (0.0, 0.5, 0.9499, 0.95, 1 - 2**-53)] == [1, 1, 1, 3, 3]


@given(WEIGHTS, st.floats(0, 1, exclude_max=True))
def test_chance_never_meets_a_part_without_weight(weights: list[int], chance: float) -> None:
    assert weights[table(*weights).choose(chance)] > 0


@given(WEIGHTS, st.binary(max_size=30))
def test_a_key_never_meets_a_part_without_weight(weights: list[int], key: bytes) -> None:
    assert weights[table(*weights).stick(key)] > 0


@pytest.mark.parametrize("weights", [(95, 5), (50, 50), (1, 2, 3), (1,), (999_999, 1), (0, 3, 1)])
def test_weights_hold_within_a_hundredth(weights: tuple[int, ...]) -> None:
    split = table(*weights)
    random = Random(2).random
    for chosen in (Counter(split.choose(random()) for _ in range(100_000)), Counter(places(split))):
        for index, weight in enumerate(weights):
            assert chosen[index] / chosen.total() == pytest.approx(weight / sum(weights), abs=0.01)


def test_a_canary_that_grows_takes_callers_and_gives_none_back() -> None:
    before = places(table(100, 0))
    for share in (1, 5, 10, 50, 100):
        after = places(table(100 - share, share))
        moves = Counter((old, new) for old, new in zip(before, after, strict=True) if old != new)
        assert set(moves) <= {(0, 1)}
        assert after.count(1) / len(KEYS) == pytest.approx(share / 100, abs=0.01)
        before = after


@given(WEIGHTS, st.integers(1, 9), st.randoms(use_true_random=False))
def test_other_words_for_the_same_split_move_nobody(weights: list[int], factor: int, random: Random) -> None:
    parts = [(f"part-{index}", weight) for index, weight in enumerate(weights)]
    shuffled = [(name, weight * factor) for name, weight in random.sample(parts, len(parts))]
    one, other = SplitTable(parts, "route"), SplitTable([*shuffled, ("none", 0)], "route")
    for key in KEYS[:50]:
        # equal draws by rounding have not been met in 64 bits
        assert parts[one.stick(key)][0] == shuffled[other.stick(key)][0]


@given(WEIGHTS, st.integers(1, 100))
def test_a_new_part_only_takes(weights: list[int], more: int) -> None:
    for old, new in zip(
        places(table(*weights), KEYS[:100]), places(table(*weights, more), KEYS[:100]), strict=True
    ):
        assert new in (old, len(weights))


def test_routes_have_their_own_first_ones() -> None:
    """Of the twentieth that meets the canary of one route, a twentieth meets that of another."""
    first, second = places(table(95, 5, salt="one")), places(table(95, 5, salt="two"))
    both = sum(one == other == 1 for one, other in zip(first, second, strict=True))
    assert both / len(KEYS) == pytest.approx(0.0025, abs=0.0015)


def test_a_key_lands_in_the_same_part_in_every_process() -> None:
    """Written down: a release that changed it would move callers."""
    assert places(table(50, 50), KEYS[:16]) == PINNED

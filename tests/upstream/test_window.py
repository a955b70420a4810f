"""What a window counts: everything of the last nine tenths, nothing older than all of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fastgw.upstream.window import Window


def test_it_forgets_slot_by_slot() -> None:
    window = Window(10.0, 100.0)
    window.add(2, 1)
    window.roll(105.5)
    window.add(0, 3)
    window.roll(109.9)
    assert (window.oks, window.failures) == (2, 4)
    window.roll(110.0)
    assert (window.oks, window.failures) == (0, 3)
    window.roll(115.0)
    assert (window.oks, window.failures) == (0, 0)


def test_a_long_silence_costs_no_more_than_a_window() -> None:
    window = Window(1.0, 0.0)
    window.add(1, 1)
    window.roll(1e12)
    assert (window.oks, window.failures) == (0, 0)


def test_a_window_of_nothing_divides_by_nothing() -> None:
    window = Window(0.0, 0.0)
    window.add(1, 1)
    window.roll(0.2)
    assert (window.oks, window.failures) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.integers(0, 3)), max_size=60))
def test_against_a_list_of_all_there_was(steps: list[tuple[int, int, int]]) -> None:
    window = Window(10.0, 0.0)
    seen: list[tuple[int, int, int]] = []
    now = 0.0
    for quarters, oks, failures in steps:
        now += quarters / 4
        window.roll(now)
        window.add(oks, failures)
        seen.append((int(now), oks, failures))
        kept = [(ok, bad) for slot, ok, bad in seen if slot > int(now) - 10]
        assert window.oks == sum(ok for ok, _ in kept)
        assert window.failures == sum(bad for _, bad in kept)
        assert window.ends > now

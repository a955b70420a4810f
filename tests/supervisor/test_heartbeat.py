"""The pulse counts ticks."""

from __future__ import annotations

from fastgw.supervisor.heartbeat import Pulse


def test_a_word_that_moves_is_alive():
    pulse = Pulse()
    assert [pulse.beat(value) for value in (5, 6, 7)] == [0, 0, 0]


def test_a_word_that_stands_still_is_counted():
    pulse = Pulse()
    assert [pulse.beat(5) for _ in range(4)] == [0, 1, 2, 3]
    assert pulse.beat(6) == 0


def test_a_successor_starts_afresh():
    pulse = Pulse()
    pulse.beat(5)
    pulse.beat(5)
    pulse.reset()
    assert pulse.missed == 0
    assert pulse.beat(5) == 0

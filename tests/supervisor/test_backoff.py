"""When a dead process is started again."""

from __future__ import annotations

from fastgw.supervisor.backoff import Backoff


def test_one_that_dies_at_birth_waits_longer_and_longer():
    backoff = Backoff()
    waits = [backoff.died(0.0) for _ in range(12)]
    assert waits == [0.0, 0.0, 0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert backoff.deaths == 12


def test_single_deaths_are_answered_at_once_however_many():
    backoff = Backoff()
    assert {backoff.died(2.0) for _ in range(1000)} == {0.0}


def test_a_long_life_forgives():
    backoff = Backoff()
    for _ in range(10):
        backoff.died(0.0)
    assert backoff.died(3600.0) == 0.0


def test_it_never_overflows():
    backoff = Backoff()
    assert [backoff.died(0.0) for _ in range(5000)][-1] == 10.0

"""What balancing knows of a target: an average that follows, that a failure raises, and that fades."""

from __future__ import annotations

import pytest

from fastgw.upstream.target import (
    EWMA_SHARE,
    FADE,
    FAILURE_FACTOR,
    FAILURE_SECONDS,
    FIRST_REST,
    LEAST_FAILURE,
    LONGEST_REST,
    MAX_UNHEARD,
    Target,
)
from tests.upstream.fakes import Bench


@pytest.fixture
def target(bench: Bench) -> Target:
    return bench.target


def test_the_first_sample_is_the_average(target: Target) -> None:
    target.sample(0.02, 0.0)
    assert target.ewma == 0.02


def test_later_samples_move_it_by_their_share(target: Target) -> None:
    target.sample(0.1, 0.0)
    target.sample(0.2, 0.0)
    assert target.ewma == pytest.approx(0.1 + 0.1 * EWMA_SHARE)
    for _ in range(200):
        target.sample(0.5, 0.0)
    assert target.ewma == pytest.approx(0.5, rel=1e-3)


def test_a_failure_counts_like_a_slow_answer_but_never_makes_a_target_look_faster(target: Target) -> None:
    target.failed(0.0)
    assert target.ewma == LEAST_FAILURE
    target.ewma = 0.02
    target.failed(0.0)
    assert target.ewma == 0.02 * FAILURE_FACTOR
    for _ in range(9):
        target.failed(0.0)
    assert target.ewma == FAILURE_SECONDS
    target.ewma = 5.0
    target.failed(0.0)
    assert target.ewma == 5.0


def test_without_news_it_fades_so_that_a_target_is_tried_again(target: Target) -> None:
    target.failed(0.0, silent=True)
    target.fade()
    assert target.ewma == pytest.approx(FAILURE_SECONDS * FADE)
    for _ in range(100):
        target.fade()
    assert target.ewma < 1e-4


def test_it_starts_unmeasured_with_a_pool_of_its_own(target: Target) -> None:
    assert (target.in_flight, target.ewma, target.current) == (0, 0.0, 0.0)
    assert target.pool.target is target


def test_one_silence_or_three_failures_of_another_kind_send_it_to_rest(target: Target) -> None:
    target.failed(10.0)
    target.failed(10.0)
    assert target.fit()
    target.failed(10.0)
    assert not target.fit()
    target.returned(11.0)
    assert target.fit()
    target.failed(11.0, silent=True)
    assert not target.fit()


def test_a_rest_is_followed_by_one_trial_at_a_time_and_a_failed_trial_by_a_longer_rest(target: Target) -> None:
    target.failed(10.0, silent=True)
    assert not target.wants_trial(10.0 + FIRST_REST - 0.01)
    assert target.wants_trial(10.0 + FIRST_REST)
    target.unheard = 1  # the trial
    assert not target.wants_trial(11.0)
    target.failed(11.0)
    assert not target.wants_trial(11.0 + 2 * FIRST_REST - 0.01)
    assert target.wants_trial(11.0 + 2 * FIRST_REST)
    for _ in range(10):
        target.failed(target.rest_until)
    assert target.wants_trial(target.rest_until) and target.rest_until <= 11.0 + 12 * LONGEST_REST


def test_failures_from_before_a_rest_do_not_lengthen_it(target: Target) -> None:
    target.failed(10.0, silent=True)
    until = target.rest_until
    target.failed(10.5, silent=True)
    assert (target.rest_until, target.rests) == (until, 1)


def test_any_answer_ends_a_rest_and_the_share_grows_from_little(target: Target) -> None:
    target.slow_start = 10.0
    target.failed(10.0, silent=True)
    target.sample(0.5, 12.0)
    assert target.fit()
    assert target.share == pytest.approx(0.1)
    target.warm(17.0)
    assert 0.4 < target.share < 0.7
    target.warm(22.0)
    assert (target.share, target.warm_from) == (1.0, 0.0)


def test_without_slow_start_it_is_back_at_once(target: Target) -> None:
    target.failed(10.0, silent=True)
    target.sample(0.5, 12.0)
    assert (target.share, target.warm_from) == (1.0, 0.0)


def test_one_that_accepts_and_says_nothing_is_not_fit_after_a_few(target: Target) -> None:
    target.unheard = MAX_UNHEARD - 1
    assert target.fit()
    target.unheard += 1
    assert not target.fit()
    target.sample(0.1, 5.0)
    assert target.fit() and target.unheard == 0


def test_the_checks_can_take_it_out(target: Target) -> None:
    target.healthy = False
    assert not target.fit()

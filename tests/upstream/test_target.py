"""What balancing knows of a target: an average that follows, that a failure raises, and that fades."""

from __future__ import annotations

import pytest

from fastgw.upstream.target import EWMA_SHARE, FADE, FAILURE_SECONDS, Target
from tests.upstream.fakes import Bench


@pytest.fixture
def target(bench: Bench) -> Target:
    return bench.target


def test_the_first_sample_is_the_average(target: Target) -> None:
    target.sample(0.02)
    assert target.ewma == 0.02


def test_later_samples_move_it_by_their_share(target: Target) -> None:
    target.sample(0.1)
    target.sample(0.2)
    assert target.ewma == pytest.approx(0.1 + 0.1 * EWMA_SHARE)
    for _ in range(200):
        target.sample(0.5)
    assert target.ewma == pytest.approx(0.5, rel=1e-3)


def test_a_failure_counts_like_a_slow_answer_but_never_makes_a_target_look_faster(target: Target) -> None:
    target.failed()
    assert target.ewma == FAILURE_SECONDS
    target.ewma = 5.0
    target.failed()
    assert target.ewma == 5.0


def test_without_news_it_fades_so_that_a_target_is_tried_again(target: Target) -> None:
    target.failed()
    target.fade()
    assert target.ewma == pytest.approx(FAILURE_SECONDS * FADE)
    for _ in range(100):
        target.fade()
    assert target.ewma < 1e-4


def test_it_starts_unmeasured_with_a_pool_of_its_own(target: Target) -> None:
    assert (target.in_flight, target.ewma, target.current) == (0, 0.0, 0.0)
    assert target.pool.target is target

from __future__ import annotations

import pytest

from bench.cases import observe
from bench.cases.observe import NOBODY, TEN
from bench.cpu import ProcessTime


@pytest.mark.parametrize(("cost", "word"), [(1.0, "goal reached"), (1.02, "within"), (1.04, "OVER")])
def test_the_middle_of_the_pairs_counts(cost: float, word: str) -> None:
    alone = [50.0, 60.0, 70.0]
    rounds = {
        NOBODY: [{"worker us": one} for one in alone],
        TEN: [{"worker us": one * by} for one, by in zip(alone, (0.5, cost, 2.0), strict=True)],
    }
    (verdict,) = observe.judged(rounds).verdicts
    assert (verdict.value, verdict.word) == (pytest.approx(cost), word)


def test_only_the_workers_are_the_data_plane() -> None:
    time = ProcessTime("python", 1, 1, 1)
    assert observe.only({(7, 1): time, (8, 1): time}, {8}) == {(8, 1): time}

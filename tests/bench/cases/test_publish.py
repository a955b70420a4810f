from __future__ import annotations

import pytest

from bench.cases import publish
from bench.errors import VoidError
from bench.load.arrivals import Result, Seen

MB = 1 << 20
GOOD = Seen(1.0, 0.001, 200)


@pytest.mark.parametrize(
    ("seconds", "callback", "words"),
    [
        (0.5, 1.0, ["goal reached", "goal reached"]),
        (0.9, 4.0, ["within", "within"]),
        (1.1, 6.0, ["OVER", "OVER"]),
    ],
)
def test_the_middle_time_and_the_worst_callback_count(seconds: float, callback: float, words: list[str]) -> None:
    figures = [
        {"served s": seconds, "longest callback ms": callback},
        {"served s": seconds, "longest callback ms": 0.6},
        {"served s": 9.0, "longest callback ms": 0.6},
    ]
    result = publish.judged_of_many(figures, {"slice"})
    assert [verdict.word for verdict in result.verdicts] == words
    assert "slice" in result.notes[0]


def judged(seen: list[Seen], lines: int, grown: int) -> list[str]:
    sizes = [{1: 40 * MB, 2: 60 * MB}, {1: 90 * MB, 2: 60 * MB}, {1: 39 * MB, 2: 60 * MB + grown}]
    result = publish.judged_in_a_row([0.01, 0.02], sizes, Result(0.0, seen), lines)
    return [verdict.word for verdict in result.verdicts]


def test_nothing_is_lost_and_nothing_grows() -> None:
    assert judged([GOOD] * 3, 3, MB) == ["goal reached"] * 3


def test_each_can_be_missed() -> None:
    assert judged([GOOD, Seen(1.0, 0.001, 502)], 2, 0) == ["OVER", "goal reached", "goal reached"]
    assert judged([GOOD, GOOD], 1, 0) == ["goal reached", "OVER", "goal reached"]
    assert judged([GOOD, GOOD], 2, 9 * MB) == ["goal reached", "goal reached", "OVER"]


def test_a_process_that_was_replaced_is_no_growth_but_voids() -> None:
    with pytest.raises(VoidError, match="came and went"):
        publish.grown_mb([{1: MB}, {2: MB}])

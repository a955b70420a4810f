from __future__ import annotations

import pytest

from bench import report
from bench.results import CaseResult, Goal, Row, Verdict
from bench.stats import Ratio


def result(ratio: float) -> CaseResult:
    row = Row("fastgw", {"total us": 21.456}, Ratio(ratio, ratio, ratio, 3), ({"total us": 21.456},) * 3)
    verdict = Verdict("CPU per request", ratio, "x nginx", Goal(1.1, 0.85))
    return CaseResult("plain", "plain", "CPU", [row], [verdict])


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.314, "0.31"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")]
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert report.number(value) == text


@pytest.mark.parametrize(("ratio", "word"), [(0.85, "goal reached"), (1.1, "within"), (1.11, "OVER")])
def test_verdict(ratio: float, word: str) -> None:
    assert result(ratio).verdicts[0].word == word
    assert word in report.render(result(ratio))


def test_table_lines_up() -> None:
    lines = report.grid(["side", "us"], [["nginx", "1.0"], ["a", "10.0"]]).splitlines()
    assert lines == ["side     us", "-----------", "nginx   1.0", "a      10.0"]


def test_earlier_ratios_stand_beside_the_new() -> None:
    earlier = report.document({}, [result(1.0)], None)
    assert "+20 %" in report.against([result(1.2)], earlier)


def test_a_foreign_file_is_refused() -> None:
    with pytest.raises(ValueError, match="not a result"):
        report.against([], {"cases": "?"})

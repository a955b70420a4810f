from __future__ import annotations

from bench import rounds
from bench.results import Row

FOUND = {
    "nginx": [{"total us": 20.0, "requests": 9}, {"total us": 10.0, "requests": 9}],
    "fastgw": [{"total us": 30.0, "requests": 9}, {"total us": 11.0, "requests": 9}],
}


def test_medians_and_ratios_round_by_round() -> None:
    base, ours = rounds.rows_of(FOUND, "total us", {"fastgw": "nginx"})
    assert base.ratio is None
    assert ours.ratio is not None
    assert (ours.figures["total us"], ours.ratio.low, ours.ratio.high) == (20.5, 1.1, 1.5)
    assert "requests" not in ours.figures


def test_one_column_against_another() -> None:
    assert rounds.against(FOUND, "fastgw", "total us", "nginx", "total us") == [1.5, 1.1]


def test_who_was_not_busy_is_named() -> None:
    rows = [Row("a", {"cores busy": 0.95}, None, ()), Row("b", {"cores busy": 0.5}, None, ())]
    assert rounds.saturation_notes(rows[:1], 1) == []
    assert rounds.saturation_notes(rows, 1)[0].endswith(": b")


def test_shares_of_processes_are_listed_from_the_greatest() -> None:
    measured = rounds.Measured({}, {"fastgw": {"1 a": 0.5, "2 b": 20.0}})
    assert measured.notes("fastgw") == ["fastgw by process: 2 b 20.00 us, 1 a 0.50 us"]
    assert measured.notes("nginx") == []

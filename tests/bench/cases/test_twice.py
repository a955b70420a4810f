from __future__ import annotations

from dataclasses import replace

from bench.cases import twice
from bench.results import Row
from fastgw.cli.faults.orders import order_of

FIGURES = {"requests": 50_000.0, "reached": 50_000.0, "cut": 10_000.0, "twice": 0.0}
ROW = Row("fastgw, 0 bytes", FIGURES, None, (FIGURES,))


def test_one_in_a_hundred_thousand_is_too_many() -> None:
    assert twice.judged([ROW, ROW]).verdicts[0].word == "goal reached"
    bad = replace(ROW, figures={**FIGURES, "twice": 1.0})
    verdict = twice.judged([ROW, bad]).verdicts[0]
    assert (verdict.what, verdict.word) == ("POSTs that reached a target twice, of 100,000", "OVER")


def test_of_nginx_it_is_shown_only() -> None:
    assert twice.judged([replace(ROW, label="nginx, 0 bytes")]).verdicts == []


def test_a_run_in_which_hardly_anything_was_cut_says_so() -> None:
    assert twice.judged([ROW]).notes == []
    calm = replace(ROW, figures={**FIGURES, "cut": 100.0})
    assert twice.judged([calm]).notes == ["hardly anything was cut: fastgw, 0 bytes"]


def test_cuts_are_of_all_kinds() -> None:
    assert set(twice.HOWS.values()) == {"close", "reset"}
    assert order_of({"mode": "cut", "at": "random", "share": twice.CUT_SHARE}).at == "random"

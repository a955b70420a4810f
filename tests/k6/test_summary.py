from __future__ import annotations

from dataclasses import replace
from typing import Any

from k6 import summary
from k6.summary import Round, Threshold


def document(**ok: bool) -> dict[str, Any]:
    return {
        "metrics": {
            "took": {
                "values": {"med": 0.5, "p(95)": 1.5, "p(99)": 2.5},
                "thresholds": {"p(99)<5": {"ok": ok.get("took", True)}},
            },
            "http_reqs": {"values": {"count": 1000}},
            "failed": {"values": {"count": 3}, "thresholds": {"count==0": {"ok": ok.get("failed", False)}}},
        }
    }


def test_figures_are_read_and_absent_counters_are_zero() -> None:
    found = summary.read(document())
    assert (found.p50, found.p95, found.p99, found.requests) == (0.5, 1.5, 2.5, 1000)
    assert (found.failed, found.wrong, found.dropped) == (3, 0, 0)
    assert found.thresholds == (Threshold("failed", "count==0", False), Threshold("took", "p(99)<5", True))


def test_a_row_has_medians_of_times_and_sums_of_counts() -> None:
    rounds = [summary.read(document()) for _ in range(3)]
    rounds[0] = replace(rounds[0], p99=9.0, failed=1)
    found = summary.row("nginx", rounds)
    assert (found.p99, found.failed, found.requests) == (2.5, 7, 3000)


def rounds(*held: bool, bound: str) -> list[Round]:
    return [Round(1, 1, 1, 1, 0, 0, 0, (Threshold("x", bound, one),)) for one in held]


def test_one_failed_request_in_one_round_breaks_the_bound() -> None:
    assert summary.broken(rounds(True, False, True, bound="count==0")) == ["x count==0 (in 1 of 3 rounds)"]


def test_a_time_must_be_over_in_most_rounds() -> None:
    assert summary.broken(rounds(True, False, True, bound="p(99)<5")) == []
    assert summary.broken(rounds(False, False, True, bound="p(99)<5")) == ["x p(99)<5 (in 2 of 3 rounds)"]
    assert summary.broken(rounds(False, bound="p(99)<5")) == ["x p(99)<5 (in 1 of 1 rounds)"]


def test_refusals_are_read_where_there_are_some() -> None:
    plain = document()
    assert (summary.read(plain).refused, summary.read(plain).refusal_p99) == (0, 0)
    plain["metrics"]["refusal"] = {"values": {"med": 0.3, "p(99)": 0.9, "count": 41}}
    plain["metrics"]["admitted"] = {"values": {"count": 12}}
    found = summary.read(plain)
    assert (found.admitted, found.refused, found.refusal_p50, found.refusal_p99) == (12, 41, 0.3, 0.9)


def test_a_threshold_is_unbroken_if_no_run_broke_it() -> None:
    runs = [
        [Threshold("a", "x", True), Threshold("b", "x", True)],
        [Threshold("a", "x", False), Threshold("b", "x", True)],
    ]
    assert summary.unbroken(runs) == (Threshold("a", "x", False), Threshold("b", "x", True))

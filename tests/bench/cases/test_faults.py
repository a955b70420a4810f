from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from bench.cases import faults
from bench.cases.faults import DEAD, DOWN, HEALTHY, RATE, STALLED, TARGETS, TROUBLES, Observed
from bench.load.arrivals import Result, Seen
from bench.results import CaseResult
from fastgw.cli.faults.orders import order_of

GOOD = Seen(3.0, 0.001, 200, "a")
OBSERVED = Observed(Result(0.0, [GOOD]), 2.0, 8.0, 12, 4, [5, 5, 1, 0, 0, 1], [0, 1, 60, 220, 250], 14.0)


def test_every_trouble_is_one_that_services_understand() -> None:
    for trouble in TROUBLES:
        assert set(trouble.befallen) <= set(TARGETS)
        assert bool(trouble.befallen) == bool(trouble.order) == (trouble.name != HEALTHY)
        order_of(dict(trouble.order))


def test_a_quick_run_has_what_is_judged_at_half_the_time() -> None:
    quick = {one.name: one for one in faults.chosen(True)}
    assert set(quick) == {HEALTHY, DEAD, STALLED, DOWN}
    assert quick[STALLED].seconds == 4
    assert len(faults.chosen(False)) == len(TROUBLES)


def test_figures_of_the_time_of_the_trouble_only() -> None:
    failed = [replace(GOOD, status=status) for status in (0, 502, 503, 503)]
    early = replace(GOOD, began=1.0, status=502)
    late = replace(GOOD, began=6.5, took=0.5)
    found = faults.figures_of(replace(OBSERVED, result=Result(0.0, [early, GOOD, *failed, late])), befallen=1)
    assert [found[key] for key in ("requests", "failed", "200", "502", "503", "504", "none")] == [
        *(6, 4, 2, 1, 2, 0, 1)
    ]
    assert found["p99 ms"] == pytest.approx(500)
    assert (found["reached/req"], found["met"]) == (2, 4)
    assert found["once open"] == 2  # two attempts in the seconds from the third on, for the one request then


def test_it_is_well_again_when_nothing_fails_and_the_befallen_have_their_share() -> None:
    due = RATE / 2
    assert faults.recovered(OBSERVED, due) == 3
    failing = replace(OBSERVED, result=Result(0.0, [replace(GOOD, began=12.0, took=0.25, status=503)]))
    assert faults.recovered(failing, due) == pytest.approx(4.25)
    assert faults.recovered(replace(OBSERVED, once_good=[0, 1]), due) == 14


def test_probes_are_no_return() -> None:
    assert faults.first_seconds(OBSERVED.once_good, 250.0) == pytest.approx(88)
    assert faults.first_seconds([0, 1, 2], 250.0) == 0
    assert faults.first_seconds([250], 250.0) == 100


def test_seconds_of_several_services_are_added() -> None:
    assert faults._summed([{"seconds": [1, 2]}, {"seconds": [1]}]) == [2, 2]
    assert faults._summed([]) == []


ROUND = {"requests": 1, "failed": 0, "p99 ms": 1.0, "met": 0, "first s %": 0, "once open": 0, "dropped": 0}


def judged(*changes: tuple[str, Mapping[str, float]]) -> CaseResult:
    found = {
        f"{side}, {one.name}": [dict(ROUND), dict(ROUND)] for side in ("nginx", "fastgw") for one in TROUBLES
    }
    for name, change in changes:
        found[f"fastgw, {name}"][1] |= change
    return faults.judged(found)


def test_all_goals_reached() -> None:
    assert [verdict.word for verdict in judged().verdicts] == ["goal reached"] * 6


@pytest.mark.parametrize(
    ("name", "change", "number"),
    [
        (DEAD, {"failed": 1}, 0),
        (STALLED, {"failed": 1}, 1),
        (DEAD, {"p99 ms": 3.0}, 2),
        (STALLED, {"met": 90}, 3),
        (STALLED, {"first s %": 180}, 4),
        (DOWN, {"once open": 0.03}, 5),
    ],
)
def test_each_can_be_missed(name: str, change: dict[str, float], number: int) -> None:
    words = [verdict.word for verdict in judged((name, change)).verdicts]
    assert words[number] == "OVER"
    assert words.count("OVER") == 1


def test_a_load_that_ran_dry_is_noted() -> None:
    assert judged((DEAD, {"dropped": 4})).notes == ["the load ran out of connections: fastgw, one dead"]

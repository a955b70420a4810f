from __future__ import annotations

from dataclasses import replace

from k6 import findings
from k6.findings import Seen
from k6.modes import Sample
from k6.outcome import Outcome
from k6.scenario import SCENARIOS
from k6.summary import Round, Threshold, row
from k6.timeline import Moment, Slot, Timeline
from k6.verdicts import Verdict

ROUND = Round(0.4, 0.8, 1.0, 1000, 0, 0, 0, ())
GOOD = Slot(100, 0.5, 1.5, 2.0, "redis")
LOCAL = replace(GOOD, mode="local")


def test_a_good_outage_is_judged_by_all_its_stretches() -> None:
    slots = (GOOD,) * 30 + (LOCAL,) * 30 + (GOOD,) * 30 + (LOCAL,) * 30 + (GOOD,) * 40
    line = Timeline("x", slots, (("stopped", 30), ("continued", 60), ("killed", 90), ("started empty", 120)))
    found = findings.story(SCENARIOS["outage"], line)
    assert len(found) == 10
    assert all(verdict.held for verdict in found)


def test_a_slow_store_is_late_first_and_too_late_then() -> None:
    late = replace(GOOD, p50=11.0)
    slots = (GOOD,) * 40 + (late,) * 40 + (LOCAL,) * 40 + (GOOD,) * 40
    line = Timeline("x", slots, (("10 ms late", 40), ("100 ms late", 80), ("in time", 120)))
    found = findings.story(SCENARIOS["slow"], line)
    assert len(found) == 7
    assert all(verdict.held for verdict in found)


def test_counts_are_held_against_what_happened() -> None:
    moments = [Moment("killed", 10.0), Moment("started empty", 20.0)]
    looks = [(12.0, 5, 0), (19.5, 5, 900), (20.5, 5, 990), (23.5, 40, 999), (29.0, 500, 999)]
    samples = [Sample(at, {"redis": store, "local": local}) for at, store, local in looks]
    assert [verdict.held for verdict in findings.counts(samples, moments, 30.0)] == [True, True]
    samples[1] = Sample(19.5, {"redis": 6, "local": 900})
    samples[4] = Sample(29.0, {"redis": 500, "local": 1000})
    assert [verdict.held for verdict in findings.counts(samples, moments, 30.0)] == [False, False]
    assert findings.counts(samples[:1], moments, 30.0) == []


def test_the_flood_is_compared_with_one_that_goes_elsewhere() -> None:
    found = {
        findings.ALONE: Seen(replace(ROUND, p99=0.1)),
        findings.PASSING: Seen(ROUND),
        findings.FLOODED: Seen(replace(ROUND, p99=1.2), sizes=[1 << 20] * 8),
    }
    ratio, growth = findings.judge(SCENARIOS["flood"], found)
    assert (ratio.value, ratio.held) == (1.2, True)
    assert growth.held


def test_a_calm_scenario_is_judged_by_k6_alone() -> None:
    assert findings.judge(SCENARIOS["over"], {"fastgw": Seen(ROUND)}) == []


def test_notes_name_refusals_and_what_was_due() -> None:
    scenario = SCENARIOS["over"]
    assert scenario.guards is not None
    due = scenario.guards.due(10)
    one = replace(ROUND, admitted=round(due * 1.02), refused=9000, refusal_p50=0.3, refusal_p99=0.9)
    first, second, third = findings.notes(scenario, 10, {"fastgw": [Seen(one), Seen(one, {"redis": 9})]})
    assert "18,000 refused" in first
    assert second.count("+2.0") == 2
    assert third == "fastgw: decisions of limits by mode: redis:9"
    assert findings.notes(scenario, 10, {"fastgw": [Seen(ROUND)]}) == []


def test_notes_of_the_flood_show_the_other_baseline_too() -> None:
    rounds = {
        findings.ALONE: [Seen(replace(ROUND, p99=0.5))],
        findings.FLOODED: [Seen(replace(ROUND, p99=1.0, refused=5, denied=7), sizes=[1 << 20, 3 << 20])],
    }
    text = "\n".join(findings.notes(SCENARIOS["flood"], 10, rounds))
    assert "7 invalid tokens" in text
    assert "2.00 times" in text
    assert "1.0 MB at first, at most 3.0 MB" in text


def test_an_outcome_shows_its_verdicts_and_what_is_near_a_moment() -> None:
    line = Timeline("timeline-outage-1.csv", (GOOD,) * 30, (("stopped", 20),))
    bad = Verdict("killed: median", 9, 1, "ms")
    outcome = Outcome(
        SCENARIOS["outage"], [row("fastgw", [ROUND])], {"fastgw": [ROUND]}, [], ["a note"], [bad], [line]
    )
    text = outcome.render()
    assert "timeline-outage-1.csv" in text
    assert "killed: median: 9.00 ms (at most 1.00): DOES NOT HOLD" in text
    assert outcome.plain()["verdicts"] == [
        {"what": "killed: median", "value": 9, "bound": 1, "unit": "ms", "held": False}
    ]


def test_rounds_of_several_loads_become_a_row_each() -> None:
    broken = replace(ROUND, failed=1, thresholds=(Threshold("failed", "count==0", False),))
    one = {findings.ALONE: Seen(ROUND), findings.PASSING: Seen(ROUND), findings.FLOODED: Seen(broken)}
    found = findings.outcome(SCENARIOS["flood"], 10, [one, one])
    assert [line.side for line in found.rows] == [findings.ALONE, findings.PASSING, findings.FLOODED]
    assert found.rows[0].requests == 2000
    assert found.broken == [(findings.FLOODED, "failed count==0 (in 2 of 2 rounds)")]
    assert len(found.verdicts) == 2

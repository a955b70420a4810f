from __future__ import annotations

import re

import pytest

from bench.sides.table import OURS
from k6.runner import ACTS
from k6.scenario import SCENARIOS, Bucket, Event, Guards, Scenario
from k6.setting import LEAD_SECONDS
from k6.steps import STEPS
from k6.verdicts import BACK_SECONDS, SETTLE_SECONDS


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_every_scenario_has_a_script_with_thresholds(scenario: Scenario) -> None:
    text = scenario.script.read_text()
    for metric in ("failed", "wrong", "took", "dropped_iterations"):
        assert re.search(rf"^  {metric}: \['[^']+'\],$", text, re.MULTILINE), metric


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_events_fit_the_time(scenario: Scenario) -> None:
    assert (scenario.events > 0) == (scenario.event in ACTS)
    assert scenario.quick_seconds >= 4  # a second of warm-up and a stall of 1.5 s must fit
    assert scenario.event is Event.NONE or scenario.workers > 1 or scenario.services
    assert scenario.timed == (scenario.event in (*STEPS, Event.CIRCUIT))


def test_publishing_is_twice_a_second() -> None:
    found = SCENARIOS["publish"]
    for seconds, count in ((found.seconds, found.events), (found.quick_seconds, found.quick_events)):
        assert count == (seconds - LEAD_SECONDS) * 2


@pytest.mark.parametrize(
    "scenario", [one for one in SCENARIOS.values() if one.event in STEPS], ids=lambda one: one.name
)
def test_the_store_is_away_and_back_for_long_enough_to_judge(scenario: Scenario) -> None:
    shares = [step.share for step in STEPS[scenario.event]]
    assert shares == sorted(shares)
    for seconds in (scenario.seconds, scenario.quick_seconds):
        assert shares[0] * seconds > 1.5  # the stretch before, without k6's own start
        for begin, end in zip(shares, [*shares[1:], 1.0], strict=True):
            assert (end - begin) * seconds > max(SETTLE_SECONDS * 2, BACK_SECONDS * 0.75)
    assert (1 - shares[-1]) * scenario.quick_seconds > BACK_SECONDS


@pytest.mark.parametrize(
    "scenario", [one for one in SCENARIOS.values() if one.guards], ids=lambda one: one.name
)
def test_clients_are_under_their_limits_or_well_over(scenario: Scenario) -> None:
    assert scenario.guards is not None
    each = scenario.rate / scenario.guards.clients
    assert each * 2 < scenario.guards.address.rate
    # In an outage half of the rate is what a worker's own bucket has.
    assert (each == 10 * scenario.guards.consumer.rate) or each * 2 < scenario.guards.consumer.rate
    assert OURS in scenario.sides


def test_what_is_due_is_the_bursts_and_the_rate_over_the_time() -> None:
    assert Guards(4, Bucket(1, 1), Bucket(50, 10)).due(10) == 4 * 510

from __future__ import annotations

import re

import pytest

from k6.scenario import SCENARIOS, Event, Scenario


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_every_scenario_has_a_script_with_thresholds(scenario: Scenario) -> None:
    text = scenario.script.read_text()
    for metric in ("failed", "wrong", "took", "dropped_iterations"):
        assert re.search(rf"^  {metric}: \['[^']+'\],$", text, re.MULTILINE), metric


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_events_fit_the_time(scenario: Scenario) -> None:
    assert (scenario.events > 0) == (scenario.event is not Event.NONE)
    assert scenario.quick_seconds >= 4  # a second of warm-up and a stall of 1.5 s must fit
    assert scenario.event is Event.NONE or scenario.workers > 1

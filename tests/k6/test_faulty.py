from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.faults import Faults
from bench.process import Process
from bench.sides.side import Plan
from bench.sides.table import BASE, OURS
from fastgw.cli.faults.orders import order_of
from fastgw.gateway.document.load import load_file
from k6 import faulty, stories
from k6.faulty import CALM, TROUBLED
from k6.scenario import SCENARIOS, Scenario
from k6.stories import Told
from k6.summary import Round, Threshold
from k6.verdicts import Verdict

FAULTY = [one for one in SCENARIOS.values() if one.services]
ROUND = Round(0.4, 0.8, 1.0, 1000, 0, 0, 0, ())


def services(scenario: Scenario, folder: Path) -> Faults:
    nobody = Process("faults", subprocess.Popen(["true"]), folder / "none")
    nobody.popen.wait()
    return Faults(nobody, {name: f"127.0.0.1:41{at:02}" for at, name in enumerate(scenario.services)}, "")


@pytest.mark.parametrize("scenario", FAULTY, ids=lambda one: one.name)
def test_the_gateway_accepts_its_configuration(scenario: Scenario, tmp_path: Path) -> None:
    write = faulty.writer(scenario, OURS, services(scenario, tmp_path))
    document = load_file(write(Plan(tmp_path, 4001, 4002, 4003, 4004)).config, {})
    urls = [target.url for upstream in document.upstreams.values() for target in upstream.targets]
    assert sum(":41" in url for url in urls) == len(scenario.services)


@pytest.mark.parametrize("scenario", FAULTY, ids=lambda one: one.name)
def test_what_services_are_told_is_understood(scenario: Scenario) -> None:
    assert bool(scenario.order) == bool(scenario.troubled)
    for order in (scenario.order, stories.SLOW, faulty.ODD):
        order_of(dict(order))


@pytest.mark.parametrize("seconds", [SCENARIOS["circuit"].seconds, SCENARIOS["circuit"].quick_seconds])
def test_the_story_of_a_circuit_fits_into_its_time(seconds: int) -> None:
    """The second opening lasts twice as long as the first, give or take a tenth; then the upstream must be back."""
    opened = stories.FAILS_AT * seconds
    first_probe = opened + stories.CIRCUIT_SECONDS * 1.1
    second_probe = first_probe + 2 * stories.CIRCUIT_SECONDS * 0.9
    assert opened > 2
    assert stories.BACK_AT * seconds < second_probe - 0.5
    assert first_probe + 2 * stories.CIRCUIT_SECONDS * 1.1 + 2 < seconds


@pytest.mark.parametrize("seconds", [SCENARIOS["rolling"].seconds, SCENARIOS["rolling"].quick_seconds])
def test_no_two_targets_are_down_at_once(seconds: int) -> None:
    between = stories.RESTARTS / len(SCENARIOS["rolling"].services) * seconds
    assert between > stories.DOWN_SECONDS * 1.2
    assert stories.FIRST_RESTART + stories.RESTARTS < 1


def test_beside_an_upstream_in_trouble_ours_is_judged_and_nginx_is_not() -> None:
    late = dataclasses.replace(ROUND, p99=2.0)
    found = {
        f"{OURS}, {CALM}": ROUND,
        f"{OURS}, {TROUBLED}": late,
        f"{BASE}, {CALM}": ROUND,
        f"{BASE}, {TROUBLED}": late,
    }
    (verdict,) = faulty.beside(found)
    assert (verdict.value, verdict.bound, verdict.held) == (2.0, pytest.approx(1.6), False)
    assert faulty.beside({f"{OURS}, {CALM}": ROUND, f"{OURS}, {TROUBLED}": ROUND})[0].held
    assert faulty.beside({OURS: ROUND}) == []


def test_the_outcome_of_ours_and_of_nginx() -> None:
    lost = dataclasses.replace(ROUND, thresholds=(Threshold("failed", "count==0", False),))
    rounds = {f"{OURS}, {CALM}": [lost], f"{BASE}, {CALM}": [lost]}
    document: dict[str, Any] = {
        "metrics": {
            "troubled": {"values": {"med": 1.0, "p(99)": 2.0, "count": 50}},
            "refused": {"values": {"count": 7}},
        }
    }
    told = {label: [Told(document, verdicts=[Verdict("off by", 3, 1, "points")])] for label in rounds}
    found = faulty.outcome(SCENARIOS["timeouts"], rounds, told, [faulty._of_ours(faulty.label_told(told, 0))])
    assert [side for side, _ in found.broken] == [f"{OURS}, {CALM}", BASE]
    assert [verdict.what for verdict in found.verdicts] == ["off by"]
    assert found.notes[0].endswith(
        "50 asked the other upstream, p50 1.00 ms, p99 2.00 ms; 7 met an open circuit"
    )


def test_who_asks_nobody_else_has_no_note() -> None:
    assert faulty.troubled_note([{"metrics": {}}]) == ""

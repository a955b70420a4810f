from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import tools
from k6 import drive
from k6.drive import Inputs
from k6.scenario import SCENARIOS


def test_inputs_name_the_answer_that_each_request_must_get(tmp_path: Path) -> None:
    inputs = drive.prepare(tmp_path, tmp_path)
    rows = json.loads(inputs.requests.read_text())
    assert len(rows) == 1000
    assert json.loads(rows[3]["body"])["path"] == rows[3]["target"].partition("?")[0]
    assert inputs.body.stat().st_size == drive.BODY_BYTES


@pytest.mark.skipif(tools.find("k6") is None, reason="k6 is not installed")
def test_command_names_rate_time_and_target(tmp_path: Path) -> None:
    scenario = SCENARIOS["plain"]
    inputs = Inputs(tmp_path / "r", tmp_path / "b", "00")
    argv = drive.command(scenario, 4000, 7, inputs, tmp_path / "summary.json")
    assert argv[-1] == str(scenario.script)
    assert {"BASE=http://127.0.0.1:4000", f"RATE={scenario.rate}", "SECONDS=7"} <= set(argv)
    assert "--no-usage-report" in argv

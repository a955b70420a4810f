from __future__ import annotations

import pytest

from bench.errors import BenchError
from k6 import cli
from k6.scenario import SCENARIOS


def test_what_no_side_can_run_is_left_out_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.runnable(["plain", "over"], ["nginx"]) == ["plain"]
    assert "over: left out, it is for fastgw only" in capsys.readouterr().out
    assert cli.runnable(list(SCENARIOS), ["fastgw"]) == list(SCENARIOS)


@pytest.mark.parametrize("argv", [["--scenarios", "nothing"], ["--sides", "other"], ["--scenarios", ","]])
def test_wrong_use_is_said_and_has_its_exit_code(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 2
    assert "there are" in capsys.readouterr().out


def test_every_scenario_can_be_named() -> None:
    assert cli.parser().parse_args([]).scenarios.split(",") == list(SCENARIOS)
    with pytest.raises(BenchError):
        cli._chosen("plain,odd", list(SCENARIOS), "scenario")

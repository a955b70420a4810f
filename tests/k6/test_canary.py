from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench import tools
from bench.sides.side import Plan
from bench.sides.table import BASE, OURS
from fastgw.gateway.document.load import load_file
from k6 import canary
from k6.canary import CanaryWriter

ADDRESSES = {"stable": "127.0.0.1:4101", "next": "127.0.0.1:4102"}


def plan(folder: Path) -> Plan:
    return Plan(folder, 4001, 4002, 4003, 4004)


@pytest.mark.parametrize("share", canary.SHARES)
def test_the_gateway_accepts_each_split(tmp_path: Path, share: int) -> None:
    command = CanaryWriter(OURS, ADDRESSES, share)(plan(tmp_path))
    route = load_file(command.config, {}).routes["faulty"]
    assert route.split == {"faulty": 100 - share, "next": share}


@pytest.mark.skipif(tools.find("nginx") is None, reason="nginx is not installed")
@pytest.mark.parametrize("share", canary.SHARES)
def test_nginx_accepts_each_split(tmp_path: Path, share: int) -> None:
    command = CanaryWriter(BASE, ADDRESSES, share)(plan(tmp_path))
    done = subprocess.run([*command.argv, "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("5% next" in command.config.read_text()) == (share == 5)


def test_a_text_that_is_not_there_once_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 times"):
        canary._replaced("text", ("other", ""))


def test_shares_within_what_chance_explains_hold() -> None:
    found = canary.shares({5: (4760, 240), 50: (2450, 2550), 100: (0, 5000)})
    assert [verdict.held for verdict in found] == [True, True, True]


def test_a_share_that_is_off_or_one_old_request_does_not() -> None:
    found = canary.shares({5: (4600, 400), 50: (2100, 2900), 100: (1, 4999)})
    assert [verdict.held for verdict in found] == [False, False, False]
    assert not canary.shares({5: (0, 0)})[0].held

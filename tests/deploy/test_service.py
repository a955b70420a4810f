"""The systemd unit fits the gateway that it starts, and systemd understands it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fastgw.cli.main import VERBS
from fastgw.gateway.document.load import load_plain
from fastgw.supervisor.exits import Exit

FILE = Path(__file__).resolve().parents[2] / "deploy" / "fastgw.service"
TEXT = FILE.read_text(encoding="utf-8")
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed here")
# Of systemd-analyze security: 0 is closed, 10 wide open. Ours is 1.9; below 3 systemd itself says OK.
EXPOSURE = "25"


def settings(section: str) -> dict[str, str]:
    body = re.split(r"^\[(\w+)\]$", TEXT, flags=re.MULTILINE)
    text = body[body.index(section) + 1]
    return dict(re.findall(r"^([A-Za-z]+)=(.*)$", text, re.MULTILINE))


SERVICE = settings("Service")


def analyze(*command: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *command], capture_output=True, text=True, check=False, timeout=30)


def with_program(text: str, folder: Path) -> str:
    """The unit beside a program that exists on this machine: systemd looks."""
    unit = folder / "fastgw.service"
    unit.write_text(text.replace("/opt/fastgw/bin/fastgw", "/bin/sh"))
    return str(unit)


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    ran = analyze("verify", "--man=no", with_program(TEXT, tmp_path))
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


@needs_systemd
def test_a_line_that_systemd_does_not_know_is_seen(tmp_path: Path) -> None:
    ran = analyze(
        "verify", "--man=no", with_program(TEXT.replace("KillMode=mixed", "KillMood=mixed"), tmp_path)
    )
    assert "KillMood" in ran.stderr


@needs_systemd
def test_it_is_closed_to_what_a_gateway_has_no_use_for(tmp_path: Path) -> None:
    ran = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", with_program(TEXT, tmp_path))
    if "nrecognized option" in ran.stderr:
        pytest.skip("this systemd is older than 250")
    assert ran.returncode == 0, ran.stdout[-400:] + ran.stderr


def test_it_runs_and_reloads_what_there_is() -> None:
    program, verb, *rest = SERVICE["ExecStart"].split()
    assert (program, rest) == ("/opt/fastgw/bin/fastgw", ["-c", "/etc/fastgw/gateway.yaml"])
    assert verb in VERBS
    assert SERVICE["ExecReload"] == "/bin/kill -HUP $MAINPID"
    # The supervisor says READY=1 and RELOADING=1 itself; systemd before 253 has no notify-reload.
    assert SERVICE["Type"] == "notify"


def test_the_time_to_stop_is_longer_than_a_drain() -> None:
    drain = load_plain({"listeners": [{"address": "127.0.0.1:1"}], "routes": []}, "defaults").base.drain
    assert int(SERVICE["TimeoutStopSec"]) > drain.delay + drain.timeout + 10
    # TERM goes to the supervisor alone: a worker that heard it as well would not be its to drain.
    assert SERVICE["KillMode"] == "mixed"
    assert "KillSignal" not in SERVICE


def test_what_another_start_does_not_mend_ends_it() -> None:
    assert SERVICE["Restart"] == "on-failure"
    prevented = {int(code) for code in SERVICE["RestartPreventExitStatus"].split()}
    assert prevented == {Exit.CONFIG, Exit.USAGE}


def test_a_worker_that_the_kernel_takes_does_not_end_the_others() -> None:
    assert SERVICE["OOMPolicy"] == "continue"


def test_there_are_descriptors_for_the_connections_that_are_allowed() -> None:
    server = load_plain({"listeners": [{"address": "127.0.0.1:1"}], "routes": []}, "defaults").base.server
    assert int(SERVICE["LimitNOFILE"]) > 2 * server.max_connections


def test_its_user_may_do_nothing_else_than_low_ports() -> None:
    assert SERVICE["User"] == SERVICE["Group"] == "fastgw"
    assert SERVICE["CapabilityBoundingSet"] == SERVICE["AmbientCapabilities"] == "CAP_NET_BIND_SERVICE"
    assert SERVICE["NoNewPrivileges"] == "yes"
    assert SERVICE["ProtectSystem"] == "strict"
    assert {"StateDirectory", "RuntimeDirectory"} <= set(SERVICE)

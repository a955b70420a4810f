from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from fastgw.cli.admin_client import AdminError
from fastgw.cli.top import Source, command
from fastgw.cli.view import Facts
from tests.cli.fake_admin import FakeAdmin, fake_admin
from tests.cli.overviews import OVERVIEW, point
from tests.cli.terminal import terminal
from tests.cli.test_status import STATUS

ALTERNATE, NORMAL = "\x1b[?1049h", "\x1b[?1049l"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def fake() -> Iterator[FakeAdmin]:
    with fake_admin() as fake:
        fake.answers["GET /api/overview"] = 200, OVERVIEW
        fake.answers["GET /api/status"] = 200, STATUS
        fake.answers["GET /readyz"] = 200, b"ready\n"
        yield fake


def test_what_is_no_terminal_gets_one_frame(fake: FakeAdmin) -> None:
    result = CliRunner().invoke(command, ["--admin", fake.address], env={"COLUMNS": None})
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith("ready  version 7")
    assert lines[-1].startswith("catalog")
    assert "\x1b" not in result.output


def test_the_table_is_chosen_and_a_width_is_heeded(fake: FakeAdmin) -> None:
    fake.answers["GET /readyz"] = 503, {"detail": "draining"}
    result = CliRunner().invoke(
        command, ["--admin", fake.address, "--table", "reasons", "--once"], env={"COLUMNS": "50"}
    )
    assert result.output.startswith("not ready: draining")
    assert "rate_limited" in result.output
    assert max(map(len, result.output.splitlines())) <= 50


def test_no_gateway_at_the_start_is_an_error(fake: FakeAdmin) -> None:
    fake.answers["GET /api/overview"] = 401, {"detail": "a token is needed"}
    result = CliRunner().invoke(command, ["--admin", fake.address])
    assert result.exit_code == 1
    assert "a token is needed" in result.stderr


@pytest.mark.parametrize(("once", "env"), [(["--once"], {}), ([], {"TERM": "dumb"})])
def test_once_or_without_a_screen_it_leaves_the_terminal_alone(
    fake: FakeAdmin, once: list[str], env: dict[str, str]
) -> None:
    with terminal("top", *once, "--admin", fake.address, env=env) as screen:
        assert screen.end() == 0
        assert ALTERNATE not in screen.shown and "catalog" in screen.shown


def test_keys_and_fresh_figures_in_a_terminal(fake: FakeAdmin) -> None:
    with terminal("top", "--admin", fake.address, "--every", "0.1") as screen:
        assert "REQ/S ▾" in screen.wait_for("q quit")
        assert ALTERNATE in screen.shown and HIDE in screen.shown
        screen.press("w")
        assert "RESPAWNS" in screen.wait_for("WORKER ▾")
        screen.press("s")
        screen.wait_for("STATE ▾")
        screen.press("e")
        screen.wait_for("rate_limited")
        fake.answers["GET /api/overview"] = 200, {**OVERVIEW, "points": [point(777.0)]}
        screen.wait_for("requests 777/s")
        screen.press(" ")
        screen.wait_for("paused")
        screen.press("?")
        screen.wait_for("Any key goes back.")
        screen.press("r")
        screen.wait_for("ROUTE")
        screen.resize(12, 60)
        screen.wait_for("…")  # the keys do not fit any more
        screen.press("q")
        assert screen.end() == 0
        assert screen.shown.rindex(NORMAL) > screen.shown.rindex(ALTERNATE)
        assert screen.shown.rindex(SHOW) > screen.shown.rindex(HIDE)
        assert "Traceback" not in screen.shown


def test_a_gateway_that_goes_away_leaves_its_last_figures_with_a_word(fake: FakeAdmin) -> None:
    with terminal("top", "--admin", fake.address, "--every", "0.1") as screen:
        screen.wait_for("q quit")
        fake.answers["GET /api/status"] = 500, {"detail": "broken just now"}
        assert "orders" in screen.wait_for("broken just now") + screen.wait_for("q quit")
        fake.answers["GET /api/status"] = 200, STATUS
        screen.press("u")
        screen.wait_for("RETRIES")
        screen.press("\x03")
        assert screen.end() == 0
        assert screen.shown.rindex(NORMAL) > screen.shown.rindex(ALTERNATE)


def test_a_signal_gives_the_terminal_back(fake: FakeAdmin) -> None:
    with terminal("top", "--admin", fake.address) as screen:
        screen.wait_for("q quit")
        screen.process.send_signal(signal.SIGTERM)
        assert screen.end() == 128 + signal.SIGTERM
        assert screen.shown.rindex(NORMAL) > screen.shown.rindex(ALTERNATE)


def test_help_does_not_pay_for_the_screen() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from fastgw.cli.main import main\n"
        "assert CliRunner().invoke(main, ['top', '--help']).exit_code == 0\n"
        "print('rich' in sys.modules, 'pydantic' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False False"


def test_the_source_keeps_what_it_knows_and_ends_with_its_reader() -> None:
    first = Facts({"a": 1}, {}, None, 1.0)
    answers: list[Any] = [AdminError(["gone", "more"]), Facts({"a": 2}, {}, None, 2.0)]

    def fetch() -> Facts:
        answer = answers.pop(0) if answers else first
        if isinstance(answer, AdminError):
            raise answer
        assert isinstance(answer, Facts)
        return answer

    read, write = os.pipe()
    bell = io.FileIO(write, "w")
    source = Source(first, fetch, bell, 0.0)
    thread = threading.Thread(target=source.run)
    assert source.facts is first
    thread.start()
    assert os.read(read, 1) == b"!"
    os.close(read)
    thread.join(5)
    assert not thread.is_alive()
    bell.close()

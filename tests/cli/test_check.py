from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fastgw.cli.check import command

GOOD = """\
listeners: [{address: "127.0.0.1:8080"}]
upstreams: {app: {targets: [http://127.0.0.1:9001]}}
routes:
  - {name: rest, upstream: app}
  - {name: below, match: {path: /x/*}, upstream: app}
  - {name: exact, match: {path: /x/y, methods: [GET], headers: {X-V: "2"}}, upstream: app}
  - {name: host, match: {hosts: ["*.example.com"], path: /x}, reply: {status: 410}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD)
    return path


def test_a_right_file(file: Path) -> None:
    for arguments in (["-c", str(file)], [str(file)]):
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 0
        assert result.output.startswith(f"{file}: ok (1 listener, 1 upstream, 4 routes, ")
    # Nothing is written: no store, no lock.
    assert [entry.name for entry in file.parent.iterdir()] == ["gateway.yaml"]


def test_a_wrong_file(file: Path) -> None:
    file.write_text(GOOD.replace("upstream: app}", "upstreem: app}", 1) + "x: 1\n")
    result = CliRunner().invoke(command, ["-c", str(file)])
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == f'{file}:4: routes[0].upstreem: unknown key; did you mean "upstream"?'
    assert lines[1].startswith(f"{file}:8: x: unknown key")
    assert lines[2] == f"{file}: 2 problems"


def test_what_is_in_doubt_is_said_and_is_right_all_the_same(file: Path) -> None:
    file.write_text(GOOD.replace("upstream: app}", "upstream: app, auth: {any: [api_key]}}", 1))
    result = CliRunner().invoke(command, ["-c", str(file)])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{file}: ok (")
    assert result.stderr.startswith(f"warning: {file}:4: routes[0].auth.any: no consumer has a key")


def test_no_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["-c", str(tmp_path / "no.yaml")])
    assert result.exit_code == 1
    assert "there is no such file" in result.stderr
    assert "1 problem\n" in result.stderr


def test_the_order_of_routes(file: Path) -> None:
    result = CliRunner().invoke(command, ["-c", str(file), "--routes"])
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["ROUTE", "HOSTS", "PATH", "METHODS", "HEADERS", "TO", "POLICIES"],
        ["host", "*.example.com", "/x", "*", "*", "reply", "410", "-"],
        ["exact", "*", "/x/y", "GET", "x-v=2", "upstream", "app", "-"],
        ["below", "*", "/x/*", "*", "*", "upstream", "app", "-"],
        ["rest", "*", "/*", "*", "*", "upstream", "app", "-"],
    ]


def test_a_document_without_routes(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("listeners: [{address: '127.0.0.1:1'}]")
    result = CliRunner().invoke(command, ["-c", str(file), "--routes"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 1


def test_the_policies_of_routes_stand_in_the_order_of_the_chain(file: Path) -> None:
    limits = "limits: [{name: l, key: consumer, rate: 1/s, burst: 1}, {name: m, key: client_ip, rate: 1/s, burst: 1}]"
    policies = f"auth: {{any: [api_key]}}, {limits}, ip_access: {{deny: [192.0.2.0/24]}}"
    file.write_text(
        GOOD.replace("upstream: app}", f"split: {{app: 9, b: 1}}, {policies}}}", 1)
        .replace("upstreams: {", "upstreams: {b: {targets: [http://127.0.0.1:9002]}, ")
        .replace("reply: {", "ip_access: {allow: [0.0.0.0/0, '::/0']}, reply: {")
    )  # fmt: skip
    result = CliRunner().invoke(command, ["-c", str(file), "--routes"])
    lines = {line.split()[0]: line.split()[5:] for line in result.stdout.splitlines()}
    assert lines["rest"] == ["split", "app:9", "b:1", "ip_access", "limits", "auth"]
    # What admits everybody is no policy.
    assert lines["host"] == ["reply", "410", "-"]


def test_its_own_tests_run(file: Path) -> None:
    tests = """\
tests:
  - {request: "GET http://localhost/x/7", expect: {route: below, upstream: app}}
  - {request: "GET http://a.example.com/x", expect: {status: 410}}
"""
    file.write_text(GOOD + tests)
    result = CliRunner().invoke(command, ["-c", str(file)])
    assert result.exit_code == 0
    assert f"{file}: 2 tests passed\n" in result.stdout
    file.write_text(GOOD + tests.replace("route: below", "route: rest"))
    result = CliRunner().invoke(command, ["-c", str(file)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[0].startswith(
        f'{file}:9: tests[0].expect.route: expected route "rest", but it was "below" '
        "(the route below forwards it to app as /x/7"
    )
    assert result.stderr.splitlines()[1] == f"{file}: 1 problem"

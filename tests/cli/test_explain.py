from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fastgw.cli.explain import command, report
from fastgw.cli.figures import Paint
from tests.cli.fake_admin import FakeAdmin, fake_admin

KEY = "a-key-of-the-application"
DIGEST = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
GOOD = f"""\
listeners: [{{address: "127.0.0.1:8080"}}]
upstreams: {{app: {{targets: [http://127.0.0.1:9001]}}, next: {{targets: [{{url: "http://127.0.0.1:9002", weight: 3}}]}}}}
consumers: [{{name: me, keys: ["{DIGEST}"]}}]
routes:
  - {{name: rest, upstream: app}}
  - name: orders
    match: {{path: /orders/*, methods: [GET]}}
    split: {{app: 5, next: 95}}
    auth: {{any: [api_key]}}
    limits: [{{name: each, key: consumer, rate: 10/s, burst: 20}}]
    rewrite: {{path: {{strip_prefix: /orders, add_prefix: /v2}}}}
  - {{name: gone, match: {{path: /gone}}, reply: {{status: 410}}}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def admin() -> Iterator[FakeAdmin]:
    with fake_admin() as one:
        yield one


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(command, [*arguments], env=environ)


def test_a_request_that_is_forwarded(file: Path) -> None:
    fields = ("-H", f"X-API-Key: {KEY}")
    result = run("-c", str(file), "https://api.example.com/orders/7?a=b", *fields, "--from", "203.0.113.9")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"GET api.example.com/orders/7?a=b from 203.0.113.9, by {file}"
    assert lines[2:12] == [
        "route     orders  (path /orders/*, method GET)",
        "            not rest: it takes it too, and is less exact",
        "chain     auth               pass  me",
        "          limits after auth  pass  each",
        "limits    each  consumer = me  10/s, burst 20  after auth",
        "cache     no cache",
        "upstream  next  (of app 5%, next 95%)",
        "          http://127.0.0.1:9002  weight 3",
        "forwards  GET /v2/7?a=b",
        "            Host: api.example.com",
    ]
    assert "            X-API-Key: ********" in lines
    assert "            X-Consumer: me" in lines
    assert lines[-1] == "outcome   forwarded; the upstream's answer decides"
    assert KEY not in result.output


def test_a_request_that_is_refused(file: Path) -> None:
    lines = run("-c", str(file), "GET", "http://a/orders/7").stdout.splitlines()
    assert "chain     auth               refuse   the credential is missing; send an API key in x-api-key" in lines
    assert "          limits after auth  skipped" in lines
    assert lines[-1].startswith("outcome   401 missing_credentials  (auth): the credential is missing")
    assert not any(line.startswith(("upstream", "forwards")) for line in lines)


def test_a_request_that_is_answered_here_and_one_that_nobody_takes(file: Path) -> None:
    assert run("-c", str(file), "http://a/gone").stdout.splitlines()[-1] == "outcome   answered here with 410"
    file.write_text(GOOD.replace("  - {name: rest, upstream: app}\n", ""))
    lines = run("-c", str(file), "POST", "http://a/orders/7").stdout.splitlines()
    assert lines[2:4] == ["route     none takes it", "            not orders: it wants the method GET"]
    assert lines[-1] == "outcome   405 method_not_allowed: the path exists, for other methods"
    lines = run("-c", str(file), "http://a/order").stdout.splitlines()
    assert "            not orders: its path is /orders/*" in lines
    assert lines[-1].startswith("outcome   404 no_route: ")


def test_as_json(file: Path) -> None:
    result = run("-c", str(file), "http://a/orders/7", "--json")
    outcome: dict[str, Any] = json.loads(result.stdout)
    assert (outcome["route"], outcome["reason"], outcome["version"]) == ("orders", "missing_credentials", None)


def test_a_file_whose_own_tests_fail_can_be_asked_why(file: Path) -> None:
    file.write_text(GOOD + 'tests: [{request: "GET http://a/gone", expect: {route: rest}}]\n')
    assert run("-c", str(file), "http://a/gone").exit_code == 0


def test_a_file_that_is_wrong(file: Path) -> None:
    file.write_text(GOOD.replace("upstream: app}", "upstream: ap}", 1))
    result = run("-c", str(file), "http://a/gone")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert 'there is no upstream "ap"' in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing argument"),
        (("/orders",), "is no whole URL"),
        (("GET", "http://a/x", "y"), "percent-encode"),
        (("http://a/", "-H", "x"), "'Name: value'"),
        (("http://a/", "-H", "a b: x"), "is no header name"),
        (("http://a/", "-H", "a: x\r\ny: z"), "line break"),
        (("http://a/", "--from", "here"), "is no address"),
    ],
)
def test_a_command_line_that_is_wrong(file: Path, arguments: tuple[str, ...], words: str) -> None:
    result = run("-c", str(file), *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_running_gateway_is_asked_the_same(file: Path, admin: FakeAdmin) -> None:
    outcome = json.loads(run("-c", str(file), "http://a/orders/7", "-H", f"X-API-Key: {KEY}", "--json").stdout)
    live = {"target": "127.0.0.1:9002", "url": "http://127.0.0.1:9002", "weight": 3, "healthy": False,
            "breaker": [{"worker": 0, "state": "open"}]}  # fmt: skip
    admin.answers["POST /api/explain"] = (200, {**outcome, "version": 7, "targets": [live]})
    where = ("--admin", admin.address, "--token", "t")
    result = run("POST", "http://a:81/x?y", "-H", "A: 1", "-H", "A: 2", "--from", "203.0.113.9", *where)
    assert result.exit_code == 0, result.output
    name, fields, body = admin.requests.get_nowait()
    assert name == "POST /api/explain"
    assert fields["Authorization"] == "Bearer t"
    assert json.loads(body) == {"request": "POST http://a:81/x?y", "headers": {"A": "1, 2"}, "client": "203.0.113.9"}
    assert result.stdout.splitlines()[0].endswith("by version 7")
    target = "          http://127.0.0.1:9002  weight 3  unhealthy  breaker open in 1 of 1 workers"
    assert target in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (["open", "open"], "outcome   503 breaker_open: the circuit of its upstream is open now, in every worker"),
        (["closed", "open"], "; in 1 of 2 workers its circuit is open: 503 breaker_open"),
        (["closed", "half_open"], "outcome   forwarded; the upstream's answer decides"),
    ],
)
def test_a_circuit_that_is_open_now_is_the_outcome(
    file: Path, admin: FakeAdmin, states: list[str], words: str
) -> None:
    outcome = json.loads(run("-c", str(file), "http://a/orders/7", "-H", f"X-API-Key: {KEY}", "--json").stdout)
    circuits = [{"worker": number, "state": state} for number, state in enumerate(states)]
    admin.answers["POST /api/explain"] = (200, {**outcome, "breaker": circuits})
    result = run("GET", "http://a/orders/7", "--admin", admin.address)
    assert result.stdout.splitlines()[-1].endswith(words)


def test_live_asks_the_gateway_of_the_file(file: Path, admin: FakeAdmin) -> None:
    file.write_text(f"{GOOD}admin: {{address: {admin.address}}}\n")
    admin.answers["POST /api/explain"] = (422, {"errors": [{"path": "request", "message": "no such thing"}]})
    result = run("-c", str(file), "--live", "OPTIONS", "http://a")
    assert result.exit_code == 1
    assert result.stderr == "request: no such thing\n"
    assert json.loads(admin.requests.get_nowait()[2])["request"] == "OPTIONS http://a"


def test_no_gateway_answers() -> None:
    result = run("--admin", "127.0.0.1:1", "http://a/")
    assert result.exit_code == 1
    assert "no gateway answers at 127.0.0.1:1" in result.stderr


def test_nothing_of_a_request_reaches_the_terminal_as_it_is(file: Path) -> None:
    outcome = json.loads(run("-c", str(file), "http://a/orders/7", "-H", f"X-API-Key: {KEY}", "--json").stdout)
    evil = "\x1b[2J\nroot"
    outcome |= {"request": evil, "route": evil, "path": evil, "query": evil, "headers": {evil: evil}, "detail": evil}
    outcome["chain"] = [{"policy": "auth", "verdict": "pass", "detail": evil}]
    outcome["others"] = [{"route": evil, "misses": [evil]}]
    assert all("\x1b" not in line and "\n" not in line for line in report(outcome, evil, Paint(False)))


def test_colours_do_not_move_the_columns(file: Path) -> None:
    outcome = json.loads(run("-c", str(file), "http://a/orders/7", "--json").stdout)
    painted = [line for line in report(outcome, "x", Paint(True)) if "auth" in line][:2]
    assert painted[0].startswith(
        "\x1b[36mchain     \x1b[0mauth               \x1b[31mrefuse\x1b[0m   the credential is missing; "
    )
    assert painted[1] == "          limits after auth  \x1b[2mskipped\x1b[0m"

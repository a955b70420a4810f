from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fastgw.cli.figures import Paint
from fastgw.cli.tail import HEADER, Lines, audited, command, line
from tests.cli.fake_admin import EXCHANGE, FakeAdmin, fake_admin
from tests.cli.terminal import PATIENCE, ROOT, terminal


@pytest.fixture
def fake() -> Iterator[FakeAdmin]:
    with fake_admin() as fake:
        yield fake


def run(fake: FakeAdmin, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["--admin", fake.address, *arguments])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {},
            "12:00:01.250 200 ok             GET     orders            0.25 ms  12.2 ms  "
            "api.example.com/orders/7 -> 10.0.0.1:9001",
        ),
        (
            {
                "status": 503, "reason": "breaker_open", "rule": "breaker", "attempts": 0, "target": None,
                "consumer": "ada",
            },
            "12:00:01.250 503 breaker_open   GET     orders            0.25 ms        -  "
            "api.example.com/orders/7 by breaker for ada",
        ),
        (
            {"rule": "shadow:per-key"},
            "12:00:01.250 200 ok             GET     orders            0.25 ms  12.2 ms  "
            "api.example.com/orders/7 -> 10.0.0.1:9001 per-key would have refused it",
        ),
        (
            {"route": None, "method": "PROPFIND", "attempts": 2, "path": "/\x1b]0;x\x07", "consumer": "\u202e"},
            "12:00:01.250 200 ok             PROPFIND -                 0.25 ms  12.2 ms  "
            "api.example.com/\\x1b]0;x\\x07 -> 10.0.0.1:9001 2 attempts for \\x202e",
        ),
    ],
)  # fmt: skip
def test_a_line_says_what_became_of_an_exchange(fields: dict[str, Any], text: str) -> None:
    assert line({**EXCHANGE, **fields}, Paint(False)) == text


@pytest.mark.parametrize(
    ("fields", "colour"),
    [
        ({}, "32"),
        ({"status": 404}, "33"),
        ({"status": 200, "reason": "response_truncated"}, "33"),
        ({"status": 502, "reason": "upstream_reset"}, "31"),
    ],
)
def test_the_colour_says_how_bad_it_was(fields: dict[str, Any], colour: str) -> None:
    assert f"\x1b[{colour}m{fields.get('status', 200)}\x1b[0m" in line({**EXCHANGE, **fields}, Paint(True))


def test_the_filters_are_the_query(fake: FakeAdmin) -> None:
    fake.exchange()
    filters = ["--route", "a b", "--route", "c", "--reason", "ok", "--status", "5xx", "--consumer", "ä"]
    result = run(fake, "-n", "1", "--upstream", "app", "--method", "get", "--slower", "1s", *filters)
    assert result.exit_code == 0
    assert fake.asked()[0] == (
        "GET /api/tail?route=a+b&route=c&reason=ok&status=5xx&consumer=%C3%A4&upstream=app&method=get&slower=1s"
    )


def test_exchanges_and_what_the_gateway_says_until_it_goes(fake: FakeAdmin) -> None:
    fake.exchange()
    fake.event("notice", {"worker": 1, "text": "upstream app: breaker open\x1b[2J"})
    fake.event("notice", {"worker": None, "text": "control: version 8 published"})
    fake.event("missed", {"worker": 1, "lines": 3})
    fake.event("missed", {"worker": 0, "lines": 4})
    fake.event("what comes later", {"a": 1})
    fake.exchange(path="/last")
    fake.pieces.put(None)
    result = run(fake)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].endswith("/orders/7 -> 10.0.0.1:9001")
    assert lines[1].strip() == "--- worker 1: upstream app: breaker open\\x1b[2J"
    assert lines[2].strip() == "--- control: version 8 published"
    assert [each.strip() for each in lines if "not shown" in each] == ["... 3 more not shown", "... 4 more not shown"]
    assert "/last" in lines[-2]
    assert f"the gateway at {fake.address} ended the stream" in result.stderr
    assert "\x1b" not in result.output


def test_json_is_exchanges_alone(fake: FakeAdmin) -> None:
    fake.exchange(path="/\u009b1m")
    text = json.dumps({**EXCHANGE, "path": "/\u009b"}, ensure_ascii=False)
    fake.event("exchange", text)
    fake.event("notice", {"worker": 1, "text": "breaker open"})
    fake.event("missed", {"worker": 1, "lines": 3})
    fake.pieces.put(FakeAdmin.CUT)
    result = run(fake, "--json")
    assert result.exit_code == 1
    assert [json.loads(each)["path"] for each in result.stdout.splitlines()] == ["/\u009b1m", "/\u009b"]
    assert result.stdout.isascii()
    assert "breaker open" in result.stderr and "3 more not shown" in result.stderr


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_it_ends_after_so_many_exchanges(fake: FakeAdmin, as_json: list[str]) -> None:
    for _ in range(3):
        fake.exchange()
    result = run(fake, "--count", "2", *as_json)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2


def test_a_refusal_says_what_is_wrong(fake: FakeAdmin) -> None:
    fake.answers["GET /api/tail"] = 422, {"errors": [{"path": "status", "message": '"6xx" is no status'}]}
    result = run(fake, "--status", "6xx")
    assert (result.exit_code, result.stderr) == (1, 'status: "6xx" is no status\n')


def test_what_was_left_out_is_said_once_in_a_while() -> None:
    moments = iter([10.0, 10.5, 11.5])
    out = io.StringIO()
    lines = Lines(out, Paint(False), lambda: next(moments))
    for _ in range(3):
        lines.missed(5)
    assert [each.strip() for each in out.getvalue().splitlines()] == ["... 5 more not shown", "... 10 more not shown"]
    lines.end()
    assert len(out.getvalue().splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            {"what": "publish", "by": "api, 127.0.0.1", "outcome": "accepted", "version": 8, "note": "blue",
             "changes": {"parts": 1, "names": ["route:orders"]}},
            "publish by api, 127.0.0.1: accepted, version 8 (route:orders): blue",
        ),
        (
            {"what": "reload", "by": "signal", "outcome": "refused", "version": 7, "reason": "invalid_document"},
            "reload by signal: refused: invalid_document",
        ),
        ({"what": "x"}, 'audit: {"what": "x"}'),
    ],
)  # fmt: skip
def test_an_audit_line_is_a_sentence(line: dict[str, Any], text: str) -> None:
    assert audited(f"audit: {json.dumps(line)}") == text


@pytest.mark.parametrize("text", ["control: audit: {}", "audit: {", "audit: []", "audit: 7"])
def test_any_other_text_stays(text: str) -> None:
    assert audited(text) == text


def test_in_a_terminal_there_are_colours_and_ctrl_c_ends_it_quietly(fake: FakeAdmin) -> None:
    fake.exchange(status=503, reason="breaker_open")
    with terminal("tail", "--admin", fake.address) as screen:
        screen.wait_for("/orders/7")
        assert HEADER in screen.shown
        assert "\x1b[31m503\x1b[0m" in screen.shown
        before = len(screen.shown)
        screen.press("\x03")
        assert screen.end() == 0
        assert screen.shown[before:].strip() in ("", "^C")


def test_no_color_is_heeded_in_a_terminal(fake: FakeAdmin) -> None:
    fake.exchange()
    with terminal("tail", "--admin", fake.address, "-n", "1", env={"NO_COLOR": "1"}) as screen:
        assert screen.end() == 0
        assert screen.shown.startswith("12:00:01.250 200 ok ")
        assert "\x1b" not in screen.shown


def test_a_reader_that_has_seen_enough_ends_it_quietly(fake: FakeAdmin) -> None:
    fake.exchange()
    with subprocess.Popen(
        [sys.executable, "-m", "fastgw", "tail", "--admin", fake.address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        assert "/orders/7" in process.stdout.readline()
        process.stdout.close()
        fake.exchange()
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""


def test_a_signal_ends_it(fake: FakeAdmin) -> None:
    fake.exchange()
    with subprocess.Popen(
        [sys.executable, "-m", "fastgw", "tail", "--admin", fake.address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""

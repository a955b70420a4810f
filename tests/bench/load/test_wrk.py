from __future__ import annotations

import json

import pytest

from bench.errors import BenchError, VoidError
from bench.load import wrk

GOOD = {
    "requests": 1000,
    "duration_us": 2_000_000,
    "bytes": 5,
    "connect": 0,
    "read": 0,
    "write": 0,
    "status": 0,
    "timeout": 0,
    "p50_us": 800,
    "p99_us": 2500,
}


def output(**changes: int) -> str:
    return "Running 2s test\n  1 threads\n" + wrk.MARK + json.dumps(GOOD | changes) + "\n"


def test_result_is_read_from_the_line_of_the_script() -> None:
    found = wrk.parse(output())
    assert (found.requests, found.seconds, found.rate, found.p50_us, found.p99_us) == (
        1000,
        2.0,
        500.0,
        800,
        2500,
    )


@pytest.mark.parametrize("kind", wrk.ERRORS)
def test_one_error_of_any_kind_voids_the_run(kind: str) -> None:
    with pytest.raises(VoidError, match=kind):
        wrk.parse(output(**{kind: 1}))


def test_no_request_at_all_voids_the_run() -> None:
    with pytest.raises(VoidError, match="no request"):
        wrk.parse(output(requests=0))


@pytest.mark.parametrize("text", ["", "unable to connect to 127.0.0.1", wrk.MARK + "{not json"])
def test_output_without_a_result_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="wrk wrote"):
        wrk.parse(text)


def test_hostile_script_carries_a_header_that_no_other_run_has() -> None:
    text = wrk.script(wrk.Load(["/a", "/b"], hostile=True), "ab12cd")
    assert "local hostile = true" in text
    assert 'string.format("X-Request-Nonce: ab12cd-%d-%08x\\r\\n\\r\\n", number, sent)' in text
    assert '"GET /a HTTP/1.1\\r\\nHost: api.example.com\\r\\n' in text


def test_plain_script_adds_nothing() -> None:
    text = wrk.script(wrk.Load(["/a"]), "ab12cd")
    assert "local hostile = false" in text
    assert "Connection: close" not in text


def test_a_load_brings_its_own_credentials_and_connections() -> None:
    text = wrk.script(wrk.Load(["/a", "/b"], bearer="token-{}".format, fresh=True), "ab12cd")
    assert "Authorization: Bearer token-1\\r\\n" in text
    assert text.count("Connection: close\\r\\n") == 2


def test_refusals_that_were_asked_for_void_nothing_and_are_counted() -> None:
    assert wrk.parse(output(status=995), wrk.REFUSED).refused == 995
    assert wrk.parse(output(status=3), wrk.MIXED).refused == 3
    with pytest.raises(VoidError, match="only 900 of 1000 requests were refused"):
        wrk.parse(output(status=900), wrk.REFUSED)


@pytest.mark.parametrize("answers", [wrk.REFUSED, wrk.MIXED])
@pytest.mark.parametrize("kind", [kind for kind in wrk.ERRORS if kind != "status"])
def test_other_errors_void_a_load_of_refusals_too(kind: str, answers: str) -> None:
    with pytest.raises(VoidError, match=kind):
        wrk.parse(output(**{"status": 1000, kind: 1}), answers)

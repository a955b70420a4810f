"""Ids, traces and forwarding headers of a request: who is believed, and what passes to the upstream."""

from __future__ import annotations

import pytest

from fastgw.http1 import rules
from fastgw.http1.request import trusted_forward
from tests.http1.blocks import forwarded, head_of

TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("value", [b"a", b"0af-9_x.~+/=:@", b"x" * 128])
def test_request_ids_that_are_believed(value: bytes) -> None:
    assert head_of(b"X-Request-Id: " + value).request_id == value


@pytest.mark.parametrize("value", [b"", b"x" * 129, b"a b", b'a"b', b"a\\b", b"a,b", b"\x80", b"{}", b"<a>"])
def test_request_ids_that_are_not(value: bytes) -> None:
    assert head_of(b"X-Request-Id: " + value).request_id == b""


def test_two_request_ids_are_none() -> None:
    assert head_of(b"X-Request-Id: a", b"X-Request-Id: b").request_id == b""


@pytest.mark.parametrize(
    "value", [TRACE, TRACE[:-2] + b"00", b"01" + TRACE[2:], b"cc" + TRACE[2:] + b"-more"]
)
def test_traces_that_are_continued(value: bytes) -> None:
    assert head_of(b"traceparent: " + value).traceparent == value
    assert forwarded(b"traceparent: " + value, b"tracestate: a=1") == [b"tracestate: a=1"]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        TRACE.upper(),
        TRACE[:-1],
        TRACE + b"0",
        TRACE + b"-more",
        b"ff" + TRACE[2:],
        b"0" + TRACE,
        TRACE[:3] + b"0" * 32 + TRACE[35:],
        TRACE[:36] + b"0" * 16 + TRACE[52:],
        TRACE.replace(b"-", b"_"),
        TRACE + b", " + TRACE,
        b"01" + TRACE[2:] + b"more",
    ],
)
def test_a_malformed_trace_is_started_anew_and_its_state_dropped(value: bytes) -> None:
    assert head_of(b"traceparent: " + value).traceparent == b""
    assert forwarded(b"traceparent: " + value, b"tracestate: a=1") == []


def test_a_state_without_a_trace_is_dropped() -> None:
    assert forwarded(b"tracestate: a=1") == []


@pytest.mark.parametrize("name", [*sorted(rules.FORWARDING), b"x-forwarded-made-up", b"X-Forwarded-For"])
def test_forwarding_headers_of_an_untrusted_client_end_here(name: bytes) -> None:
    assert forwarded(name + b": 1", b"X-A: 1") == [b"X-A: 1"]


@pytest.mark.parametrize(
    "name", [b"x-forwarded-proto", b"X-Forwarded-Port", b"x-forwarded-prefix", b"Forwarded"]
)
def test_those_of_a_trusted_peer_pass(name: bytes) -> None:
    assert forwarded(name + b": 1", trusted=True) == [name + b": 1"]


@pytest.mark.parametrize(
    "name", [b"x-forwarded-for", b"x-request-id", b"traceparent", b"x-server-timing", b"expect"]
)
def test_what_the_gateway_writes_anew_passes_from_nobody(name: bytes) -> None:
    assert forwarded(name + b": 1", trusted=True) == []


@pytest.mark.parametrize(
    "name", [b"X-Consumer", b"x-consumer-scopes", b"X-Consumer_Id", b"X-CONSUMER-Anything", b"x_consumer"]
)
def test_a_consumer_is_named_by_the_gateway_only(name: bytes) -> None:
    assert forwarded(name + b": admin") == forwarded(name + b": admin", trusted=True) == []


def test_forwarded_host_is_the_clients_or_what_a_trusted_peer_says() -> None:
    head = head_of(b"X-Forwarded-Host: evil.example")
    assert head.forward.count(b"X-Forwarded-Host") == 1
    assert b"X-Forwarded-Host: a.example\r\n" in head.forward
    assert b"X-Forwarded-Host: evil.example\r\n" in trusted_forward(head)
    assert trusted_forward(head).count(b"X-Forwarded-Host") == 1


def test_other_lines_pass_byte_by_byte_in_their_order() -> None:
    lines = [
        b"X-A:1",
        b"x-A: \x80 ",
        b"Cookie: a=1",
        b"Cookie: b=2",
        b"Content-Length: 5",
        b"Authorization: Bearer a",
    ]
    assert forwarded(*lines) == lines

"""Answers of upstreams: as strict as towards clients, and what goes on to the client is what was understood."""

from __future__ import annotations

import pytest

from fastgw.errors import HttpError, Reason
from fastgw.http1.fields import FieldParser
from fastgw.http1.response import framing, parse_response_head
from fastgw.model.messages import Framing, ResponseHead


def head_of(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> ResponseHead:
    return parse_response_head(b"".join(line + b"\r\n" for line in (status, *lines)), FieldParser())


def refused(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> None:
    with pytest.raises(HttpError) as caught:
        head_of(*lines, status=status)
    assert caught.value.reason is Reason.UPSTREAM_PROTOCOL_ERROR
    assert caught.value.status == 502


@pytest.mark.parametrize(
    ("line", "status", "rendered"),
    [
        (b"HTTP/1.1 200 OK", 200, b"HTTP/1.1 200 OK\r\n"),
        (b"HTTP/1.0 200 OK", 200, b"HTTP/1.1 200 OK\r\n"),
        (b"HTTP/1.1 404 ", 404, b"HTTP/1.1 404 \r\n"),
        (b"HTTP/1.1 404", 404, b"HTTP/1.1 404 \r\n"),
        (b"HTTP/1.1 599 a  b\t\xff", 599, b"HTTP/1.1 599 a  b\t\xff\r\n"),
        (b"HTTP/1.1 100 Continue", 100, b"HTTP/1.1 100 Continue\r\n"),
    ],
)
def test_status_lines_that_are_taken(line: bytes, status: int, rendered: bytes) -> None:
    head = head_of(status=line)
    assert (head.status, head.rendered) == (status, rendered)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 20",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 600 x",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 200\tOK",
        b"HTTP/1.2 200 OK",
        b"HTTP/2.0 200 OK",
        b"http/1.1 200 OK",
        b"ICY 200 OK",
        b" HTTP/1.1 200 OK",
        b"HTTP/1.1 -20 OK",
        b"HTTP/1.1 2 0 OK",
        b"HTTP/1.1 200 a\x00b",
        b"HTTP/1.1 200 a\nb",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 200 a\rb",
        b"HTTP/1.1 200 a\x7f",
        b"HTTP/1.1 \xb200 OK",
    ],
)
def test_status_lines_that_are_refused(line: bytes) -> None:
    refused(status=line)


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: 5, 5"],
        [b"Content-Length: -1"],
        [b"Content-Length: +1"],
        [b"Content-Length:"],
        [b"Content-Length: 1 2"],
        [b"Content-Length: " + b"9" * 19],
        [b"Content-Length: 0x5"],
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding:"],
        [b"A : 1"],
        [b"A: 1", b" folded"],
        [b"A: \x00"],
        [b"A: 1\n2"],
        [b"A: 1\r2"],
        [b"no colon"],
        [b"A(: 1"],
        [b": 1"],
        [b"A: 1"] * 101,
    ],
)
def test_heads_that_are_refused(lines: list[bytes]) -> None:
    refused(*lines)


def test_transfer_encoding_needs_1_1_and_a_body() -> None:
    refused(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK")
    refused(b"Transfer-Encoding: chunked", status=b"HTTP/1.1 204 No Content")
    refused(b"Transfer-Encoding: chunked", status=b"HTTP/1.1 103 Early Hints")
    assert head_of(b"Transfer-Encoding: Chunked", status=b"HTTP/1.1 304 Not Modified").chunked


@pytest.mark.parametrize(
    ("status", "lines", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK", [], True),
        (b"HTTP/1.1 200 OK", [b"Connection: close"], False),
        (b"HTTP/1.1 200 OK", [b"Connection: x, CLOSE"], False),
        (b"HTTP/1.1 200 OK", [b"Connection: keep-alive, close"], False),
        (b"HTTP/1.0 200 OK", [], False),
        (b"HTTP/1.0 200 OK", [b"Connection: Keep-Alive"], True),
        (b"HTTP/1.0 200 OK", [b"Connection: x"], False),
    ],
)
def test_whether_the_connection_goes_on(status: bytes, lines: list[bytes], keep_alive: bool) -> None:
    head = head_of(*lines, status=status)
    assert head.keep_alive is keep_alive
    assert head.rendered.endswith(b"OK\r\n")  # Connection is ours to say


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5", 5.0),
        (b"timeout=5, max=100", 5.0),
        (b"max=1, Timeout = 7", 7.0),
        (b'timeout="9"', 9.0),
        (b"timeout=0", 0.0),
        (b"max=100", -1.0),
        (b"timeout=x", -1.0),
        (b"xtimeout=5", -1.0),
        (b"", -1.0),
        (b"timeout=-3", -1.0),
    ],
)
def test_what_keep_alive_promises(value: bytes, seconds: float) -> None:
    assert head_of(b"Keep-Alive: " + value).keep_timeout == seconds


def test_what_ends_here_and_what_passes() -> None:
    head = head_of(
        b"Date: now",
        b"Connection: x-hop",
        b"X-Hop: 1",
        b"Keep-Alive: timeout=5",
        b"Upgrade: h2c",
        b"TE: x",
        b"Transfer-Encoding: chunked",
        b"X-Request-Id: theirs",
        b"Proxy-Authenticate: Basic",
        b"Set-Cookie: a=1",
        b"Set-Cookie: b=2",
        b"X_Under: 1",
        b"Server:  x ",
        b"Trailer: X-Sum",
    )
    assert head.rendered.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Date: now",
        b"Proxy-Authenticate: Basic",
        b"Set-Cookie: a=1",
        b"Set-Cookie: b=2",
        b"X_Under: 1",
        b"Server:  x ",
        b"Trailer: X-Sum",
        b"",
    ]
    assert head.has_date
    assert not head_of(b"Server: x").has_date


@pytest.mark.parametrize("name", [b"Content-Length", b"Date", b"Content-Type"])
def test_an_upstream_cannot_have_us_strip_what_its_answer_needs(name: bytes) -> None:
    assert name + b": 5\r\n" in head_of(b"Connection: " + name, name + b": 5").rendered


@pytest.mark.parametrize(
    "status",
    [b"204 No Content", b"103 Early Hints", b"100 Continue"],
)
def test_an_answer_without_a_body_has_no_length(status: bytes) -> None:
    """RFC 9110 8.6: a server must not send Content-Length in any 1xx or 204 response."""
    head = head_of(b"Content-Length: 5", status=b"HTTP/1.1 " + status)
    assert b"Content-Length" not in head.rendered


def test_a_304_keeps_its_length() -> None:
    head = head_of(b"Content-Length: 5", status=b"HTTP/1.1 304 Not Modified")
    assert b"Content-Length: 5" in head.rendered
    assert framing(head, b"GET") is Framing.NONE


@pytest.mark.parametrize("value", [b"websocket", b"WebSocket"])
def test_a_switch_to_websocket_is_seen(value: bytes) -> None:
    head = head_of(b"Upgrade: " + value, b"Connection: Upgrade", status=b"HTTP/1.1 101 Switching Protocols")
    assert head.websocket
    assert b"pgrade" not in head.rendered
    assert not head_of(b"Upgrade: h2c", status=b"HTTP/1.1 101 x").websocket


@pytest.mark.parametrize(
    ("method", "status", "lines", "how"),
    [
        (b"GET", b"200", [b"Content-Length: 5"], Framing.LENGTH),
        (b"GET", b"200", [b"Content-Length: 0"], Framing.NONE),
        (b"GET", b"200", [b"Transfer-Encoding: chunked"], Framing.CHUNKED),
        (b"GET", b"200", [], Framing.CLOSE),
        (b"HEAD", b"200", [b"Content-Length: 5"], Framing.NONE),
        (b"HEAD", b"200", [b"Transfer-Encoding: chunked"], Framing.NONE),
        (b"HEAD", b"200", [], Framing.NONE),
        (b"GET", b"204", [b"Content-Length: 5"], Framing.NONE),
        (b"GET", b"204", [], Framing.NONE),
        (b"GET", b"304", [b"Content-Length: 5"], Framing.NONE),
        (b"GET", b"304", [b"Transfer-Encoding: chunked"], Framing.NONE),
        (b"POST", b"500", [b"Content-Length: 5"], Framing.LENGTH),
        (b"head", b"200", [b"Content-Length: 5"], Framing.LENGTH),
    ],
)
def test_how_a_body_ends(method: bytes, status: bytes, lines: list[bytes], how: Framing) -> None:
    assert framing(head_of(*lines, status=b"HTTP/1.1 " + status + b" x"), method) is how

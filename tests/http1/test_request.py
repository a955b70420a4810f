"""Request lines and header blocks: every rule of a request head has rows that it takes and rows that it refuses."""

from __future__ import annotations

import pytest

from fastgw.errors import HttpError, Reason
from fastgw.http1 import rules
from fastgw.http1.request import (
    check_version,
    connection_options,
    content_length,
    parse_request_line,
)
from tests.http1.blocks import forwarded, head_of


def refused(*lines: bytes, host: bytes = b"a.example") -> Reason:
    with pytest.raises(HttpError) as caught:
        head_of(*lines, host=host)
    return caught.value.reason


# --- the request line ---


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b"GET / HTTP/1.1", (b"GET", b"/", False)),
        (b"GET / HTTP/1.0", (b"GET", b"/", True)),
        (b"PROPFIND /a?b=c HTTP/1.1", (b"PROPFIND", b"/a?b=c", False)),
        (b"get / HTTP/1.1", (b"get", b"/", False)),
        (b"X!#$%&'*+-.^_`|~9 / HTTP/1.1", (b"X!#$%&'*+-.^_`|~9", b"/", False)),
        (b"M" * rules.MAX_METHOD + b" * HTTP/1.1", (b"M" * rules.MAX_METHOD, b"*", False)),
    ],
)
def test_request_lines_that_are_taken(line: bytes, parts: tuple[bytes, bytes, bool]) -> None:
    assert parse_request_line(line) == parts


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"", 400),
        (b"GET", 400),
        (b"GET /", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET /  HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET\t/\tHTTP/1.1", 400),
        (b"GET  HTTP/1.1", 400),
        (b"G@T / HTTP/1.1", 400),
        (b"G\xc9T / HTTP/1.1", 400),
        (b"G\x00T / HTTP/1.1", 400),
        (b" / HTTP/1.1", 400),
        (b"M" * (rules.MAX_METHOD + 1) + b" / HTTP/1.1", 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\r", 400),
        (b"GET / HTTP/1.0\n", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/1", 400),
        (b"GET / HTTP/1.10", 400),
        (b"GET / HTTP/01.1", 400),
        (b"GET / HTTP/1,1", 400),
        (b"GET / ICY/1.1", 400),
        (b"GET / HTTP/\xb2.1", 400),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/9.9", 505),
        (b"PRI * HTTP/2.0", 505),
    ],
)
def test_request_lines_that_are_refused(line: bytes, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        parse_request_line(line)
    assert caught.value.status == status
    assert caught.value.reason in (Reason.BAD_REQUEST, Reason.BAD_FRAMING)


# --- framing ---


@pytest.mark.parametrize(
    ("value", "length"), [(b"0", 0), (b"5", 5), (b"000", 0), (b"007", 7), (b"9" * 18, int("9" * 18))]
)
def test_lengths_that_are_taken(value: bytes, length: int) -> None:
    assert content_length(value) == length
    assert head_of(b"Content-Length: " + value).length == length


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"-1",
        b"+1",
        b"1.0",
        b"1e3",
        b"0x1",
        b"1 2",
        b"1,1",
        b"1, 1",
        b"a",
        b"9" * 19,
        b"\xb2",
        b"1_0",
        b"1\x0c",
        b"1;a",
        b"\xd9\xa1",
    ],
)
def test_lengths_that_are_refused(value: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        content_length(value)
    assert caught.value.reason is Reason.BAD_FRAMING


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: 5", b"content-length: 6"],
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 0"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"transfer-encoding: identity"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked, gzip"],
        [b"Transfer-Encoding: chunked;q=1"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: xchunked"],
        [b'Transfer-Encoding: "chunked"'],
        [b"Transfer-Encoding: chunked,"],
        [b"Transfer-Encoding: ,chunked"],
        [b"Transfer-Encoding:"],
    ],
)
def test_framings_that_are_refused(lines: list[bytes]) -> None:
    assert refused(*lines) is Reason.BAD_FRAMING


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED", b" chunked", b"\tchunked "])
def test_one_chunked_is_taken(value: bytes) -> None:
    head = head_of(b"Transfer-Encoding:" + value)
    assert (head.chunked, head.length) == (True, -1)
    assert b"Transfer-Encoding: chunked\r\n" in head.forward
    assert head.forward.lower().count(b"transfer-encoding") == 1


def test_transfer_encoding_on_http_1_0_is_refused() -> None:
    head = head_of(b"Transfer-Encoding: chunked")
    check_version(head, False)
    with pytest.raises(HttpError) as caught:
        check_version(head, True)
    assert caught.value.reason is Reason.BAD_FRAMING


@pytest.mark.parametrize("name", [b"Content_Length", b"Transfer_Encoding", b"X_A", b"Host_"])
def test_names_with_an_underscore_frame_nothing_and_go_nowhere(name: bytes) -> None:
    head = head_of(name + b": 5")
    assert (head.length, head.chunked) == (0, False)
    assert forwarded(name + b": 5") == forwarded(name + b": 5", trusted=True) == []


# --- Host ---


def test_host_is_required_on_1_1_only() -> None:
    head = head_of(host=b"")
    check_version(head, True)
    with pytest.raises(HttpError) as caught:
        check_version(head, False)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "lines",
    [[b"Host: a.example"], [b"host: b.example"], [b"HOST: a.example"]],
)
def test_a_second_host_is_refused(lines: list[bytes]) -> None:
    assert refused(*lines) is Reason.BAD_REQUEST


@pytest.mark.parametrize("host", [b" ", b"a,b", b"a b", b"a/b", b"u@a", b"a:b", b"a:99999", b"[::1", b"\x80"])
def test_invalid_hosts_are_refused(host: bytes) -> None:
    assert refused(host=host) is Reason.BAD_REQUEST


def test_the_host_is_kept_as_it_came_and_matched_in_lower_case() -> None:
    head = head_of(host=b"A.Example:8080")
    assert (head.host, head.host_field) == (b"a.example", b"A.Example:8080")
    assert b"Host: A.Example:8080\r\n" in head.forward


# --- Connection ---


@pytest.mark.parametrize(
    "option",
    [
        b"host",
        b"Content-Length",
        b"content-type",
        b"transfer-encoding",
        b"Authorization",
        b"cookie",
        b"X-Forwarded-For",
        b"x-forwarded-anything",
        b"X-Consumer",
        b"X-Consumer-Scopes",
        b"x-request-id",
        b"traceparent",
        b"forwarded",
        b"via",
        b"date",
        b"X-Real-IP",
        b"X-API-Key",
    ],
)
def test_connection_may_not_name_what_is_meant_for_all(option: bytes) -> None:
    for value in (option, b"close, " + option, option + b",keep-alive", b" ,\t" + option + b" "):
        assert refused(b"Connection: " + value) is Reason.BAD_REQUEST


@pytest.mark.parametrize("value", [b"a b", b"a;b", b'"close"', b"close, \x80", b"a/b", b"a:b"])
def test_connection_options_are_tokens(value: bytes) -> None:
    assert refused(b"Connection: " + value) is Reason.BAD_REQUEST


@pytest.mark.parametrize("value", [b"", b",", b" , ,", b"close,,", b"Close , X-Hop"])
def test_empty_options_are_nothing(value: bytes) -> None:
    assert b"" not in connection_options(value)


@pytest.mark.parametrize(
    ("lines", "close", "keep_alive"),
    [
        ([], False, False),
        ([b"Connection: close"], True, False),
        ([b"Connection: CLOSE"], True, False),
        ([b"Connection: keep-alive"], False, True),
        ([b"Connection: Keep-Alive, X-Hop"], False, True),
        ([b"Connection: keep-alive, close"], True, False),
        ([b"Connection: keep-alive", b"Connection: close"], True, False),
        ([b"Connection: closed"], False, False),
        ([b"Proxy-Connection: close"], False, False),
        ([b"Keep-Alive: timeout=5"], False, False),
    ],
)
def test_what_connection_says_of_the_connection(lines: list[bytes], close: bool, keep_alive: bool) -> None:
    head = head_of(*lines)
    assert (head.close, head.keep_alive) == (close, keep_alive)
    assert forwarded(*lines) == []


def test_named_fields_end_here_and_others_pass() -> None:
    assert forwarded(b"Connection: x-hop, close", b"X-Hop: 1", b"X-HOP: 2", b"X-Hope: 3") == [b"X-Hope: 3"]


@pytest.mark.parametrize("name", sorted(rules.HOP_BY_HOP - {b"transfer-encoding", b"connection"}))
def test_hop_by_hop_fields_end_here(name: bytes) -> None:
    assert forwarded(name.title() + b": 1", b"X-A: 1") == [b"X-A: 1"]


# --- upgrades, TE, Expect ---


@pytest.mark.parametrize(
    ("lines", "websocket"),
    [
        ([b"Connection: Upgrade", b"Upgrade: websocket"], True),
        ([b"Connection: keep-alive, upgrade", b"Upgrade: WebSocket"], True),
        ([b"Upgrade: websocket"], False),
        ([b"Connection: Upgrade"], False),
        ([b"Connection: close", b"Upgrade: websocket"], False),
        ([b"Connection: Upgrade", b"Upgrade: h2c"], False),
        ([b"Connection: Upgrade", b"Upgrade: websocket, h2c"], False),
        ([b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c"], False),
        ([b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 0"], False),
        ([b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 1"], False),
        ([b"Connection: Upgrade", b"Upgrade: websocket", b"Transfer-Encoding: chunked"], False),
        ([b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"], False),
    ],
)
def test_only_a_websocket_without_a_body_is_an_upgrade(lines: list[bytes], websocket: bool) -> None:
    head = head_of(*lines)
    assert head.websocket is websocket
    assert b"upgrade" not in head.forward.lower()
    assert b"http2" not in head.forward.lower()


@pytest.mark.parametrize(
    ("lines", "trailers"),
    [
        ([b"TE: trailers", b"Connection: TE"], True),
        ([b"TE: deflate, Trailers", b"Connection: te"], True),
        ([b"TE: deflate", b"Connection: TE"], False),
        ([b"TE: trailers"], False),
        ([b"Connection: TE"], False),
    ],
)
def test_te_is_passed_on_only_as_trailers(lines: list[bytes], trailers: bool) -> None:
    head = head_of(*lines)
    assert head.te_trailers is trailers
    assert (b"TE: trailers\r\nConnection: TE\r\n" in head.forward) is trailers
    assert b"deflate" not in head.forward


@pytest.mark.parametrize(
    ("lines", "known", "unknown"),
    [
        ([], False, False),
        ([b"Expect: 100-continue"], True, False),
        ([b"Expect: 100-Continue"], True, False),
        ([b"Expect: 200-ok"], False, True),
        ([b"Expect: 100-continue, x"], False, True),
        ([b"Expect: 100-continue", b"Expect: 100-continue"], False, True),
        ([b"Expect:"], False, True),
    ],
)
def test_expectations(lines: list[bytes], known: bool, unknown: bool) -> None:
    head = head_of(*lines)
    assert (head.expect_continue, head.expect_unknown) == (known, unknown)
    assert forwarded(*lines) == []

"""Heads that leave the gateway: what was matched is what is forwarded, and nobody else writes our fields."""

from __future__ import annotations

import json
import os
from ipaddress import ip_network

import pytest

from fastgw.account.access_log import AccessLog, outcome
from fastgw.gateway.heads import (
    MAX_VARIANTS,
    answer_head,
    client_address,
    request_head,
    rewritten,
    switching_head,
    timing_line,
)
from fastgw.http1.fields import FieldParser, lines_of
from fastgw.http1.request import parse_request_block
from fastgw.http1.response import framing, parse_response_head
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Framing, RequestHead, ResponseHead
from fastgw.model.route import Route
from fastgw.policy.rewrite import HeaderRewrite, PathRewrite

DATE = b"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


class Client:
    peer = b"192.0.2.7"
    port = b"8080"
    forward_lines = (
        b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n"
        b"Via: 1.1 fastgw\r\n"
    )


class Target:
    host_field = b"app.internal:9001"


def parsed(*lines: bytes, host: bytes = b"Host: A.example") -> RequestHead:
    block = b"".join(line + b"\r\n" for line in (host, *lines) if line)
    return parse_request_block(block, FieldParser())


def exchange_of(
    head: RequestHead,
    method: bytes = b"GET",
    path: bytes = b"/a",
    *,
    http10: bool = False,
    trusted: bool = False,
) -> Exchange:
    made = Exchange(head, method, path, b"?q=1", http10, 1.0, 0)
    made.trusted = trusted
    made.request_id = b"id-1"
    made.trace_id = b"4bf92f3577b34da6a3ce929d0e0e4736"
    made.span = b"00000000000000aa"
    return made


def route_of(
    *, path: PathRewrite | None = None, request: HeaderRewrite | None = None, response: HeaderRewrite | None = None,
    preserve_host: bool = True,
) -> Route:  # fmt: skip
    route = Route("one", "")
    route.path_rewrite, route.request_headers, route.response_headers = path, request, response
    route.upstream_headers = response
    route.preserve_host = preserve_host
    route.plain = response is None
    route.rewrites = bool(path or request or not preserve_host)
    return route


def sent(
    exchange: Exchange, route: Route | None = None, target: Target | None = None
) -> tuple[bytes, dict[bytes, list[bytes]]]:
    """(request line, lower-case names -> values) of what goes upstream."""
    route = route or route_of()
    exchange.route = route
    head = exchange.head
    assert head is not None
    raw = request_head(exchange, head, route, Client(), target or Target())  # type: ignore[arg-type]
    assert raw.endswith(b"\r\n\r\n")
    assert raw.count(b"\r\n\r\n") == 1
    line, _, block = raw[:-2].partition(b"\r\n")
    FieldParser().parse(block)  # every line is a legal one
    fields: dict[bytes, list[bytes]] = {}
    for name, whole in lines_of(block):
        fields.setdefault(name, []).append(whole.partition(b":")[2].strip())
    return line, fields


def test_the_plain_request() -> None:
    exchange = exchange_of(parsed(b"X-A: 1", b"Cookie: a=1"))
    exchange.route = route_of()
    assert exchange.head is not None
    raw = request_head(exchange, exchange.head, exchange.route, Client(), Target())  # type: ignore[arg-type]
    assert raw == (
        b"GET /a?q=1 HTTP/1.1\r\nHost: A.example\r\nX-A: 1\r\nCookie: a=1\r\nX-Forwarded-Host: A.example\r\n"
        + Client.forward_lines
        + b"X-Request-Id: id-1\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000aa-01\r\n\r\n"
    )


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("http10", [False, True])
@pytest.mark.parametrize("preserve_host", [False, True])
@pytest.mark.parametrize(
    "rewrite", [None, HeaderRewrite(((b"x-set", b"x-set: 1\r\n"),), frozenset({b"x-gone"}))]
)
def test_fields_of_ours_stand_in_it_exactly_once(
    trusted: bool, http10: bool, preserve_host: bool, rewrite: HeaderRewrite | None
) -> None:
    head = parsed(
        b"X-Request-Id: theirs", b"X-Forwarded-For: 10.0.0.1", b"X-Gone: 1", b"X-Set: 0", b"traceparent: " + TRACE,
        b"tracestate: a=1", b"X-Server-Timing: 1", b"Expect: 100-continue", b"Connection: x-hop", b"X-Hop: 1",
        b"X_Under: 1",
    )  # fmt: skip
    exchange = exchange_of(head, http10=http10, trusted=trusted)
    _, fields = sent(exchange, route_of(request=rewrite, preserve_host=preserve_host))
    once = [b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-host", b"via",
            b"x-request-id", b"traceparent", b"tracestate"]  # fmt: skip
    assert {name: len(fields.get(name, [])) for name in once} == dict.fromkeys(once, 1)
    assert not fields.keys() & {b"expect", b"x-hop", b"connection", b"x_under", b"x-server-timing"}
    assert fields[b"host"] == [b"A.example" if preserve_host else b"app.internal:9001"]
    assert fields[b"x-forwarded-for"] == [b"10.0.0.1, 192.0.2.7" if trusted else b"192.0.2.7"]
    assert fields[b"x-request-id"] == [b"id-1"]
    assert fields[b"via"] == [b"1.0 fastgw" if http10 else b"1.1 fastgw"]
    assert fields[b"traceparent"] == [b"00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000aa-00"]
    assert fields[b"x-set"] == ([b"1"] if rewrite else [b"0"])
    assert (b"x-gone" in fields) is (rewrite is None)


def test_the_flags_of_a_trace_go_on_and_a_new_one_is_sampled() -> None:
    assert sent(exchange_of(parsed()))[1][b"traceparent"][0].endswith(b"-01")
    assert sent(exchange_of(parsed(b"traceparent: " + TRACE)))[1][b"traceparent"][0].endswith(b"-00")


def test_a_path_is_rewritten_and_its_query_is_not() -> None:
    line, _ = sent(exchange_of(parsed(), path=b"/api/x"), route_of(path=PathRewrite(b"/api", b"/v2")))
    assert line == b"GET /v2/x?q=1 HTTP/1.1"


def test_without_a_host_the_targets_is_sent() -> None:
    _, fields = sent(exchange_of(parsed(host=b""), http10=True))
    assert fields[b"host"] == [b"app.internal:9001"]


def test_one_head_serves_routes_that_differ_without_mixing_them_up() -> None:
    head = parsed(b"X-A: 0")
    rewrites = [
        HeaderRewrite(((b"x-a", b"x-a: %d\r\n" % number),), frozenset()) for number in range(3 * MAX_VARIANTS)
    ]
    for _ in range(2):
        for number, rewrite in enumerate(rewrites):
            assert sent(exchange_of(head), route_of(request=rewrite))[1][b"x-a"] == [b"%d" % number]
        assert sent(exchange_of(head))[1][b"x-a"] == [b"0"]
        assert sent(exchange_of(head), route_of(preserve_host=False))[1][b"host"] == [b"app.internal:9001"]
    assert len(head.rewritten) <= MAX_VARIANTS


def test_two_targets_do_not_share_a_host() -> None:
    head, route = parsed(), route_of(preserve_host=False)

    class Other(Target):
        host_field = b"other.internal"

    assert sent(exchange_of(head), route)[1][b"host"] == [b"app.internal:9001"]
    assert sent(exchange_of(head), route, Other())[1][b"host"] == [b"other.internal"]


def test_a_trusted_peers_forwarding_fields_are_kept_where_they_came() -> None:
    head = parsed(b"X-Forwarded-Proto: https", b"X-Forwarded-Port: 443", b"X-Forwarded-Host: front.example")
    _, fields = sent(exchange_of(head, trusted=True))
    assert fields[b"x-forwarded-proto"] == [b"https"]
    assert fields[b"x-forwarded-port"] == [b"443"]
    assert fields[b"x-forwarded-host"] == [b"front.example"]
    _, fields = sent(exchange_of(head))
    assert fields[b"x-forwarded-proto"] == [b"http"]


@pytest.mark.parametrize(
    ("method", "http10", "passes"),
    [(b"GET", False, True), (b"POST", False, False), (b"HEAD", False, False), (b"GET", True, False)],
)
def test_only_a_get_of_1_1_is_an_upgrade(method: bytes, http10: bool, passes: bool) -> None:
    """Design section 6: websocket on a bodyless GET. RFC 9110 7.8: Upgrade in an HTTP/1.0 request is ignored."""
    head = parsed(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x")
    _, fields = sent(exchange_of(head, method, http10=http10))
    assert (b"upgrade" in fields) is passes
    if passes:
        assert (fields[b"upgrade"], fields[b"connection"]) == ([b"websocket"], [b"Upgrade"])


def test_set_replaces_every_line_and_remove_drops_every_line() -> None:
    rewrite = HeaderRewrite(((b"x-a", b"x-a: new\r\n"),), frozenset({b"x-b"}))
    assert rewritten(b"X-A: 1\r\nX-C: 3\r\nx-a: 2\r\nX-B: 4\r\n", rewrite) == b"X-C: 3\r\nx-a: new\r\n"
    assert rewritten(b"", rewrite) == b"x-a: new\r\n"


def test_set_replaces_what_the_gateway_writes_itself() -> None:
    """`X-Forwarded-Proto: https` behind a TLS terminator: an upstream that sees both believes either."""
    rewrite = HeaderRewrite(
        ((b"x-forwarded-proto", b"x-forwarded-proto: https\r\n"),), frozenset({b"x-forwarded-port"})
    )
    _, fields = sent(exchange_of(parsed()), route=route_of(request=rewrite))
    assert fields[b"x-forwarded-proto"] == [b"https"]
    assert b"x-forwarded-port" not in fields


# --- who the client is ---

NETWORKS = tuple(ip_network(cidr) for cidr in ("10.0.0.0/8", "192.0.2.0/24", "fd00::/8"))


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        ([], b"192.0.2.7"),
        ([b"X-Forwarded-For: 203.0.113.9"], b"203.0.113.9"),
        ([b"X-Forwarded-For: 198.51.100.1, 203.0.113.9, 10.0.0.1"], b"203.0.113.9"),
        ([b"X-Forwarded-For: 198.51.100.1", b"X-Forwarded-For: 203.0.113.9"], b"203.0.113.9"),
        ([b"X-Forwarded-For: 10.0.0.2, 10.0.0.1"], b"10.0.0.2"),
        ([b"X-Forwarded-For: 203.0.113.9:4711"], b"203.0.113.9"),
        ([b"X-Forwarded-For: [2001:db8::1]:4711"], b"2001:db8::1"),
        ([b"X-Forwarded-For: 2001:DB8:0:0::1"], b"2001:db8::1"),
        ([b"X-Forwarded-For: 2001:db8::1, fd00::1"], b"2001:db8::1"),
        ([b"X-Forwarded-For: 198.51.100.1, unknown, 10.0.0.1"], b"10.0.0.1"),
        ([b"X-Forwarded-For: unknown"], b"192.0.2.7"),
        ([b"X-Forwarded-For: 198.51.100.1,"], b"192.0.2.7"),
        ([b"X-Forwarded-For:"], b"192.0.2.7"),
        ([b"X-Forwarded-For: 1.2.3.4.5"], b"192.0.2.7"),
        ([b"X-Forwarded-For: 256.0.0.1"], b"192.0.2.7"),
        ([b"X-Forwarded-For: 010.0.0.1"], b"192.0.2.7"),
        ([b"X-Forwarded-For: \xff"], b"192.0.2.7"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_not_trusted(lines: list[bytes], address: bytes) -> None:
    assert client_address(parsed(*lines), b"192.0.2.7", NETWORKS) == address


@pytest.mark.parametrize(
    "item", [b"fe80::1%eth0", b'fe80::1%"', b"fe80::1%a\\", b'fe80::1%"x": 1', b'[fe80::1%"]:80']
)
def test_no_forwarded_address_breaks_a_log_line(item: bytes) -> None:
    client = client_address(parsed(b"X-Forwarded-For: " + item), b"192.0.2.7", NETWORKS)
    exchange = exchange_of(parsed())
    exchange.client = client
    reading, writing = os.pipe()
    log = AccessLog(writing, 0, lambda seconds, call: None, lambda lost: None)
    log.exchange(exchange, outcome(b"null", exchange, exchange.reason, ""), 1.0, 0.0, 0.0)
    log.flush()
    line = os.read(reading, 4096)
    os.close(reading)
    os.close(writing)
    assert json.loads(line)["client"] == client.decode()
    assert b'"' not in client
    assert b"\\" not in client


def test_an_ipv4_address_in_ipv6_clothes_is_the_same_address() -> None:
    head = parsed(b"X-Forwarded-For: 203.0.113.9, ::ffff:10.0.0.1")
    assert client_address(head, b"192.0.2.7", NETWORKS) == b"203.0.113.9"


# --- answers ---


def upstream_head(*lines: bytes, status: bytes = b"200 OK") -> ResponseHead:
    raw = b"".join(line + b"\r\n" for line in (b"HTTP/1.1 " + status, *lines))
    return parse_response_head(raw, FieldParser())


def answered(
    head: ResponseHead, *, http10: bool = False, keep_alive: bool = True, route: Route | None = None, timing: bytes = b"",
    method: bytes = b"GET",
) -> tuple[dict[bytes, bytes], bool, Exchange]:  # fmt: skip
    exchange = exchange_of(parsed(), method, http10=http10)
    exchange.keep_alive = keep_alive
    exchange.route = route or route_of()
    raw, chunked = answer_head(exchange, head, framing(head, method), DATE, timing)
    assert raw.endswith(b"\r\n\r\n")
    _, _, block = raw[:-2].partition(b"\r\n")
    return FieldParser().parse(block), chunked, exchange


def test_a_length_passes() -> None:
    fields, chunked, exchange = answered(upstream_head(b"Content-Length: 5", b"Date: now"))
    assert fields == {b"content-length": b"5", b"date": b"now", b"x-request-id": b"id-1"}
    assert not chunked
    assert exchange.keep_alive


@pytest.mark.parametrize("lines", [[b"Transfer-Encoding: chunked"], []])
def test_an_unknown_length_is_chunked_for_1_1_and_ends_with_the_connection_for_1_0(
    lines: list[bytes],
) -> None:
    fields, chunked, exchange = answered(upstream_head(*lines))
    assert (chunked, exchange.keep_alive) == (True, True)
    assert fields[b"transfer-encoding"] == b"chunked"
    fields, chunked, exchange = answered(upstream_head(*lines), http10=True)
    assert (chunked, exchange.keep_alive) == (False, False)
    assert b"transfer-encoding" not in fields
    assert fields[b"connection"] == b"close"


@pytest.mark.parametrize(
    ("http10", "keep_alive", "connection"),
    [(False, True, None), (False, False, b"close"), (True, True, b"keep-alive"), (True, False, b"close")],
)
def test_what_is_said_of_the_connection(http10: bool, keep_alive: bool, connection: bytes | None) -> None:
    fields, _, _ = answered(upstream_head(b"Content-Length: 5"), http10=http10, keep_alive=keep_alive)
    assert fields.get(b"connection") == connection


def test_a_missing_date_is_added_and_an_id_of_the_upstream_replaced() -> None:
    fields, _, _ = answered(upstream_head(b"Content-Length: 5", b"X-Request-Id: theirs"))
    assert fields[b"date"] == DATE[6:-2]
    assert fields[b"x-request-id"] == b"id-1"


def test_a_head_without_a_body_promises_no_chunks() -> None:
    for head in (upstream_head(status=b"204 No Content"), upstream_head(status=b"304 Not Modified")):
        fields, chunked, exchange = answered(head)
        assert not chunked
        assert exchange.keep_alive
        assert b"transfer-encoding" not in fields
    assert framing(upstream_head(), b"HEAD") is Framing.NONE


def test_response_rewrites_hold_and_keep_the_status_line() -> None:
    rewrite = HeaderRewrite(((b"x-frame-options", b"x-frame-options: DENY\r\n"),), frozenset({b"server"}))
    head = upstream_head(b"Content-Length: 5", b"Server: x", b"X-Frame-Options: ALLOW")
    for _ in range(2):
        fields, _, _ = answered(head, route=route_of(response=rewrite))
        assert b"server" not in fields
        assert fields[b"x-frame-options"] == b"DENY"
        assert answered(head)[0][b"server"] == b"x"


def test_timing_is_added_where_it_is_wanted() -> None:
    exchange = exchange_of(parsed())
    exchange.queued, exchange.decided = 0.125, 0.0625
    line = timing_line(exchange, exchange.started + 0.5, 0.25)
    assert line == (
        b"Server-Timing: gateway;dur=62.500, queue;dur=125.000, limiter;dur=62.500, upstream;dur=250.000\r\n"
    )
    assert answered(upstream_head(b"Content-Length: 0"), timing=line)[0][b"server-timing"].startswith(
        b"gateway"
    )


def test_a_switch_is_told_to_the_client() -> None:
    head = upstream_head(
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: x",
        status=b"101 Switching Protocols",
    )
    raw = switching_head(exchange_of(parsed()), head)
    line, _, block = raw[:-2].partition(b"\r\n")
    assert line == b"HTTP/1.1 101 Switching Protocols"
    assert FieldParser().parse(block) == {
        b"sec-websocket-accept": b"x", b"connection": b"Upgrade", b"upgrade": b"websocket", b"x-request-id": b"id-1",
    }  # fmt: skip

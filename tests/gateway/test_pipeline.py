"""What the gateway answers itself, in which order it decides, and that every answer is accounted once."""

from __future__ import annotations

import os
from collections.abc import Callable

import orjson
import pytest

from fastgw.errors import HttpError, Reason, Source
from fastgw.gateway import pipeline
from fastgw.model.messages import RequestLine
from tests.gateway.rig import PLAIN, Client, Gateway

Make = Callable[..., Gateway]
OK = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok"
BODY = b"Content-Length: 11"


def answered(client: Client) -> tuple[int, dict[bytes, list[bytes]], bytes]:
    """(status, fields, body) of the one answer that the client got."""
    head, _, body = client.written.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    fields: dict[bytes, list[bytes]] = {}
    for one in lines:
        name, _, value = one.partition(b": ")
        fields.setdefault(name.lower(), []).append(value)
    return int(line.split(b" ")[1]), fields, body


def routes(*more: dict[str, object], **of_one: object) -> list[dict[str, object]]:
    return [{"name": "one", "match": {"path": "/*"}, "upstream": "app", **of_one}, *more]


def answer(gateway: Gateway, forward: object) -> None:
    """The upstream's, to an exchange that opens a connection."""
    gateway.bench.loop.tasks[-1].run()
    forward._connection.data_received(OK)  # type: ignore[attr-defined]


# --- admission ---


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE"])
def test_connect_and_trace_are_405_whatever_a_route_says(method: bytes, make_gateway: Make) -> None:
    gateway = make_gateway(
        routes=routes({"name": "none", "match": {"path": "/none"}, "reply": {"status": 200}})
    )
    for path in (b"/", b"/none"):
        _, client, exchange = gateway.run(method, path)
        status, fields, _ = answered(client)
        assert (status, exchange.reason) == (405, Reason.METHOD_NOT_ALLOWED)
        assert fields[b"allow"] == [b"GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"]
        assert exchange.keep_alive
    assert gateway.bench.loop.tasks == []


def test_options_star_is_answered_here(gateway: Gateway) -> None:
    _, client, exchange = gateway.run(b"OPTIONS", b"*")
    status, fields, body = answered(client)
    assert (status, body, exchange.reason) == (204, b"", Reason.OK)
    assert fields[b"allow"] == [b"GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"]
    assert b"content-length" not in fields


def test_options_of_a_path_is_the_upstreams(gateway: Gateway) -> None:
    _, client, _ = gateway.run(b"OPTIONS", b"/x")
    assert client.written == b""
    assert len(gateway.bench.loop.tasks) == 1


def test_an_unknown_method_is_for_the_routes_to_decide(gateway: Gateway) -> None:
    gateway.run(b"BREW", b"/x")
    assert len(gateway.bench.loop.tasks) == 1


@pytest.mark.parametrize("method", [b"GET", b"POST", b"BREW"])
def test_an_expectation_that_nobody_knows_is_417_and_ends_the_connection(
    method: bytes, gateway: Gateway
) -> None:
    _, client, exchange = gateway.run(method, b"/", b"Expect: 200-maybe")
    status, fields, body = answered(client)
    assert (status, exchange.reason, exchange.rule) == (417, Reason.BAD_REQUEST, "expect")
    assert fields[b"connection"] == [b"close"]
    assert orjson.loads(body)["status"] == 417
    assert gateway.bench.loop.tasks == []


def test_the_health_path_of_the_listener_needs_no_route_and_no_room(make_gateway: Make) -> None:
    gateway = make_gateway(server={"max_in_flight": 1})
    gateway.run()
    for method in (b"GET", b"HEAD", b"OPTIONS", b"BREW"):
        _, client, exchange = gateway.run(method, b"/healthz", client=Client(b"/healthz"))
        status, fields, body = answered(client)
        assert (status, exchange.reason, exchange.source) == (200, Reason.OK, Source.GATEWAY)
        assert body == (b"" if method == b"HEAD" else b"ok\n")
        assert fields[b"content-length"] == [b"3"]
    gateway.engine.draining = True
    _, client, exchange = gateway.run(b"GET", b"/healthz", client=Client(b"/healthz"))
    assert (answered(client)[0], exchange.reason, exchange.rule) == (503, Reason.DRAINING, "drain")


def test_a_listener_without_a_health_path_has_none(gateway: Gateway) -> None:
    gateway.run(b"GET", b"/healthz")
    gateway.run(b"GET", b"")
    assert len(gateway.bench.loop.tasks) == 1
    assert gateway.pool.queued == 1


def test_max_in_flight_of_the_gateway_counts_all_routes(make_gateway: Make) -> None:
    gateway = make_gateway(server={"max_in_flight": 2})
    first, *_ = gateway.run()
    gateway.run(b"GET", b"/two")
    _, client, exchange = gateway.run(b"GET", b"/two")
    status, fields, _ = answered(client)
    assert (status, exchange.reason, exchange.rule) == (503, Reason.OVERLOADED, "max_in_flight")
    assert fields[b"retry-after"] == [b"1"]
    assert exchange.keep_alive
    assert gateway.engine.in_flight == 2
    first.abandon(Reason.CLIENT_CLOSED)
    _, client, _ = gateway.run()
    assert client.written == b""


def test_max_in_flight_of_the_gateway_holds_where_the_line_is_known(make_gateway: Make) -> None:
    gateway = make_gateway(server={"max_in_flight": 2})
    line = RequestLine(b"GET", b"/", b"", False, None)
    for _ in range(2):
        gateway.run(line=line)
    assert line.direct is gateway.route
    _, client, exchange = gateway.run(line=line)
    assert (answered(client)[0], exchange.reason) == (503, Reason.OVERLOADED)


def test_max_in_flight_of_a_route_counts_its_own(make_gateway: Make) -> None:
    two = {"name": "two", "match": {"path": "/two"}, "upstream": "other"}
    gateway = make_gateway(routes=routes(two, max_in_flight=1))
    line = RequestLine(b"GET", b"/", b"", False, None)
    first, *_ = gateway.run(line=line)
    _, other, _ = gateway.run(b"GET", b"/two")
    assert other.written == b""
    _, client, exchange = gateway.run(line=line)
    assert (answered(client)[0], exchange.reason, exchange.rule) == (503, Reason.OVERLOADED, "max_in_flight")
    assert gateway.route.in_flight == 1
    first.abandon(Reason.CLIENT_CLOSED)
    assert gateway.route.in_flight == 0
    _, client, _ = gateway.run(line=line)
    assert client.written == b""


def test_max_in_flight_of_an_upstream_counts_those_of_all_its_routes(make_gateway: Make) -> None:
    upstreams = {**PLAIN["upstreams"], "app": {"targets": ["http://127.0.0.1:9001"], "max_in_flight": 1}}
    two = {"name": "two", "match": {"path": "/two"}, "upstream": "app"}
    gateway = make_gateway(upstreams=upstreams, routes=routes(two))
    first, *_ = gateway.run()
    _, client, exchange = gateway.run(b"GET", b"/two")
    assert (answered(client)[0], exchange.reason, exchange.rule) == (503, Reason.OVERLOADED, "max_in_flight")
    assert gateway.engine.registry.upstreams["app"].in_flight == 1
    first.abandon(Reason.CLIENT_CLOSED)
    _, client, _ = gateway.run(b"GET", b"/two")
    assert client.written == b""


# --- routes ---


def test_no_route(make_gateway: Make) -> None:
    gateway = make_gateway(
        routes=[{"name": "one", "match": {"path": "/a", "methods": ["GET"]}, "upstream": "app"}]
    )
    _, client, exchange = gateway.run(b"GET", b"/b")
    assert (answered(client)[0], exchange.reason, exchange.route) == (404, Reason.NO_ROUTE, None)
    _, client, exchange = gateway.run(b"POST", b"/a")
    status, fields, _ = answered(client)
    assert (status, exchange.reason) == (405, Reason.METHOD_NOT_ALLOWED)
    assert fields[b"allow"] == [b"GET, HEAD"]
    assert gateway.engine.in_flight == 0


@pytest.mark.parametrize(("length", "refused"), [(9, False), (10, False), (11, True)])
def test_a_declared_length_beyond_the_routes_bound_is_refused_before_anything_is_sent(
    length: int, refused: bool, make_gateway: Make
) -> None:
    gateway = make_gateway(routes=routes(max_body="10B"))
    line = RequestLine(b"PUT", b"/", b"", False, None)
    line.host, line.direct = b"a", gateway.route  # known from a request without a body
    _, client, exchange = gateway.run(b"PUT", b"/", b"Content-Length: %d" % length, line=line)
    if refused:
        assert (answered(client)[0], exchange.reason, exchange.rule) == (
            413,
            Reason.BODY_TOO_LARGE,
            "max_body",
        )
        assert not exchange.keep_alive
        assert gateway.bench.loop.tasks == []
    else:
        assert client.written == b""


def test_a_known_line_leads_to_its_route_for_its_host_only(make_gateway: Make) -> None:
    b = {"name": "b", "match": {"hosts": ["b"], "path": "/*"}, "reply": {"status": 410}}
    gateway = make_gateway(routes=routes(b))
    line = RequestLine(b"GET", b"/", b"", False, None)
    gateway.run(line=line)
    assert (line.host, line.direct) == (b"a", gateway.route)
    line.host = b"b"  # last used by a client of another host
    _, _, exchange = gateway.run(line=line)
    assert exchange.route is gateway.route
    assert line.host == b"a"


def test_no_line_is_remembered_where_header_fields_decide(make_gateway: Make) -> None:
    b = {"name": "b", "match": {"path": "/*", "headers": {"x-b": "1"}}, "reply": {"status": 410}}
    gateway = make_gateway(routes=routes(b))
    line = RequestLine(b"GET", b"/", b"", False, None)
    gateway.run(line=line)
    assert line.direct is None
    _, client, _ = gateway.run(b"GET", b"/", b"X-B: 1", line=line)
    assert answered(client)[0] == 410


def test_no_line_is_remembered_for_a_health_path(make_gateway: Make) -> None:
    """Of any listener: the line is known to all of them."""
    gateway = make_gateway(listeners=[{"address": "127.0.0.1:8080", "health_path": "/healthz"}])
    line = RequestLine(b"GET", b"/healthz", b"", False, None)
    gateway.run(b"GET", b"/healthz", line=line)  # over a listener without one
    assert line.direct is None


# --- replies ---


def static(**rewrite: object) -> list[dict[str, object]]:
    reply = {"status": 410, "body": "gone\n", "content_type": "text/plain"}
    made: dict[str, object] = {"name": "gone", "match": {"path": "/gone"}, "reply": reply}
    if rewrite:
        made["rewrite"] = {"response_headers": rewrite}
    return routes(made)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
def test_a_static_reply(method: bytes, make_gateway: Make) -> None:
    gateway = make_gateway(routes=static())
    _, client, exchange = gateway.run(method, b"/gone")
    status, fields, body = answered(client)
    assert (status, exchange.reason, exchange.source) == (410, Reason.OK, Source.GATEWAY)
    assert body == (b"" if method == b"HEAD" else b"gone\n")
    assert (fields[b"content-length"], fields[b"content-type"]) == ([b"5"], [b"text/plain"])
    assert fields[b"x-request-id"] == [exchange.request_id]
    assert b"proxy-status" not in fields
    assert exchange.bytes_out == len(client.written)
    assert client.ended == 1


def test_the_routes_response_headers_are_set_on_its_local_replies(make_gateway: Make) -> None:
    gateway = make_gateway(routes=static(set={"X-Served-By": "fastgw"}))
    for lines, status in (((), 410), ((b"Expect: maybe",), 417)):
        _, client, _ = gateway.run(b"GET", b"/gone", *lines)
        got, fields, _ = answered(client)
        assert got == status
        # The expectation is refused before there is a route whose rules could hold.
        assert fields.get(b"x-served-by") == ([b"fastgw"] if status == 410 else None)


@pytest.mark.parametrize("name", ["Content-Type", "Cache-Control"])
def test_what_is_set_replaces_the_replys_own_line(name: str, make_gateway: Make) -> None:
    gateway = make_gateway(routes=routes(max_body="1B", rewrite={"response_headers": {"set": {name: "x/y"}}}))
    _, client, _ = gateway.run(b"POST", b"/", BODY)
    assert answered(client)[1][name.lower().encode()] == [b"x/y"]


def test_what_is_removed_is_removed_from_a_local_reply_too(make_gateway: Make) -> None:
    gateway = make_gateway(
        routes=routes(max_body="1B", rewrite={"response_headers": {"remove": ["proxy-status"]}})
    )
    _, client, _ = gateway.run(b"POST", b"/", BODY)
    assert b"proxy-status" not in answered(client)[1]


@pytest.mark.parametrize(
    ("http10", "keep", "connection"),
    [(True, True, [b"keep-alive"]), (False, True, None), (False, False, [b"close"])],
)
def test_a_reply_says_whether_the_connection_goes_on(
    http10: bool, keep: bool, connection: list[bytes] | None, make_gateway: Make
) -> None:
    gateway = make_gateway(routes=static())
    gateway.engine.closing = not keep
    _, client, exchange = gateway.run(b"GET", b"/gone", http10=http10)
    assert answered(client)[1].get(b"connection") == connection
    assert exchange.keep_alive is keep


def test_a_reply_to_a_request_whose_body_is_still_coming_ends_the_connection(make_gateway: Make) -> None:
    gateway = make_gateway(routes=static())
    _, client, exchange = gateway.run(b"POST", b"/gone", client=Client(unread=True))
    assert answered(client)[1][b"connection"] == [b"close"]
    assert not exchange.keep_alive


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.OK])
def test_every_failure_is_a_problem_document(reason: Reason, gateway: Gateway) -> None:
    _, client, exchange = gateway.run(b"BREW", b"/x")
    made = pipeline.failure(reason, "why", pipeline.rule_of(reason))
    assert made.rule == pipeline.rule_of(reason)
    pipeline.send_reply(gateway.engine, client, exchange, made)
    status, fields, body = answered(client)
    problem = orjson.loads(body)
    assert (problem["status"], problem["reason"], problem["detail"]) == (status, reason.value, "why")
    assert fields[b"content-type"] == [b"application/problem+json"]
    assert fields[b"content-length"] == [b"%d" % len(body)]
    if reason is not Reason.BREAKER_OPEN:  # whose own reply says when its next probe is due
        assert (b"retry-after" in fields) is (status == 503)


def test_a_refusal_has_the_status_of_the_error() -> None:
    made = pipeline.refusal(HttpError(Reason.BAD_REQUEST, "version", 505))
    assert (made.status, made.reason, made.detail) == (505, Reason.BAD_REQUEST, "version")


# --- Server-Timing ---


@pytest.mark.parametrize(
    ("option", "trusted", "asked", "wanted"),
    [
        (False, False, None, False), (False, False, b"1", False), (False, True, None, False), (False, True, b"1", True),
        (False, True, b"0", False), (True, False, None, True), (True, True, b"0", True),
    ],
)  # fmt: skip
def test_server_timing_is_for_all_or_for_a_trusted_peer_that_asks(
    option: bool, trusted: bool, asked: bytes | None, wanted: bool, make_gateway: Make
) -> None:
    gateway = make_gateway(routes=static(), server={"server_timing": option})
    lines = () if asked is None else (b"X-Server-Timing: " + asked,)
    forward, client, _ = gateway.run(b"GET", b"/", *lines, trusted=trusted)
    gateway.bench.clock.advance(0.25)
    answer(gateway, forward)
    _, local, _ = gateway.run(b"GET", b"/gone", *lines, trusted=trusted)
    for one in (client, local):
        assert (b"server-timing" in answered(one)[1]) is wanted
    if wanted:
        assert answered(client)[1][b"server-timing"] == [
            b"gateway;dur=0.000, queue;dur=0.000, limiter;dur=0.000, upstream;dur=250.000"
        ]
        assert answered(local)[1][b"server-timing"] == [
            b"gateway;dur=0.000, queue;dur=0.000, limiter;dur=0.000, upstream;dur=0.000"
        ]


# --- accounts ---


def test_every_way_out_is_accounted_once(make_gateway: Make) -> None:
    gateway = make_gateway(routes=static(), server={"max_in_flight": 3})
    begun = [
        gateway.run(*how)
        for how in (
            (b"GET", b"/"), (b"GET", b"/gone"), (b"CONNECT", b"/"), (b"OPTIONS", b"*"), (b"GET", b"/", b"Expect: x"),
            (b"GET", b"/"), (b"GET", b"/"), (b"GET", b"/"),
        )
    ]  # fmt: skip
    answer(gateway, begun[0][0])
    for forward, _, exchange in begun:
        if not exchange.closed:
            forward.abandon(Reason.CLIENT_CLOSED)
    assert all(exchange.closed for *_, exchange in begun)
    gateway.log.flush()
    lines = [orjson.loads(line) for line in os.read(gateway.reading, 1 << 16).splitlines()]
    assert sorted(line["request_id"] for line in lines) == sorted(
        one.request_id.decode() for *_, one in begun
    )
    assert [line["version"] for line in lines] == [1] * len(begun)
    assert gateway.engine.in_flight == 0
    assert all(route.in_flight == 0 for route in gateway.routes.values())

"""CORS through the pipeline: preflights find their route, and only the gateway's own fields reach the client."""

from __future__ import annotations

import pytest

from fastgw.http1.fields import FieldParser
from fastgw.http1.response import parse_response_head
from fastgw.model.messages import Framing
from tests.gateway.rig import Gateway, Make

SHOP = b"https://shop.example.com"
CORS = {"origins": [SHOP.decode()], "methods": ["GET", "PUT"]}
ROUTES = [
    {"name": "one", "match": {"path": "/*", "methods": ["GET"]}, "upstream": "app", "cors": CORS},
    {
        "name": "two", "match": {"path": "/two", "methods": ["PUT"], "headers": {"x-a": "1"}}, "upstream": "other",
        "cors": CORS,
    },
    {"name": "bare", "match": {"path": "/bare"}, "upstream": "app"},
]  # fmt: skip


@pytest.fixture
def shop(make_gateway: Make) -> Gateway:
    return make_gateway(routes=ROUTES)


def preflight(gateway: Gateway, path: bytes, method: bytes, origin: bytes = SHOP) -> tuple[bytes, str | None]:
    lines = (b"Origin: " + origin, b"Access-Control-Request-Method: " + method)
    _, client, exchange = gateway.run(b"OPTIONS", path, *lines)
    return client.written, exchange.route.name if exchange.route else None


def test_a_preflight_is_answered_by_the_route_that_it_announces(shop: Gateway) -> None:
    written, route = preflight(shop, b"/x", b"GET")
    assert route == "one"
    assert written.startswith(b"HTTP/1.1 204 ")
    assert b"\r\nAccess-Control-Allow-Origin: " + SHOP + b"\r\n" in written
    assert b"\r\nAccess-Control-Allow-Methods: GET, PUT\r\n" in written


def test_conditions_on_headers_do_not_concern_it(shop: Gateway) -> None:
    assert preflight(shop, b"/two", b"PUT")[1] == "two"


def test_a_foreign_origin_learns_nothing(shop: Gateway) -> None:
    written, _ = preflight(shop, b"/x", b"GET", b"https://evil.example")
    assert written.startswith(b"HTTP/1.1 204 ")
    assert b"access-control-allow" not in written.lower()


def test_a_route_without_cors_leaves_preflights_to_its_upstream(shop: Gateway) -> None:
    written, route = preflight(shop, b"/bare", b"GET")
    assert (written, route) == (b"", "bare")


def test_options_that_is_no_preflight_is_routed_as_any_method(shop: Gateway) -> None:
    _, client, _ = shop.run(b"OPTIONS", b"/x")
    assert client.written.startswith(b"HTTP/1.1 405 ")


def test_the_upstreams_own_fields_give_way(shop: Gateway) -> None:
    forward, client, exchange = shop.run(b"GET", b"/x", b"Origin: " + SHOP)
    assert exchange.answer_lines == b"Access-Control-Allow-Origin: " + SHOP + b"\r\nVary: Origin\r\n"
    own = b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n"
    raw = b"HTTP/1.1 200 OK\r\n" + own + b"Content-Length: 2\r\n"
    forward._target = shop.pool.target
    shop.pool.target.in_flight += 1
    forward.on_answer(parse_response_head(raw, FieldParser()), Framing.LENGTH, b"ok", True, shop.bench.clock.now())
    head = client.written.partition(b"\r\n\r\n")[0]
    assert head.lower().count(b"access-control-allow-origin") == 1
    assert b"\r\nAccess-Control-Allow-Origin: " + SHOP in head
    assert b"credentials" not in head.lower()


def test_refusals_carry_the_fields_too(make_gateway: Make) -> None:
    gateway = make_gateway(routes=[{**ROUTES[0], "max_body": "1B"}])
    _, client, _ = gateway.run(b"GET", b"/x", b"Origin: " + SHOP, b"Content-Length: 5")
    assert client.written.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nAccess-Control-Allow-Origin: " + SHOP + b"\r\n" in client.written

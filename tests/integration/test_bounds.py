"""Bounds that an operator sets: connections, exchanges, requests of a connection; and what is answered past all."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import pytest

from tests.integration.outcome import check_refusal, counted
from tests.support import scripts
from tests.support.client import Client, request
from tests.support.config import route, service, simple
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.wire import Cut, wait_for

Make = Callable[..., Gateway]
GONE = {"status": 410, "body": "gone\n", "content_type": "text/plain"}


def refused_at_the_door(gateway: Gateway, source: str = "") -> None:
    """503 before a word was said, and the end of the connection."""
    with Client(gateway.address, source=source) as client:
        answer = client.read()
        entry = check_refusal(gateway, answer, 503, "overloaded")
        assert entry["client"] == (source or "127.0.0.1")
        assert answer.get("Connection") == "close"
        assert client.closed()


def test_max_connections(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url, server={"max_connections": 2}))
    with one.client() as first, one.client() as second:
        for client in (first, second):
            assert client.get("/within").status == 200
        with counted(one, "overloaded", 2):
            refused_at_the_door(one)
            refused_at_the_door(one)
        assert second.get("/still").status == 200
        first.close()
        wait_for(lambda: one.metrics().sum("fastgw_connections") == 1, what="one connection", every=0.02)
        with one.client() as third:
            assert third.get("/again").status == 200
    one.check_ledger()
    one.stop()


def test_max_connections_per_ip(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url, server={"max_connections_per_ip": 1}))
    with one.client() as first:
        assert first.get("/within").status == 200
        refused_at_the_door(one)
        refused_at_the_door(one)  # one that was refused gives its place back, and only that
        with Client(one.address, source="127.0.0.8") as other:
            assert other.get("/other").status == 200
            refused_at_the_door(one, "127.0.0.8")
        assert first.get("/still").status == 200
    wait_for(lambda: one.metrics().sum("fastgw_connections") == 0, what="no connection", every=0.02)
    with one.client() as again:
        assert again.get("/again").status == 200
    one.check_ledger()
    one.stop()


@pytest.mark.parametrize("pipelined", [False, True])
def test_keepalive_requests(pipelined: bool, make_gateway: Make, upstream: Upstream) -> None:
    """The last answer says so; what was pipelined behind it is never forwarded."""
    one = make_gateway(simple(upstream.url, server={"keepalive_requests": 3}))
    with one.client() as client:
        if pipelined:
            client.send(b"".join(request(f"/turn{number}") for number in range(5)))
        for number in range(3):
            if not pipelined:
                client.send(request(f"/turn{number}"))
            answer = client.read()
            assert (answer.status, answer.get("Connection")) == (200, "close" if number == 2 else None)
        try:
            assert client.stream.to_end() == b""
        except Cut as cut:
            assert pipelined, "a reset after an answer that was taken"
            assert cut.got == b""
    assert not upstream.find("/turn3")
    one.check_ledger()
    one.stop()


def held(one: Gateway, upstream: Upstream, host: str) -> tuple[Client, threading.Event]:
    """An exchange that is with the upstream until the event is set."""
    path, gate = scripts.gated(upstream)
    client = one.client()
    client.send(request(path, host=host))
    upstream.one(path)
    return client, gate


@pytest.mark.parametrize("where", ["server", "route", "upstream"])
def test_max_in_flight(where: str, make_gateway: Make, upstream: Upstream) -> None:
    bound = {"max_in_flight": 1}
    config = {
        "server": bound if where == "server" else {},
        "upstreams": {
            "main": service(upstream.url, **(bound if where == "upstream" else {})),
            "free": service(upstream.url),
        },
        "routes": [
            route("bound", match={"hosts": ["bound.example"]}, **(bound if where == "route" else {})),
            route("beside", match={"hosts": ["beside.example"]}),
            route("free", match={"hosts": ["free.example"]}, upstream="free"),
        ],
    }
    one = make_gateway(config)
    busy, gate = held(one, upstream, "bound.example")
    # Whom the bound of one thing concerns: itself; with the upstream all its routes; with the server everybody.
    concerned = {"route": ["bound"], "upstream": ["bound", "beside"], "server": ["bound", "beside", "free"]}[
        where
    ]
    with one.client() as client:
        for name in ("bound", "beside", "free"):
            client.send(request("/more", host=f"{name}.example"))
            answer = client.read()
            if name in concerned:
                entry = check_refusal(one, answer, 503, "overloaded")
                assert entry["rule"] == "max_in_flight"
                assert answer.get("Connection") is None
            else:
                assert answer.status == 200
        assert client.get("/healthz").status == 200
        gate.set()
        assert busy.read().body == b"done"
        busy.close()
        for name in ("bound", "beside", "free"):
            assert client.get("/after", host=f"{name}.example").status == 200
    one.check_ledger()
    one.stop()


TIMES = ", ".join(rf"{side};dur=\d+\.\d{{3}}" for side in ("gateway", "queue", "limiter", "upstream"))


def test_server_timing(make_gateway: Make, upstream: Upstream) -> None:
    config = simple(upstream.url, server={"server_timing": True})
    config["routes"].append(route("gone", "/gone", reply=GONE))
    one = make_gateway(config)
    with one.client() as client:
        for path in ("/timed", "/gone"):
            value = client.get(path).get("Server-Timing") or ""
            assert re.fullmatch(TIMES, value), value
        client.send(b"GET /refused HTTP/1.1\r\n\r\n")
        assert client.read().get("Server-Timing")
    one.stop()


def test_an_unknown_expectation(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.send(request("/expects-more", fields=["Expect: 200-maybe"], method="POST", body=b"x"))
        answer = client.read()
        entry = check_refusal(gateway, answer, 417, "bad_request")
        assert entry["rule"] == "expect"
        assert client.closed()
    assert not upstream.find("/expects-more")


def test_response_headers_of_a_route_with_a_static_reply(make_gateway: Make, upstream: Upstream) -> None:
    config = simple(upstream.url)
    rewrite = {"response_headers": {"set": {"X-Served-By": "fastgw"}}}
    config["routes"].append(route("gone", "/gone", reply=GONE, rewrite=rewrite))
    one = make_gateway(config)
    with one.client() as client:
        answer = client.get("/gone")
        assert (answer.status, answer.body, answer.get("X-Served-By")) == (410, b"gone\n", "fastgw")
        assert client.get("/other").get("X-Served-By") is None
    one.stop()


def test_a_health_path_is_its_listeners_alone(
    make_gateway: Make, upstream: Upstream, tmp_path: object
) -> None:
    socket_path = f"{tmp_path}/front.sock"
    one = make_gateway(simple(upstream.url), unix_listener=socket_path)
    with one.client() as client, Client(socket_path) as other:
        for _ in range(3):  # however often the line was seen on either
            assert client.get("/healthz").body == b"ok\n"
            assert other.get("/healthz").status == 200
    assert len(upstream.find("/healthz")) == 3
    one.stop()

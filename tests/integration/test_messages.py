"""Whole messages through the gateway: methods, versions, bodies that are none, trailers, interim answers,
Expect."""

from __future__ import annotations

import json

import pytest

from tests.integration.outcome import check_refusal
from tests.support import scripts
from tests.support.client import request
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.wire import Cut


def test_a_plain_exchange(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        answer = client.get("/plain?q=1", fields=["X-A: 1"])
    assert (answer.status, answer.body, answer.get("Content-Type")) == (200, b"ok\n", "text/plain")
    got = upstream.one("/plain")
    assert got.line == b"GET /plain?q=1 HTTP/1.1"
    assert got.get("Host") == "test.example"
    assert got.framing == "none"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_a_method_passes_with_and_without_a_body(method: str, gateway: Gateway, upstream: Upstream) -> None:
    path = upstream.script(scripts.echo)
    with gateway.client() as client:
        assert client.get(path, method=method).body == b""
        assert client.get(path, method=method, body=b"12345").body == b"12345"
    assert [one.method for one in upstream.find(path)] == [method.encode()] * 2


def test_head_gets_the_head_of_a_get(gateway: Gateway, upstream: Upstream) -> None:
    path = upstream.script(scripts.answer(scripts.head(200, "Content-Length: 1000", "X-A: 1")))
    with gateway.client() as client:
        answer = client.get(path, method="HEAD")
        assert (answer.get("Content-Length"), answer.get("X-A")) == ("1000", "1")
        assert client.get("/after-head").body == b"ok\n"  # in step


@pytest.mark.parametrize("status", [204, 304])
def test_bodyless_statuses_keep_the_connection_in_step(
    status: int, gateway: Gateway, upstream: Upstream
) -> None:
    path = upstream.script(scripts.answer(scripts.head(status, phrase="Odd")))
    with gateway.client() as client:
        answer = client.get(path)
        assert (answer.status, answer.body) == (status, b"")
        assert answer.get("Transfer-Encoding") is None
        assert client.get(f"/after-{status}").body == b"ok\n"


def test_options_star_is_answered_here(gateway: Gateway, upstream: Upstream) -> None:
    before = len(upstream.requests)
    with gateway.client() as client:
        answer = client.get("*", method="OPTIONS")
        assert answer.status in {200, 204}
        assert client.get("/after-options-star").status == 200
    assert len(upstream.requests) == before + 1


@pytest.mark.parametrize(
    "raw", [request("/x", method="TRACE"), request("a.example:443", method="CONNECT", host="a.example:443")]
)
def test_connect_and_trace_are_405(raw: bytes, gateway: Gateway) -> None:
    with gateway.client() as client:
        client.send(raw)
        answer = client.read()
    check_refusal(gateway, answer, 405, "method_not_allowed")
    assert answer.get("Allow")


# --- HTTP/1.0 clients ---


def test_a_1_0_client_gets_the_length_and_a_close(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.get("/one-zero", version="1.0")
        assert (answer.version, answer.framing, answer.body) == (b"1.1", "length", b"ok\n")
        assert client.closed()


def test_a_1_0_client_never_gets_chunks(gateway: Gateway, upstream: Upstream) -> None:
    raw = scripts.head(200, "Transfer-Encoding: chunked") + scripts.chunked([b"abc", b"def"], ["X-T: 1"])
    path = upstream.script(scripts.answer(raw))
    with gateway.client() as client:
        answer = client.get(path, version="1.0")
        assert (answer.framing, answer.body) == ("close", b"abcdef")
        assert answer.get("Transfer-Encoding") is None


def test_a_1_0_client_sees_that_an_answer_without_a_length_was_cut(
    gateway: Gateway, upstream: Upstream
) -> None:
    """Nothing but a reset tells it (RFC 9112 8)."""
    part = scripts.head(200, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n"
    path = upstream.script(scripts.answer_and_close(part))
    with gateway.client() as client:
        client.send(request(path, version="1.0"))
        with pytest.raises(Cut) as cut:
            client.read()
    assert cut.value.reset


def test_a_1_0_client_with_keep_alive_stays_when_the_length_is_known(
    gateway: Gateway, upstream: Upstream
) -> None:
    chunks = upstream.script(
        scripts.answer(scripts.head(200, "Transfer-Encoding: chunked") + scripts.chunked([b"a"]))
    )
    with gateway.client() as client:
        for _ in range(2):
            answer = client.get("/one-zero-stays", version="1.0", fields=["Connection: keep-alive"])
            assert (answer.get("Connection") or "").lower() == "keep-alive"
        answer = client.get(chunks, version="1.0", fields=["Connection: keep-alive"])
        assert (answer.framing, answer.body) == ("close", b"a")


def test_a_1_0_client_gets_no_interim_answers(gateway: Gateway, upstream: Upstream) -> None:
    raw = scripts.head(103, "Link: </a>", phrase="Early Hints") + scripts.message(b"ok")
    path = upstream.script(scripts.answer(raw))
    with gateway.client() as client:
        assert client.get(path, version="1.0").interim == []
        client.close()
    with gateway.client() as client:
        client.send(
            request(
                "/one-zero-expects", method="POST", version="1.0", fields=["Expect: 100-continue"], body=b"a"
            )
        )
        assert client.read().interim == []


def test_a_1_0_client_without_host_is_routed(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.send(b"GET /one-zero-no-host HTTP/1.0\r\n\r\n")
        assert client.read().status == 200
    assert len(upstream.one("/one-zero-no-host").all("Host")) == 1


# --- interim answers ---


def test_an_interim_answer_is_passed_on_at_once(gateway: Gateway, upstream: Upstream) -> None:
    def script(exchange, event) -> None:
        exchange.send(scripts.head(103, "Link: </a>", phrase="Early Hints"))
        event.wait(10)
        exchange.send(scripts.message(b"done"))

    gated, event = scripts.gate_each(script)
    path = upstream.script(gated)
    with gateway.client() as client:
        client.send(request(path))
        early = client.stream.until(b"\r\n\r\n")
        assert early.startswith(b"HTTP/1.1 103 ") and b"Link: </a>\r\n" in early
        event.set()
        assert client.read().body == b"done"


# --- Expect ---

EXPECT = ["Expect: 100-continue"]


def test_continue_is_answered_here_and_not_forwarded(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.send(request("/expects-five", method="POST", fields=[*EXPECT, "Content-Length: 5"]))
        assert client.stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send(b"12345")
        assert client.read().status == 200
        assert client.get("/after-those-five").status == 200
    got = upstream.one("/expects-five")
    assert got.body == b"12345"
    assert got.get("Expect") is None


def test_continue_for_chunks(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.send(request("/expects-chunks", method="POST", fields=[*EXPECT, "Transfer-Encoding: chunked"]))
        assert client.stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send(scripts.chunked([b"12", b"345"]))
        assert client.read().status == 200
    assert upstream.one("/expects-chunks").body == b"12345"


def test_no_continue_where_the_body_is_not_wanted(gateway: Gateway) -> None:
    with gateway.client() as client:
        client.send(request("/small/expects", method="POST", fields=[*EXPECT, "Content-Length: 2000"]))
        answer = client.read()
        assert answer.interim == []
        check_refusal(gateway, answer, 413, "body_too_large")
        assert client.closed()


def test_no_continue_for_a_static_reply(gateway: Gateway) -> None:
    with gateway.client() as client:
        client.send(request("/gone", method="POST", fields=[*EXPECT, "Content-Length: 5"]))
        answer = client.read()
        assert (answer.status, answer.interim) == (410, [])


def test_no_continue_without_a_body(gateway: Gateway) -> None:
    with gateway.client() as client:
        assert client.get("/expects-nothing", fields=EXPECT).interim == []


def test_a_body_sent_without_waiting_for_the_continue(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.send(request("/expects-no-wait", method="POST", fields=EXPECT, body=b"12345"))
        answer = client.read()
        assert answer.status == 200
        assert [one.status for one in answer.interim] in ([], [100])
        assert client.get("/after-no-wait").status == 200
    assert upstream.one("/expects-no-wait").body == b"12345"


# --- trailers ---


def test_trailers_pass_both_ways(gateway: Gateway, upstream: Upstream) -> None:
    raw = scripts.head(200, "Trailer: X-Sum", "Transfer-Encoding: chunked") + scripts.chunked(
        [b"abc"], ["X-Sum: 9"]
    )
    path = upstream.script(scripts.answer(raw))
    with gateway.client() as client:
        fields = ["Transfer-Encoding: chunked", "Trailer: X-In", "TE: trailers", "Connection: TE"]
        client.send(request(path, method="POST", fields=fields) + scripts.chunked([b"xy"], ["X-In: 7"]))
        assert client.read().trailers == [(b"X-Sum", b"9")]
    assert upstream.one(path).trailers == [(b"X-In", b"7")]


# --- what the gateway answers itself ---


def test_a_static_reply(gateway: Gateway, upstream: Upstream) -> None:
    before = len(upstream.requests)
    with gateway.client() as client:
        answer = client.get("/gone")
        assert (answer.status, answer.get("Content-Type")) == (410, "application/json")
        assert json.loads(answer.body) == {"gone": True}
        head = client.get("/gone", method="HEAD")
        assert (head.status, head.get("Content-Length")) == (410, str(len(answer.body)))
        assert client.get("/gone", method="POST", body=b"x" * 5000).status == 410
        assert client.get("/gone").status == 410
    assert len(upstream.requests) == before
    entry = gateway.journal.of(answer.get("X-Request-Id"))
    assert (entry["route"], entry["reason"], entry["source"], entry["status"]) == (
        "gone",
        "ok",
        "gateway",
        410,
    )


def test_the_health_path(gateway: Gateway, upstream: Upstream) -> None:
    before = len(upstream.requests)
    with gateway.client() as client:
        assert client.get("/healthz").status == 200
        assert client.get("/healthz", method="HEAD").status == 200
    assert len(upstream.requests) == before


def test_method_not_allowed_names_the_methods(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        answer = client.get("/only-get", method="DELETE", host="only-get.example")
        check_refusal(gateway, answer, 405, "method_not_allowed")
        assert {"GET", "HEAD"} <= {one.strip() for one in (answer.get("Allow") or "").split(",")}
        assert client.get("/only-get", method="HEAD", host="only-get.example").status == 200
    assert not [one for one in upstream.find("/only-get") if one.method == b"DELETE"]


def test_a_rewritten_exchange(gateway: Gateway, upstream: Upstream) -> None:
    raw = scripts.message(b"ok", 200, "Server: secret/1", "X-A: 1")
    upstream.scripts[b"v2"] = scripts.answer(raw)
    with gateway.client() as client:
        answer = client.get("/orders/7?a=b", fields=["X-Debug: 1", "x-gateway: forged", "X-B: 2"])
    assert answer.get("X-Served-By") == "fastgw"
    assert answer.get("Server") is None
    assert answer.get("X-A") == "1"
    got = upstream.one("/v2/7")
    assert got.line == b"GET /v2/7?a=b HTTP/1.1"
    assert got.all("X-Gateway") == ["fastgw"]
    assert got.get("X-Debug") is None
    assert got.get("X-B") == "2"


def test_a_refusal_to_head_has_no_body(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.get("/dead/head", method="HEAD")
        assert (answer.status, answer.body) == (502, b"")
        assert client.get("/after-refused-head").status == 200


def test_trailers_of_one_exchange_never_reach_another(gateway: Gateway, upstream: Upstream) -> None:
    """Neither those of an answer nor those of a request, whatever the connections are reused for."""
    chunks = scripts.head(200, "Transfer-Encoding: chunked") + scripts.chunked([b"a"], ["X-Secret: answer"])
    with_trailers = upstream.script(scripts.answer(chunks))
    until_close = upstream.script(scripts.answer_and_close(scripts.head(200) + b"b"))
    without = upstream.script(
        scripts.answer(scripts.head(200, "Transfer-Encoding: chunked") + scripts.chunked([b"c"]))
    )
    for path in (until_close, without):
        with gateway.client() as client:
            fields = ["Transfer-Encoding: chunked"]
            client.send(
                request(with_trailers, method="POST", fields=fields)
                + scripts.chunked([b"x"], ["X-Secret: request"])
            )
            assert client.read().trailers == [(b"X-Secret", b"answer")]
            client.send(request(path, method="POST", fields=fields) + scripts.chunked([b"y"]))
            assert client.read().trailers == []
        assert upstream.find(path)[-1].trailers == []

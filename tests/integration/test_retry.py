"""A reused connection that dies before the first byte: once more on a fresh one, where nothing can happen
twice."""

from __future__ import annotations

import pytest

from tests.integration.outcome import check_refusal
from tests.support import scripts
from tests.support.client import request
from tests.support.gateway import Gateway
from tests.support.upstream import Exchange, Upstream
from tests.support.wire import wait_for


def warm(gateway: Gateway, upstream: Upstream) -> None:
    """Leave an idle connection: the next request takes it (last in, first out)."""
    with gateway.client() as client:
        assert client.get("/warm").status == 200


def close_when_reused(exchange: Exchange) -> None:
    """Die on a reused connection as a server does whose keep-alive ended at that moment; answer on a fresh
    one."""
    body = exchange.read_body()
    if len(exchange.connection.requests) > 1:
        exchange.close()
    else:
        exchange.send(scripts.message(b"fresh " + body))


def reset_when_reused(exchange: Exchange) -> None:
    body = exchange.read_body()
    if len(exchange.connection.requests) > 1:
        exchange.reset()
    else:
        exchange.send(scripts.message(b"fresh " + body))


def close_always(exchange: Exchange) -> None:
    exchange.read_body()
    exchange.close()


@pytest.mark.parametrize("script", [close_when_reused, reset_when_reused])
@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", None), ("HEAD", None), ("DELETE", None), ("PUT", b"small"), ("PUT", b"x" * 65536)],
)
def test_an_idempotent_request_is_sent_once_more(
    method: str, body: bytes | None, script, gateway: Gateway, upstream: Upstream
) -> None:
    path = upstream.script(script)
    warm(gateway, upstream)
    with gateway.client() as client:
        answer = client.get(path, method=method, body=body)
        assert answer.status == 200
        if method != "HEAD":
            assert answer.body == b"fresh " + (body or b"")
    sent = upstream.find(path)
    assert len(sent) == 2
    assert sent[0].body == sent[1].body == (body or b"")
    assert sent[0].get("X-Request-Id") == sent[1].get("X-Request-Id")
    assert gateway.journal.of(answer.get("X-Request-Id"))["attempts"] == 2
    retries = sum(max(0, entry["attempts"] - 1) for entry in gateway.journal.entries)
    wait_for(
        lambda: gateway.metrics().sum("fastgw_retries_total") == retries, what=f"{retries} retries counted"
    )


@pytest.mark.parametrize(
    ("method", "body"), [("POST", None), ("POST", b"x"), ("PATCH", b"x"), ("PUT", b"x" * 200_000)]
)
def test_what_might_happen_twice_is_not(
    method: str, body: bytes | None, gateway: Gateway, upstream: Upstream
) -> None:
    path = upstream.script(close_when_reused)
    warm(gateway, upstream)
    with gateway.client() as client:
        answer = client.get(path, method=method, body=body)
        check_refusal(gateway, answer, 502, "upstream_reset")
        assert client.get("/after-no-retry").status == 200
    assert len(upstream.find(path)) == 1


def test_a_chunked_idempotent_request_is_sent_at_most_twice_with_the_same_body(
    gateway: Gateway, upstream: Upstream
) -> None:
    path = upstream.script(close_when_reused)
    warm(gateway, upstream)
    with gateway.client() as client:
        client.send(
            request(path, method="PUT", fields=["Transfer-Encoding: chunked"])
            + scripts.chunked([b"ab", b"c"])
        )
        answer = client.read()
    sent = upstream.find(path)
    assert (answer.status, len(sent)) in {(200, 2), (502, 1)}
    assert {one.body for one in sent} == {b"abc"}


def test_a_fresh_connection_that_dies_is_not_tried_again(gateway: Gateway, upstream: Upstream) -> None:
    """Two attempts at most: the one on the reused connection and one on a fresh one."""
    path = upstream.script(close_always)
    warm(gateway, upstream)
    with gateway.client() as client:
        check_refusal(gateway, client.get(path), 502, "upstream_reset")
    assert len(upstream.find(path)) == 2


def test_nothing_is_tried_again_after_the_first_byte(gateway: Gateway, upstream: Upstream) -> None:
    def script(exchange: Exchange) -> None:
        exchange.send(b"H")
        exchange.stream.sock.shutdown(1)
        exchange.connection.wait_peer_closed(5)
        exchange.close()

    path = upstream.script(script)
    warm(gateway, upstream)
    with gateway.client() as client:
        answer = client.get(path)
        assert answer.status == 502
    assert len(upstream.find(path)) == 1


def test_an_idle_connection_that_the_upstream_closes_is_not_used(
    gateway: Gateway, upstream: Upstream
) -> None:
    warm(gateway, upstream)
    for connection in upstream.open_connections():
        connection.close()
    path = upstream.script(close_when_reused)
    for _ in range(20):
        with gateway.client() as client:
            assert client.get(path, method="POST", body=b"x").status in {200, 502}
            break
    with gateway.client() as client:
        assert client.get("/after-idle-close").status == 200

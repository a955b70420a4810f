"""The tunnel after 101: bytes both ways with flow control, and nothing before the upstream agreed."""

from __future__ import annotations

import threading

import pytest

from tests.integration.outcome import SLACK, takes
from tests.support import scripts
from tests.support.client import Client, request
from tests.support.gateway import Gateway
from tests.support.processes import rss
from tests.support.upstream import Exchange, Upstream
from tests.support.wire import wait_for

ASK = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
]
AGREE = scripts.head(
    101,
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    phrase="Switching Protocols",
)


def echo_tunnel(exchange: Exchange) -> None:
    exchange.send(AGREE)
    while data := exchange.stream.some():
        exchange.send(data.upper())
    exchange.close()


def open_tunnel(gateway: Gateway, path: str, host: str = "test.example") -> Client:
    client = gateway.client(timeout=10)
    client.send(request(path, fields=ASK, host=host))
    answer, _ = client.read_start()
    assert answer.status == 101
    assert (answer.get("Upgrade") or "").lower() == "websocket"
    assert (answer.get("Connection") or "").lower() == "upgrade"
    assert answer.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    return client


def test_bytes_pass_both_ways_untouched(gateway: Gateway, upstream: Upstream) -> None:
    path = upstream.script(echo_tunnel)
    with open_tunnel(gateway, path) as client:
        for piece in (b"\x81\x05hello", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n\x00\xff" * 100):
            client.send(piece)
            assert client.stream.exactly(len(piece)) == piece.upper()
    got = upstream.one(path)
    assert got.get("Upgrade") == "websocket"
    assert (got.get("Connection") or "").lower() == "upgrade"
    assert got.get("Sec-WebSocket-Key") == "dGhlIHNhbXBsZSBub25jZQ=="
    assert not upstream.find("/smuggled")
    entry = gateway.journal.path_is(path)
    assert (entry["status"], entry["reason"]) == (101, "ok")


def test_what_comes_in_one_write_with_the_101_passes(gateway: Gateway, upstream: Upstream) -> None:
    def script(exchange: Exchange) -> None:
        exchange.send(AGREE + b"at once")
        exchange.connection.wait_peer_closed(10)
        exchange.close()

    with open_tunnel(gateway, upstream.script(script)) as client:
        assert client.stream.exactly(7) == b"at once"


def test_what_the_client_sends_before_the_101_is_held_for_the_tunnel(
    gateway: Gateway, upstream: Upstream
) -> None:
    gate = threading.Event()

    def script(exchange: Exchange) -> None:
        gate.wait(10)
        echo_tunnel(exchange)

    path = upstream.script(script)
    with gateway.client() as client:
        client.send(request(path, fields=ASK) + b"early bytes")
        upstream.one(path)
        gate.set()
        answer, _ = client.read_start()
        assert answer.status == 101
        assert client.stream.exactly(11) == b"EARLY BYTES"


def test_early_bytes_are_never_sent_before_the_upstream_agreed(gateway: Gateway, upstream: Upstream) -> None:
    """Refused: what the client sent in hope of a tunnel is HTTP again, and the upstream must not have seen
    it."""

    def script(exchange: Exchange) -> None:
        exchange.send(scripts.message(b"no", 403))

    path = upstream.script(script)
    with gateway.client() as client:
        client.send(request(path, fields=ASK) + request("/after-refused-upgrade"))
        assert client.read().status == 403
        assert client.read().status == 200
    connection = upstream.connection_of(upstream.one(path))
    assert connection.raw.count(b"/after-refused-upgrade") <= 1
    upstream.one("/after-refused-upgrade")


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_an_end_ends_both(who: str, gateway: Gateway, upstream: Upstream) -> None:
    closing = threading.Event()

    def script(exchange: Exchange) -> None:
        exchange.send(AGREE)
        if who == "upstream":
            closing.wait(10)
        else:
            exchange.connection.wait_peer_closed(10)
        exchange.close()

    path = upstream.script(script)
    with open_tunnel(gateway, path) as client, takes(0, SLACK):
        if who == "upstream":
            closing.set()
            assert client.closed(5)
        else:
            client.close()
            upstream.wait_closed(upstream.connection_of(upstream.one(path)))
    assert gateway.journal.path_is(path)["status"] == 101


def test_an_idle_tunnel_is_closed(hasty: Gateway, upstream: Upstream) -> None:
    """The upstream's idle deadline (400 ms here) runs in both directions and is renewed by either."""
    path = upstream.script(echo_tunnel)
    with open_tunnel(hasty, path) as client:
        pause = threading.Event()
        for _ in range(5):
            client.send(b"x")
            assert client.stream.exactly(1) == b"X"
            pause.wait(0.2)
        with takes(0.15, 0.4 + SLACK):
            assert client.closed(3)
    upstream.wait_closed(upstream.connection_of(upstream.one(path)))
    assert hasty.journal.path_is(path)["reason"] in {"idle_timeout", "ok"}


def test_flow_control_in_the_tunnel(gateway: Gateway, upstream: Upstream) -> None:
    total = 48 << 20
    gate = threading.Event()

    def script(exchange: Exchange) -> None:
        exchange.send(AGREE)
        gate.wait(30)
        left = total
        while left:
            left -= len(exchange.stream.some())
        exchange.send(b"all")
        exchange.connection.wait_peer_closed(10)
        exchange.close()

    path = upstream.script(script)
    worker = gateway.worker_pids()[0]
    with open_tunnel(gateway, path) as client:
        before = rss(worker)
        taken = client.send_until_blocked(b"x" * 65536, total)
        assert rss(worker) - before < 4 << 20
        gate.set()
        client.sock.settimeout(10)
        left = total - taken
        while left:
            left -= client.sock.send(b"x" * min(left, 65536))
        assert client.stream.exactly(3) == b"all"
        assert rss(worker) - before < 4 << 20


def test_tunnels_are_counted(gateway: Gateway, upstream: Upstream) -> None:
    path = upstream.script(echo_tunnel)

    def count() -> float:
        return gateway.metrics().sum("fastgw_websockets")

    wait_for(lambda: count() == 0, what="no tunnel", every=0.02)
    with open_tunnel(gateway, path):
        wait_for(lambda: count() == 1, what="one tunnel", every=0.02)
    wait_for(lambda: count() == 0, what="no tunnel again", every=0.02)


def test_an_ordinary_answer_to_an_upgrade(gateway: Gateway, upstream: Upstream) -> None:
    path = upstream.script(scripts.answer(scripts.message(b"plain")))
    with gateway.client() as client:
        client.send(request(path, fields=ASK))
        assert client.read().body == b"plain"
        assert client.get("/after-upgrade").status == 200


def test_a_101_to_another_protocol_is_refused(gateway: Gateway, upstream: Upstream) -> None:
    raw = scripts.head(101, "Upgrade: h2c", "Connection: Upgrade", phrase="Switching Protocols")
    path = upstream.script(scripts.answer(raw))
    with gateway.client() as client:
        client.send(request(path, fields=ASK))
        assert client.read().status == 502

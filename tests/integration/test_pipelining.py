"""Several requests in one write: answered in order, one after the other, whatever becomes of each."""

from __future__ import annotations

import threading

from tests.support import scripts
from tests.support.client import request
from tests.support.gateway import Gateway
from tests.support.processes import rss
from tests.support.upstream import Exchange, Upstream


def test_answers_come_in_order(gateway: Gateway, upstream: Upstream) -> None:
    path = upstream.script(lambda exchange: exchange.send(scripts.message(exchange.request.target)))
    with gateway.client() as client:
        client.send(b"".join(request(f"{path}?n={n}") for n in range(50)))
        assert [client.read().body.decode() for _ in range(50)] == [f"{path}?n={n}" for n in range(50)]


def test_a_slow_first_answer_holds_the_others_back(gateway: Gateway, upstream: Upstream) -> None:
    gate = threading.Event()
    slow = upstream.script(scripts.when_allowed(gate, scripts.answer(scripts.message(b"slow"))))
    fast = upstream.script(scripts.answer(scripts.message(b"fast")))
    with gateway.client() as client:
        client.send(request(slow) + request(fast) + request("/gone") + request(fast))
        upstream.one(slow)
        assert client.stream.silent(0.1)
        gate.set()
        assert [client.read().body for _ in range(4)] == [b"slow", b"fast", b'{"gone": true}', b"fast"]


def test_bodies_between_requests(gateway: Gateway, upstream: Upstream) -> None:
    path = upstream.script(scripts.echo)
    chunked = request(path, method="POST", fields=["Transfer-Encoding: chunked"]) + scripts.chunked(
        [b"ab", b"c"]
    )
    with gateway.client() as client:
        client.send(
            request(path, method="POST", body=b"12345")
            + request(path)
            + chunked
            + request(path, method="PUT", body=b"z")
        )
        assert [client.read().body for _ in range(4)] == [b"12345", b"", b"abc", b"z"]


def test_a_refusal_that_keeps_the_connection_keeps_the_order(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.send(
            request("/p1")
            + request("/dead/p")
            + request("/x", method="PUT", host="only-get.example")
            + request("/p2")
        )
        assert [client.read().status for _ in range(4)] == [200, 502, 405, 200]


def test_a_refusal_that_closes_ends_the_line(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.send(request("/before-bad") + b"GET /bad HTTP/1.1\r\n\r\n" + request("/after-bad"))
        assert [client.read().status for _ in range(2)] == [200, 400]
        assert client.closed()
    assert not upstream.find("/after-bad")


def test_close_in_the_middle_ends_the_line(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.send(request("/says-close", fields=["Connection: close"]) + request("/after-close"))
        assert client.read().status == 200
        assert client.closed()
    assert not upstream.find("/after-close")


def test_head_204_and_304_in_the_middle(gateway: Gateway, upstream: Upstream) -> None:
    empty = upstream.script(scripts.answer(scripts.head(204, phrase="No Content")))
    same = upstream.script(scripts.answer(scripts.head(304, "Content-Length: 10", phrase="Not Modified")))
    with gateway.client() as client:
        client.send(request("/h", method="HEAD") + request(empty) + request(same) + request("/last"))
        statuses = [client.read(method).status for method in ("HEAD", "GET", "GET", "GET")]
    assert statuses == [200, 204, 304, 200]


def test_thousands_in_one_write_stay_raw(gateway: Gateway, upstream: Upstream) -> None:
    """They are not parsed ahead: with the first one held, the gateway takes in one read and its memory
    stays."""
    gate = threading.Event()
    slow = upstream.script(scripts.when_allowed(gate, scripts.answer(scripts.message(b"slow"))))
    one = request("/gone")
    worker = gateway.worker_pids()[0]
    with gateway.client(timeout=20) as client:
        client.send(request(slow))
        upstream.one(slow)
        before = rss(worker)
        sender = threading.Thread(target=client.send, args=(one * 4000,), daemon=True)
        sender.start()
        assert client.stream.silent(0.2)
        assert rss(worker) - before < 4 << 20
        gate.set()
        assert client.read().body == b"slow"
        for _ in range(4000):
            assert client.read().status == 410
        sender.join(5)


def test_the_next_one_is_not_started_before_the_first_is_answered(
    gateway: Gateway, upstream: Upstream
) -> None:
    running: list[int] = []
    most: list[int] = []

    def script(exchange: Exchange) -> None:
        running.append(1)
        most.append(len(running))
        exchange.send(scripts.message(b"x"))
        running.pop()

    path = upstream.script(script)
    with gateway.client() as client:
        client.send(request(path) * 20)
        for _ in range(20):
            client.read()
    assert max(most) == 1

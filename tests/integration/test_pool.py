"""The pool: reuse, bounds, the queue and its deadline, idle expiry, and in-flight caps."""

from __future__ import annotations

import select
import threading

from tests.integration.outcome import check_refusal, counted, takes
from tests.support import scripts
from tests.support.client import Client, request
from tests.support.gateway import Gateway
from tests.support.upstream import Exchange, Upstream
from tests.support.wire import wait_for


def gated(upstream: Upstream) -> tuple[str, threading.Event]:
    event = threading.Event()
    return upstream.script(scripts.when_allowed(event, scripts.answer(scripts.message(b"done")))), event


def ask(gateway: Gateway, path: str, host: str) -> Client:
    client = gateway.client()
    client.send(request(path, host=host))
    return client


def test_connections_are_reused(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.get("/reuse")
        opened = len(upstream.connections)
        for _ in range(20):
            client.get("/reuse")
    assert len(upstream.connections) == opened
    assert len({upstream.connection_of(one).number for one in upstream.find("/reuse")[-20:]}) == 1


def test_two_at_once_take_two_connections(gateway: Gateway, upstream: Upstream) -> None:
    path, event = gated(upstream)
    one, two = ask(gateway, path, "a.example"), ask(gateway, path, "a.example")
    upstream.wait(lambda: len(upstream.find(path)) == 2)
    event.set()
    assert {one.read().status, two.read().status} == {200}
    first, second = upstream.find(path)
    assert upstream.connection_of(first) is not upstream.connection_of(second)
    one.close()
    two.close()


def test_a_full_pool_queues_and_the_queue_has_a_deadline(gateway: Gateway, upstream: Upstream) -> None:
    path, event = gated(upstream)
    holder = ask(gateway, path, "narrow.example")
    upstream.one(path)
    with counted(gateway, "overloaded"):
        with takes(0.25):
            waiting = ask(gateway, "/narrow-late", "narrow.example")
            late = waiting.read()
        check_refusal(gateway, late, 503, "overloaded")
        assert waiting.get("/after-overloaded").status == 200
    event.set()
    assert holder.read().body == b"done"
    assert not upstream.find("/narrow-late")
    holder.close()
    waiting.close()


def test_a_full_queue_refuses_at_once(gateway: Gateway, upstream: Upstream) -> None:
    path, event = gated(upstream)
    holder = ask(gateway, path, "narrow.example")
    upstream.one(path)
    waiting = ask(gateway, "/narrow-waits", "narrow.example")
    wait_for(
        lambda: gateway.status()["workers"][0]["in_flight"] >= 2, what="the second in the queue", every=0.01
    )
    with takes(0, 0.2):
        third = ask(gateway, "/narrow-third", "narrow.example")
        answer = third.read()
    check_refusal(gateway, answer, 503, "overloaded")
    event.set()
    assert holder.read().status == 200
    assert waiting.read().status in {200, 503}  # 503 when the machine was so busy that its deadline passed
    for client in (holder, waiting, third):
        client.close()


def test_the_queue_is_served_when_a_connection_is_free(gateway: Gateway, upstream: Upstream) -> None:
    path, event = gated(upstream)
    holder = ask(gateway, path, "narrow.example")
    first = upstream.one(path)
    waiting = ask(gateway, "/narrow-served", "narrow.example")
    wait_for(
        lambda: gateway.status()["workers"][0]["in_flight"] >= 2, what="the second in the queue", every=0.01
    )
    event.set()
    assert (holder.read().status, waiting.read().status) == (200, 200)
    served = upstream.one("/narrow-served")
    assert upstream.connection_of(served) is upstream.connection_of(first)
    holder.close()
    waiting.close()


def test_a_client_that_vanishes_from_the_queue_leaves_it(gateway: Gateway, upstream: Upstream) -> None:
    path, event = gated(upstream)
    holder = ask(gateway, path, "narrow.example")
    upstream.one(path)
    ask(gateway, "/narrow-gone", "narrow.example").reset()
    gateway.journal.path_is("/narrow-gone")
    event.set()
    assert holder.read().status == 200
    assert holder.get("/narrow-after", host="narrow.example").status == 200
    assert gateway.journal.path_is("/narrow-gone")["reason"] in {"client_closed", "overloaded"}
    assert not upstream.find("/narrow-gone")
    holder.close()


def test_a_route_bounds_its_exchanges_in_flight(gateway: Gateway, upstream: Upstream) -> None:
    path, event = gated(upstream)
    holder = ask(gateway, path, "few.example")
    upstream.one(path)
    with ask(gateway, "/few-second", "few.example") as second:
        check_refusal(gateway, second.read(), 503, "overloaded")
        assert second.get("/other-route").status == 200
    event.set()
    assert holder.read().status == 200
    assert holder.get("/few-third", host="few.example").status == 200
    holder.close()


def test_an_idle_connection_expires(hasty: Gateway, upstream: Upstream) -> None:
    with hasty.client() as client:
        client.get("/expires")
    connection = upstream.connection_of(upstream.one("/expires"))
    with takes(0.2, 1.6):
        upstream.wait_closed(connection)


def test_the_upstreams_keep_alive_timeout_is_honoured(gateway: Gateway, upstream: Upstream) -> None:
    """It says 1 s, the gateway's own idle_timeout is 4 s: the connection goes before the upstream closes
    it."""
    path = upstream.script(scripts.answer(scripts.message(b"ok", 200, "Keep-Alive: timeout=1")))
    with gateway.client() as client:
        client.get(path)
    connection = upstream.connection_of(upstream.one(path))
    with takes(0, 1.6):
        upstream.wait_closed(connection, 2.0)


def test_idle_connections_beyond_the_bound_are_closed(gateway: Gateway, upstream: Upstream) -> None:
    """`idle` is 64 by default; 70 connections were busy at once and all come back."""
    path, event = gated(upstream)
    clients = [ask(gateway, path, "a.example") for _ in range(70)]
    upstream.wait(lambda: len(upstream.find(path)) == 70)
    event.set()
    for client in clients:
        assert client.read().status == 200
        client.close()
    used = [upstream.connection_of(one) for one in upstream.find(path)]
    upstream.wait(lambda: sum(one.open and not one.peer_closed for one in used) <= 64)


def test_the_last_connection_in_is_the_first_out(gateway: Gateway, upstream: Upstream) -> None:
    """So the surplus of a peak grows old and expires."""
    held: list[tuple[Exchange, threading.Event]] = []

    def script(exchange: Exchange) -> None:
        event = threading.Event()
        held.append((exchange, event))
        upstream.changed()
        event.wait(10)
        exchange.send(scripts.message(b"done"))

    path = upstream.script(script)
    clients = [ask(gateway, path, "a.example"), ask(gateway, path, "a.example")]
    upstream.wait(lambda: len(held) == 2)
    for count, (_, event) in enumerate(held, 1):
        event.set()
        wait_for(lambda count=count: answered(clients) == count, what="an answer")
    with gateway.client() as client:
        client.get("/lifo")
    assert upstream.connection_of(upstream.one("/lifo")) is held[1][0].connection
    for client in clients:
        client.close()


def answered(clients: list[Client]) -> int:
    """How many have something to read."""
    return len(select.select([one.sock for one in clients], [], [], 0)[0])

"""Exchanges that wait for one connection: turns, and what becomes of a turn whose owner has gone."""

from __future__ import annotations

import pytest

from fastgw.errors import Reason
from fastgw.model.exchange import Exchange
from tests.gateway.rig import PLAIN, Client, Gateway, Make

OK = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok"


def outcomes(*exchanges: Exchange) -> list[tuple[Reason, int, bool]]:
    return [(exchange.reason, exchange.status, exchange.closed) for exchange in exchanges]


def test_those_who_wait_are_served_in_their_order(gateway: Gateway) -> None:
    first, second, third = (gateway.begin() for _ in range(3))
    assert (gateway.pool.open, gateway.pool.queued) == (1, 2)
    gateway.bench.loop.tasks[-1].run()
    for forward, client, exchange in (first, second, third):
        connection = forward._connection
        assert connection is not None
        connection.data_received(OK)
        assert client.written.endswith(b"ok")
        assert exchange.closed
        gateway.bench.loop.run()
    assert gateway.pool.idle == gateway.pool.open == 1
    assert gateway.engine.in_flight == gateway.route.in_flight == 0


def test_the_time_in_the_queue_is_its_own(gateway: Gateway) -> None:
    first, second = gateway.begin(), gateway.begin()
    gateway.bench.loop.tasks[-1].run()
    gateway.bench.clock.advance(0.125)
    assert first[0]._connection is not None
    first[0]._connection.data_received(OK)
    gateway.bench.loop.run()
    assert second[2].queued == pytest.approx(0.125)
    assert first[2].queued == 0.0


def test_a_full_queue_refuses(gateway: Gateway) -> None:
    begun = [gateway.begin() for _ in range(4)]
    _, client, exchange = begun[-1]
    assert outcomes(exchange) == [(Reason.OVERLOADED, 503, True)]
    assert exchange.rule == "queue"
    assert b"Retry-After: 1\r\n" in client.written


def test_waiting_has_a_deadline(gateway: Gateway) -> None:
    gateway.begin()
    _, client, exchange = gateway.begin()
    gateway.bench.loop.tasks[-1].run()
    gateway.bench.tick(0.9)
    assert not exchange.closed
    gateway.bench.tick(0.2)
    assert outcomes(exchange) == [(Reason.OVERLOADED, 503, True)]
    assert exchange.rule == "queue_timeout"
    assert client.ended == 1
    assert gateway.pool.queued == 0


def test_a_turn_whose_owner_has_gone_passes_on_with_its_connection(gateway: Gateway) -> None:
    first, gone, next_one = (gateway.begin() for _ in range(3))
    gateway.bench.loop.tasks[-1].run()
    connection = first[0]._connection
    assert connection is not None
    connection.data_received(OK)
    gone[0].abandon(Reason.CLIENT_CLOSED)
    gateway.bench.loop.run()
    gateway.bench.loop.run()
    connection.data_received(OK)
    assert outcomes(gone[2], next_one[2]) == [(Reason.CLIENT_CLOSED, 499, True), (Reason.OK, 200, True)]


def test_a_turn_whose_owner_has_gone_passes_on_with_its_room(gateway: Gateway) -> None:
    """Otherwise the next one waits beside an empty place until its queue timeout."""
    first, gone, next_one = (gateway.begin() for _ in range(3))
    gateway.bench.loop.tasks[-1].run()
    first[0].abandon(Reason.CLIENT_CLOSED)
    gone[0].abandon(Reason.CLIENT_CLOSED)
    gateway.bench.loop.run()
    gateway.bench.loop.run()
    assert gateway.pool.open == 1, "nobody took the room"
    gateway.bench.loop.tasks[-1].run()
    connection = next_one[0]._connection
    assert connection is not None
    connection.data_received(OK)
    assert outcomes(next_one[2]) == [(Reason.OK, 200, True)]


def test_nobody_who_comes_later_takes_the_room_of_one_who_waits(gateway: Gateway) -> None:
    first, waiting = gateway.begin(), gateway.begin()
    gateway.bench.loop.tasks[-1].run()
    first[0].abandon(Reason.CLIENT_CLOSED)
    late = gateway.begin()  # in the same turn of the loop
    gateway.bench.loop.run()
    gateway.bench.loop.tasks[-1].run()
    assert waiting[0]._connection is not None
    assert late[0]._connection is None


def test_a_turn_of_the_exchange_before_is_not_taken_for_the_next_ones(gateway: Gateway) -> None:
    """The queue timeout ends one exchange between its turn's call and its run; the client's next request is for another
    upstream, and must not go out on the first one's connection."""
    gateway.begin("two")
    gateway.bench.loop.tasks[-1].run()
    first, waiting = gateway.begin(), gateway.begin()
    gateway.bench.loop.tasks[-1].run()
    connection = first[0]._connection
    assert connection is not None
    gateway.bench.clock.advance(1.1)
    connection.data_received(OK)  # the turn is on its way
    gateway.bench.deadlines.sweep(gateway.bench.clock.now())
    forward, _, exchange = waiting
    if exchange.closed:  # by the queue timeout
        gateway.begin("two", forward)
    gateway.bench.loop.run()
    used = forward._connection
    assert used is None or used.pool is gateway.engine.registry.upstreams["other"].targets[0].pool


def test_a_replay_that_waited_for_a_reused_connection_is_the_last(gateway: Gateway) -> None:
    """The queue may give a replay an old connection too, which may die in the same way."""
    forward, _, _ = gateway.begin()
    gateway.bench.loop.tasks[-1].run()
    connection = forward._connection
    assert connection is not None
    connection.data_received(OK)
    twice, client, exchange = gateway.begin()  # on the connection that was used before
    waiting = gateway.begin()
    connection.connection_lost(None)
    assert not exchange.closed  # once more, behind the one who waits
    gateway.bench.loop.run()
    gateway.bench.loop.tasks[-1].run()
    fresh = waiting[0]._connection
    assert fresh is not None
    fresh.data_received(OK)
    gateway.bench.loop.run()
    assert twice._connection is fresh
    fresh.connection_lost(None)
    assert outcomes(exchange) == [(Reason.UPSTREAM_RESET, 502, True)]
    assert client.ended == 1
    assert gateway.pool.open == gateway.pool.queued == 0


@pytest.mark.parametrize("complete", [True, False])
def test_an_answer_that_overtakes_the_body_is_the_last_of_its_connection(
    complete: bool, gateway: Gateway
) -> None:
    client = Client()
    client.complete = complete
    forward, _, exchange = gateway.run(b"POST", b"/", b"Content-Length: 5", client=client)
    gateway.bench.loop.tasks[-1].run()
    connection = forward._connection
    assert connection is not None
    connection.data_received(OK)
    assert (b"Connection: close\r\n" in client.written) is not complete
    assert exchange.keep_alive is complete


def test_no_address_yet_is_another_thing_than_a_name_that_does_not_exist(make_gateway: Make) -> None:
    unknown = {"targets": ["http://app.internal:9001"]}
    gateway = make_gateway(upstreams={**PLAIN["upstreams"], "other": unknown})
    _, client, exchange = gateway.begin("two")
    assert outcomes(exchange) == [(Reason.NO_HEALTHY_TARGET, 503, True)]
    assert b"Retry-After: 1\r\n" in client.written
    gateway.engine.registry.upstreams["other"].resolve("app.internal", 9001, (), "NXDOMAIN")
    _, client, exchange = gateway.begin("two")
    assert outcomes(exchange) == [(Reason.DNS_ERROR, 502, True)]
    assert b"NXDOMAIN" in client.written
    gateway.engine.registry.upstreams["other"].resolve("app.internal", 9001, (), None)
    _, _, exchange = gateway.begin("two")
    assert outcomes(exchange) == [(Reason.NO_HEALTHY_TARGET, 503, True)]

"""What a hostile reading of the data plane of failure found, each as the sequence that shows it."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from fastgw.errors import Reason
from fastgw.upstream.breaker import CLOSED, OPEN, Breaker
from tests.gateway.rig import Client, Gateway, Make
from tests.gateway.test_retries import ONE, TWO, app, connect, refuse, with_upstream
from tests.upstream.fakes import Bench, upstream

OK = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok"
BREAKER = {"failures": 5, "open_for": "5s", "successes": 2, "min_requests": 1000}
ROOM = {"max": 100, "queue": 100}
WS = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
)
SWITCH = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"


def sent(connection: Any, gateway: Gateway) -> bytes:
    gateway.bench.outbox.flush()
    return connection.transport.written


def test_one_of_two_targets_dies_with_six_in_flight(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2}, breaker=BREAKER, connections=ROOM)
    begun = []
    for _ in range(12):
        forward, client, exchange = gateway.begin()
        begun.append((forward, client, exchange, connect(gateway, forward)))
    dead = app(gateway).targets[0].label
    for _, _, exchange, connection in begun:
        if exchange.target == dead:
            connection._fail(Reason.UPSTREAM_RESET, "died")
    breaker = app(gateway).breaker
    assert breaker is not None
    failed = [e.reason for _, _, e, _ in begun if e.closed and e.reason is not Reason.OK]
    assert not failed, f"replayable requests failed: {failed}"
    assert breaker.state is CLOSED


def test_a_total_timeout_leaves_the_average_alone(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, (ONE,), timeouts={"total": "30s"})
    forward, _, _ = gateway.begin()
    connect(gateway, forward).data_received(OK)
    gateway.bench.clock.advance(3.0)
    forward2, _, _ = gateway.begin()  # another client, over the idle connection
    gateway.bench.clock.advance(0.01)
    assert forward2._connection is not None
    forward2._connection.data_received(OK)
    assert app(gateway).targets[0].ewma < 0.1


def test_early_hints_leave_the_average_alone(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, (ONE,))
    forward, _, _ = gateway.begin()
    connect(gateway, forward).data_received(OK)
    forward2, _, _ = gateway.begin()
    connection = forward2._connection
    assert connection is not None
    connection.data_received(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    connection.data_received(OK)
    assert app(gateway).targets[0].ewma < 0.1


class Uploader(Client):
    """Feeds nothing by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.complete = False


def put(gateway: Gateway, method: bytes = b"PUT", length: int = 200_000) -> Any:
    return gateway.run(method, b"/", b"Content-Length: %d" % length, client=Uploader())


def test_a_body_that_comes_while_the_retry_connects_goes_behind_its_head(make_gateway: Make) -> None:
    """Request smuggling: what is handed to a wire that connects waits in the outbox, and would go before the head."""
    gateway = with_upstream(make_gateway, retries={"attempts": 2})
    forward, _, _exchange = put(gateway, length=60)
    first = connect(gateway, forward)
    first._fail(Reason.UPSTREAM_RESET, "died")
    forward.request_body([b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"], False, b"")
    second = connect(gateway, forward)
    written = sent(second, gateway)
    assert written.startswith(b"PUT / "), written[:60]


def test_a_body_beyond_64k_that_comes_while_the_retry_connects_is_whole(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2})
    forward, _, exchange = put(gateway)
    first = connect(gateway, forward)
    forward.request_body([b"a" * 60_000], False, b"")
    gateway.bench.outbox.flush()
    first._fail(Reason.UPSTREAM_RESET, "died")
    assert not exchange.closed
    forward.request_body([b"b" * 60_000], False, b"")  # the edge reads on meanwhile: nothing paused it
    gateway.bench.outbox.flush()
    second = connect(gateway, forward)
    _, _, body = sent(second, gateway).partition(b"\r\n\r\n")
    assert exchange.closed or body == b"a" * 60_000 + b"b" * 60_000, f"{len(body)} bytes of 120000 went out"


@pytest.mark.parametrize("slow", ["upload", "download"])
def test_slow_clients_do_not_open_the_circuit_for_everybody(make_gateway: Make, slow: str) -> None:
    gateway = with_upstream(
        make_gateway, (ONE,), breaker=BREAKER, connections=ROOM, timeouts={"total": "10s", "idle": "60s"}
    )
    for _ in range(5):
        if slow == "upload":
            forward, _, _ = put(gateway, b"POST")
            connect(gateway, forward)
        else:
            client = Client()
            forward, _, _ = gateway.run(client=client)
            client.blocked = True
            connect(gateway, forward).data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 1000)
    for _ in range(11):
        gateway.bench.tick(1.0)
    breaker = app(gateway).breaker
    assert breaker is not None and breaker.state is CLOSED, breaker.last.cause


def websocket(gateway: Gateway) -> Any:
    forward, _client, exchange = gateway.run(b"GET", b"/", *WS)
    return forward, exchange


def test_a_tunnel_is_an_answer(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, connections=ROOM)
    for _ in range(6):
        forward, exchange = websocket(gateway)
        connect(gateway, forward).data_received(SWITCH)
        assert exchange.status == 101
    assert [target.unheard for target in app(gateway).targets] == [0, 0]


def test_a_resting_target_returns_by_websockets(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, connections=ROOM)
    rested = app(gateway).targets[0]
    rested.failed(gateway.bench.clock.now(), silent=True)
    used = []
    for _ in range(20):
        gateway.bench.clock.advance(1.5)
        forward, exchange = websocket(gateway)
        connect(gateway, forward).data_received(SWITCH)
        used.append(exchange.target)
    assert used.count(rested.label) > 1, "one trial, then never again while its tunnel lives"


def test_streaming_probes_close_the_circuit(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, (ONE,), breaker=BREAKER, connections=ROOM)
    breaker = app(gateway).breaker
    assert breaker is not None
    for _ in range(5):
        gateway.begin()
        refuse(gateway)
    assert breaker.state is OPEN
    for _ in range(10):  # a server of events: every answer begins at once and ends in an hour
        gateway.bench.clock.advance(6.0)
        forward, _, exchange = gateway.begin()
        if not exchange.closed:
            connect(gateway, forward).data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert breaker.state is CLOSED, "a minute of good answers, and still one a five seconds is let in"


def test_streams_keep_no_places_of_the_budget(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2}, connections=ROOM)
    for _ in range(3):
        forward, _, _ = gateway.begin()
        refuse(gateway)
        connect(gateway, forward).data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        gateway.bench.clock.advance(11.0)
    assert app(gateway).budget.in_use == 0


def test_forcing_a_target_that_is_gone_forces_nothing(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, (ONE,), breaker=BREAKER)
    now = gateway.bench.clock.now()
    app(gateway).force("127.0.0.1:9002", "open", now + 3600.0, now)  # what control resends to a respawned worker
    assert gateway.begin()[2].reason is Reason.OK


def test_p2c_does_not_prefer_a_target_that_fails_fast(make_gateway: Make) -> None:
    gateway = with_upstream(
        make_gateway,
        balance="p2c",
        breaker={**BREAKER, "failures": 1000},
        retries={"attempts": 2},
        connections=ROOM,
    )
    bad = app(gateway).targets[0].label
    met = 0
    for number in range(400):
        forward, _client, exchange = gateway.begin()
        for _ in range(2):
            if exchange.closed:
                break
            connection = forward._connection
            assert connection is not None
            if connection.state.name == "CONNECTING":
                connection = connect(gateway, forward)
            if exchange.target == bad:
                met += number >= 100
                gateway.bench.clock.advance(0.001)
                connection.data_received(b"HTTP/1.1 503 Service Unavailable\r\nDate: now\r\nContent-Length: 0\r\n\r\n")
            else:
                gateway.bench.clock.advance(0.05)
                connection.data_received(OK)
        assert exchange.closed
    assert met < 150, f"{met} of 300 went to the target that answers nothing but 503"


def test_total_timeouts_rest_a_target_that_says_nothing(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, timeouts={"total": "1s", "response": "15s"}, connections=ROOM)
    silent = app(gateway).targets[0].label
    met = 0
    for _ in range(160):  # 20 a second
        forward, _, exchange = gateway.begin()
        connection = forward._connection
        assert connection is not None
        if connection.state.name == "CONNECTING":
            connection = connect(gateway, forward)
        if exchange.target == silent:
            met += 1
        else:
            connection.data_received(OK)
        gateway.bench.tick(0.05)
    assert met <= 20, f"{met} met the silent target in 8 s"


def test_an_answer_from_before_does_not_end_the_rest_that_retry_after_asked_for(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"when": [503]}, connections=ROOM)
    begun = [gateway.begin() for _ in range(4)]
    connections = []
    for (forward, _, _exchange), task in zip(begun, gateway.bench.loop.tasks[-4:], strict=True):
        task.run()
        connections.append(forward._connection)
    tired = begun[0][2].target
    other = next(i for i in (1, 2, 3) if begun[i][2].target == tired)
    connections[0].data_received(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
    target = next(t for t in app(gateway).targets if t.label == tired)
    assert target.resting
    connections[other].data_received(OK)
    assert target.resting


def test_the_same_word_again_is_no_transition() -> None:
    said: list[Any] = []
    options = upstream("app", [ONE], breaker=BREAKER).breaker
    assert options is not None
    breaker = Breaker(options, 0.0, Random(1).random, said.append)
    wall = 1_700_000_000.123
    for now in (
        10.1,
        10.1 + 1e-4,
        11.7,
    ):  # as DataPlane.force_breaker computes it: the wall clock is read a moment later
        left = (wall + 60.0) - (wall + now - 10.1 + 3e-6)
        breaker.force("open", now + left, now)
    assert len(said) == 1


def test_time_of_a_retry_that_waits_in_the_queue(make_gateway: Make) -> None:
    gateway = with_upstream(
        make_gateway, retries={"attempts": 2}, connections={"max": 1, "queue": 5, "queue_timeout": "1s"}
    )
    for _ in range(2):
        gateway.begin()  # one connection of each target is taken
    forwards = []
    connections = list(gateway.bench.loop.tasks)
    for task in connections:
        task.run()
    # a third: waits at the first target
    forward, _, exchange = gateway.begin()
    first = app(gateway).targets[0]
    assert forward._stage.name == "QUEUED"
    exchange.forwarded_at = 0.0
    # its turn comes, it is sent, it fails after 2 s, and waits at the other one until the queue's deadline
    busy = next(f for f in (f for f in [])) if False else None
    del busy, first, forwards
    pool = next(t.pool for t in app(gateway).targets if t.label == exchange.target)
    holder = next(w for w in gateway.bench.loop.tasks)
    del holder
    started = gateway.bench.clock.now()
    owner = pool._chosen
    del owner
    # break the connection that is busy: room for the one who waits
    import gc

    from fastgw.upstream.connection import UpstreamConnection

    for wire in [
        o
        for o in gc.get_objects()
        if isinstance(o, UpstreamConnection) and o.pool is pool and o.owner is not None and o.owner is not forward
    ]:
        wire.close()
    gateway.bench.loop.run()
    connection = connect(gateway, forward)
    gateway.bench.clock.advance(0.4)
    connection._fail(Reason.UPSTREAM_RESET, "died")
    assert forward._stage.name == "QUEUED"
    gateway.bench.tick(1.1)
    assert exchange.closed and exchange.reason is Reason.OVERLOADED
    assert exchange.upstream_seconds <= gateway.bench.clock.now() - started + 1e-6


def test_a_reload_that_removes_the_upstream_of_an_exchange_that_waits_for_a_policy(make_gateway: Make) -> None:
    limit = {"name": "l", "key": "client_ip", "rate": "10/s", "burst": 10}
    gateway = make_gateway(
        routes=[
            {"name": "one", "match": {"path": "/*"}, "upstream": "app"},
            {"name": "two", "match": {"path": "/two"}, "upstream": "other", "limits": [limit]},
        ]
    )
    _, _client, exchange = gateway.run(path=b"/two")
    assert not exchange.closed
    gateway.engine.registry.reconcile({"app": gateway.snapshot.upstreams["app"]})
    from fastgw.limiter.limiter import Verdict

    gateway.limiter.waiting[0].on_verdict(Verdict(True)) if False else None
    gateway.resume(exchange, None)  # raises KeyError: 500 internal_error to the client


def test_a_reload_shortly_after_boot_of_the_machine(make_gateway: Make) -> None:
    from fastgw.clock import ManualClock
    from fastgw.upstream.upstream import Upstream

    bench = Bench()
    bench.shared.clock = ManualClock(now=20.0)  # monotonic is the machine's uptime
    made = Upstream(upstream("app", [ONE, TWO], slow_start="60s"), bench.shared, Random(1).random, lambda *w: None)
    made.configure(upstream("app", [ONE, TWO], slow_start="60s", max_in_flight=7))
    bench.shared.clock.advance(100.0)
    made.tick(120.0)
    bench.loop.close()
    assert [t.share for t in made.targets] == [1.0, 1.0]


def test_a_hiccup_is_not_repeated_on_the_target_that_is_known_to_be_dead(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2})
    app(gateway).set_health("127.0.0.1", 9002, "127.0.0.1", False)
    forward, _, exchange = gateway.begin()
    connect(gateway, forward)._fail(Reason.UPSTREAM_RESET, "one reset")
    assert exchange.target == "127.0.0.1:9001"


@pytest.mark.parametrize("how", ["said", "ended"])
def test_forcing_closed_is_no_return_from_failure(make_gateway: Make, how: str) -> None:
    gateway = with_upstream(make_gateway, breaker=BREAKER, slow_start="30s")
    target, now = app(gateway).targets[0], gateway.bench.clock.now()
    app(gateway).force(target.label, "closed", now + 60.0, now)
    if how == "ended":
        target.warm_from, target.share = 0.0, 1.0
        app(gateway).force(target.label, "auto", 0.0, now)
    assert target.share == 1.0


def test_retry_after_while_the_upstream_is_half_open_and_its_targets_are_not(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, breaker=BREAKER)
    now = gateway.bench.clock.now()
    for target in app(gateway).targets:
        app(gateway).force(target.label, "open", now + 30.0, now)
    breaker = app(gateway).breaker
    assert breaker is not None
    breaker.force("open", now + 5.0, now)
    gateway.bench.clock.advance(6.0)
    _, client, exchange = gateway.begin()
    assert exchange.reason is Reason.BREAKER_OPEN
    assert b"Retry-After: 24\r\n" in client.written, client.written[:200]


def test_two_stale_connections_in_a_row(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2}, connections=ROOM)
    warm = [gateway.begin() for _ in range(2)]
    for _, task in zip(warm, gateway.bench.loop.tasks[-2:], strict=True):
        task.run()
    for forward, _, _ in warm:
        assert forward._connection is not None
        forward._connection.data_received(OK)
    forward, _, exchange = gateway.begin()
    stale = forward._connection
    assert stale is not None
    stale.connection_lost(None)  # closed by its peer just then: replayed, fresh
    refuse(gateway)  # it restarts: on to the other one, whose idle connection is stale too
    stale = forward._connection
    assert stale is not None and stale.reused
    stale.connection_lost(None)
    assert not exchange.closed, exchange.reason

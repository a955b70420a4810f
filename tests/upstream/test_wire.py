"""The lower half of an upstream connection: its deadlines, its flow control, and its end, which is counted once."""

from __future__ import annotations

from fastgw.errors import Reason, Retry
from fastgw.upstream.connection import UpstreamConnection
from fastgw.upstream.tls import HIGH_WATER, TlsTarget
from fastgw.upstream.wire import State
from tests.upstream.fakes import OK5, Bench, FakeTransport, Owner, Rig

# --- deadlines ---


def test_the_response_deadline(rig: Rig) -> None:
    assert rig.bench.tick(14.9) == 0
    rig.bench.tick(0.2)
    assert rig.owner.events == [("failure", Reason.RESPONSE_TIMEOUT, Retry.NEVER)]
    assert rig.bench.pool.open == 0


def test_the_idle_deadline_is_renewed_by_every_read(rig: Rig) -> None:
    rig.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    for _ in range(3):
        rig.bench.tick(59.0)
        rig.feed(b"x")
    assert rig.outcome()[-1] == []
    rig.bench.tick(60.1)
    assert rig.outcome()[-1] == [Reason.IDLE_TIMEOUT]


def test_it_stands_still_while_the_client_does_not_take_it(rig: Rig) -> None:
    rig.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    rig.connection.pause_reading()
    assert not rig.transport.reading
    rig.bench.tick(1000.0)
    assert rig.outcome()[-1] == []
    rig.connection.resume_reading()
    assert rig.transport.reading
    rig.bench.tick(59.0)
    assert rig.outcome()[-1] == []
    rig.bench.tick(1.1)
    assert rig.outcome()[-1] == [Reason.IDLE_TIMEOUT]


def test_a_request_without_its_end_waits_for_no_answer_until_it_ended(bench: Bench) -> None:
    rig = Rig(bench, b"POST", done=False)
    rig.connection.deadline = float("inf")
    bench.tick(1000.0)
    assert rig.owner.events == []
    rig.connection.write(b"body")
    rig.connection.end_request(15.0)
    assert rig.transport.written.endswith(b"body")
    bench.tick(14.9)
    assert rig.owner.events == []
    bench.tick(0.2)
    assert rig.outcome()[-1] == [Reason.RESPONSE_TIMEOUT]


def test_an_upstream_that_takes_nothing_of_a_body_is_idle(bench: Bench) -> None:
    rig = Rig(bench, b"POST", done=False)
    rig.connection.pause_writing()
    assert rig.connection.blocked
    bench.tick(60.1)
    assert rig.outcome()[-1] == [Reason.IDLE_TIMEOUT]


def test_one_that_takes_it_again_is_not(bench: Bench) -> None:
    rig = Rig(bench, b"POST", done=False)
    rig.connection.pause_writing()
    bench.tick(30.0)
    rig.connection.resume_writing()
    assert not rig.connection.blocked
    bench.tick(1000.0)
    assert rig.owner.names() == ["blocked", "writable"]


def test_an_answer_before_the_end_of_the_request_ends_the_connection(bench: Bench) -> None:
    rig = Rig(bench, b"POST", done=False).feed(OK5)
    assert rig.outcome() == (200, [], b"hello", 1, [])
    assert rig.connection.state is State.CLOSED


def test_no_deadline_of_one_answer_is_left_to_the_next(rig: Rig) -> None:
    rig.feed(OK5)
    rig.bench.tick(1.0)
    rig.bench.take()
    rig.begin()
    rig.bench.tick(14.0)
    assert rig.outcome()[-1] == []
    rig.bench.tick(1.1)
    assert rig.outcome()[-1] == [Reason.RESPONSE_TIMEOUT]


# --- ends ---


def test_close_is_silent_and_counts_once(rig: Rig) -> None:
    rig.connection.close()
    rig.connection.close()
    rig.connection.connection_lost(None)
    assert rig.owner.events == []
    assert rig.bench.pool.open == 0
    rig.feed(OK5)
    assert rig.owner.events == []


def test_a_connection_that_came_too_late_is_closed(bench: Bench) -> None:
    connection = bench.pool.connect(Owner(), bench.clock.now() + 1.0)
    connection.close()
    transport = FakeTransport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    assert transport.closed
    assert bench.pool.open == 0


def test_the_half_of_a_request_is_closed_once(rig: Rig) -> None:
    rig.connection.write_eof()
    assert rig.transport.eof
    rig.connection.close()
    rig.connection.write_eof()


def test_a_new_connection_belongs_to_its_pool(bench: Bench) -> None:
    connection = UpstreamConnection(bench.pool, bench.shared, bench.streak)
    assert connection.state is State.CONNECTING
    assert connection.generation == bench.pool.generation


def test_where_there_is_no_half_close_the_whole_is_closed_in_order(rig: Rig) -> None:
    """As in TLS."""
    rig.transport.half_closes = False
    rig.connection.write(b"the last words")
    rig.connection.write_eof()
    assert rig.transport.written.endswith(b"the last words")
    assert (rig.transport.eof, rig.transport.closed, rig.transport.aborted) == (False, True, False)


def test_a_tls_transport_is_told_to_keep_little(bench: Bench) -> None:
    plain = bench.connected()
    bench.target.tls = TlsTarget(bench.shared.tls_contexts.of(None), "app.example")
    secure = bench.connected()
    assert plain.transport.limits == []  # type: ignore[union-attr]
    assert secure.transport.limits == [(HIGH_WATER,), (1, 0)]  # type: ignore[union-attr]

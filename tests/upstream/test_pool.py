"""The pool's counts are always true, its order is LIFO for connections and FIFO for waiters, its bounds hold."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from fastgw.errors import Reason, Retry
from fastgw.upstream.pool import PoolLimits
from fastgw.upstream.tls import TlsTarget
from fastgw.upstream.wire import State
from tests.upstream.fakes import Bench, Owner, upstream

Make = Callable[..., Bench]


def test_the_warmest_connection_serves(bench: Bench) -> None:
    first, second = bench.idle(), bench.idle()
    assert bench.pool.idle == 2
    assert bench.take() is second
    assert bench.take() is first
    assert bench.take() is None
    assert bench.pool.open == 2


def test_an_idle_connection_expires(make_bench: Make) -> None:
    bench = make_bench(idle_timeout="4s")
    connection = bench.idle()
    assert bench.tick(3.9) == 0
    assert bench.tick(0.1) == 1
    assert connection.state is State.CLOSED
    assert (bench.pool.open, bench.pool.idle) == (0, 0)


def test_one_that_expired_before_the_sweep_is_not_used(make_bench: Make) -> None:
    bench = make_bench(idle_timeout="4s")
    connection = bench.idle()
    bench.clock.advance(4.0)
    assert bench.take() is None
    assert connection.state is State.CLOSED
    assert bench.pool.open == 0


@pytest.mark.parametrize(
    ("promised", "lives"),
    [(-1.0, 4.0), (60.0, 4.0), (5.0, 4.0), (4.0, 3.0), (2.0, 1.0), (1.0, 0.0), (0.5, 0.0), (0.0, 0.0)],
)
def test_a_promise_of_the_upstream_shortens_the_idle_time(
    make_bench: Make, promised: float, lives: float
) -> None:
    bench = make_bench(idle_timeout="4s")
    connection = bench.connected()
    connection.keep_seconds = promised
    bench.give(connection)
    if lives:
        assert connection.deadline == pytest.approx(bench.clock.now() + lives)
    else:
        assert connection.state is State.CLOSED
        assert bench.pool.open == 0


def test_no_more_idle_connections_are_kept_than_allowed(make_bench: Make) -> None:
    bench = make_bench(idle=2)
    taken = [bench.connected() for _ in range(4)]
    for connection in taken:
        bench.give(connection)
    assert (bench.pool.idle, bench.pool.open) == (2, 2)
    assert [connection.state for connection in taken[2:]] == [State.CLOSED] * 2


def test_room_ends_at_max(make_bench: Make) -> None:
    bench = make_bench(max=2)
    bench.connected()
    assert bench.pool.has_room()
    last = bench.connected()
    assert not bench.pool.has_room()
    last.close()
    assert bench.pool.has_room()
    assert bench.pool.opened == 2


def test_the_queue_is_bounded_and_those_who_leave_make_room(make_bench: Make) -> None:
    bench = make_bench(max=1, queue=2)
    bench.connected()
    first, second, third = Owner(), Owner(), Owner()
    assert bench.pool.enqueue(first)
    assert bench.pool.enqueue(second)
    assert not bench.pool.enqueue(third)
    assert not third.waiting
    bench.pool.leave(first)
    bench.pool.leave(first)
    assert bench.pool.queued == 1
    assert bench.pool.enqueue(third)


def test_a_queue_of_none_refuses_at_once(make_bench: Make) -> None:
    assert not make_bench(queue=0).pool.enqueue(Owner())


def test_those_who_left_do_not_fill_the_queue_with_their_places(make_bench: Make) -> None:
    """One waiter stays, thousands come and go: the queue must not grow with them."""
    bench = make_bench(max=1, queue=10)
    bench.connected()
    bench.pool.enqueue(Owner())
    for _ in range(5000):
        passer = Owner()
        assert bench.pool.enqueue(passer)
        bench.pool.leave(passer)
    assert bench.pool.queued == 1
    assert len(bench.pool.waiters) == 1


def test_a_connection_goes_to_the_first_who_still_waits(make_bench: Make) -> None:
    bench = make_bench(max=1, queue=9)
    connection = bench.connected()
    left, first, second = Owner(), Owner(), Owner()
    for waiter in (left, first, second):
        bench.pool.enqueue(waiter)
    bench.pool.leave(left)
    bench.give(connection)
    assert first.events == []  # not in the middle of somebody else's answer
    bench.loop.run()
    assert first.events == [("turn", connection)]
    assert (left.events, second.events) == ([], [])
    assert (first.waiting, second.waiting) == (False, True)
    assert connection.owner is first
    assert bench.pool.idle == 0
    assert bench.pool.queued == 1


def test_one_that_ends_makes_room_for_the_first_who_waits(make_bench: Make) -> None:
    bench = make_bench(max=1, queue=9)
    connection = bench.connected()
    first, second = Owner(), Owner()
    bench.pool.enqueue(first)
    bench.pool.enqueue(second)
    connection.close()
    assert first.events == []  # not in the middle of somebody else's failure
    assert bench.pool.reserved == 1
    bench.loop.run()
    assert first.events == [("turn", None)]
    assert second.events == []
    assert not bench.pool.has_room()  # the second comes before whoever is not in the queue


def test_one_handed_over_that_dies_before_its_turn_leaves_its_place(make_bench: Make) -> None:
    """To the waiter it was for, not to the next one, who came later."""
    bench = make_bench(max=1, queue=9)
    connection = bench.connected()
    waiter, later = Owner(), Owner()
    bench.pool.enqueue(waiter)
    bench.pool.enqueue(later)
    bench.give(connection)
    connection.data_received(b"HTTP/1.1 408 late\r\n\r\n")
    assert connection.state is State.CLOSED
    assert (bench.pool.open, bench.pool.reserved) == (0, 1)
    bench.loop.run()
    assert waiter.events == [("turn", None)]
    assert later.events == []
    assert bench.pool.reserved == 0


def test_whoever_leaves_between_being_chosen_and_its_turn_passes_on_what_it_was_to_get(
    make_bench: Make,
) -> None:
    bench = make_bench(max=1, queue=9)
    connection = bench.connected()
    first, second, third = Owner(), Owner(), Owner()
    for waiter in (first, second, third):
        bench.pool.enqueue(waiter)
    bench.give(connection)
    assert first.waiting  # until its turn runs
    bench.pool.leave(first)
    bench.loop.run()
    assert (first.events, second.events, third.events) == ([], [("turn", connection)], [])
    assert connection.owner is second
    connection.close()
    bench.pool.leave(third)
    assert (bench.pool.reserved, bench.pool.queued, bench.pool.open) == (0, 0, 0)
    bench.loop.run()
    assert third.events == []
    assert bench.pool.has_room()


def test_a_connection_left_by_the_last_who_waited_is_idle_again(make_bench: Make) -> None:
    bench = make_bench(max=1, queue=9)
    connection, only = bench.connected(), Owner()
    bench.pool.enqueue(only)
    bench.give(connection)
    bench.pool.leave(only)
    bench.loop.run()
    assert connection.owner is None
    assert bench.take() is connection


def test_room_that_is_promised_is_nobody_elses(make_bench: Make) -> None:
    bench = make_bench(max=1, queue=9)
    connection, waiter = bench.connected(), Owner()
    bench.pool.enqueue(waiter)
    connection.close()
    assert not bench.pool.queued
    assert not bench.pool.has_room()
    bench.loop.run()
    assert waiter.events == [("turn", None)]
    assert bench.pool.has_room()


# --- other bounds after a reload ---


def limits(**connections: int) -> PoolLimits:
    return upstream("app", ["http://127.0.0.1:9001"], connections=connections).connections


def test_more_room_is_for_those_who_wait(make_bench: Make) -> None:
    bench = make_bench(max=1, queue=9)
    bench.connected()
    waiters = [Owner() for _ in range(3)]
    for waiter in waiters:
        bench.pool.enqueue(waiter)
    bench.pool.configure(limits(max=3, queue=9))
    bench.loop.run()
    assert [waiter.names() for waiter in waiters] == [["turn"], ["turn"], []]


def test_less_room_closes_the_coldest_idle_connections(make_bench: Make) -> None:
    bench = make_bench(max=4)
    taken = [bench.connected() for _ in range(4)]
    for connection in taken:
        bench.give(connection)
    bench.pool.configure(limits(max=2))
    assert [connection.state is State.CLOSED for connection in taken] == [True, True, False, False]
    assert bench.pool.open == 2
    assert bench.take() is taken[3]


def test_fewer_idle_ones_are_kept_at_once(make_bench: Make) -> None:
    bench = make_bench(max=4, idle=4)
    taken = [bench.connected() for _ in range(3)]
    for connection in taken:
        bench.give(connection)
    bench.pool.configure(limits(max=4, idle=1))
    assert (bench.pool.idle, bench.pool.open) == (1, 1)
    assert bench.take() is taken[2]


def test_busy_connections_beyond_less_room_end_when_they_come_back(make_bench: Make) -> None:
    bench = make_bench(max=4)
    busy = [bench.connected() for _ in range(3)]
    bench.pool.configure(limits(max=2))
    assert bench.pool.open == 3
    for connection in busy:
        assert connection.state is State.IDLE  # taken: its exchange goes on
        bench.give(connection)
        assert connection.state is State.CLOSED
    fresh = bench.idle()
    assert bench.take() is fresh


def test_a_retired_pool_keeps_nothing(bench: Bench) -> None:
    idle, busy = bench.idle(), bench.connected()
    bench.pool.retire()
    assert idle.state is State.CLOSED
    assert busy.state is State.IDLE  # taken, not yet begun: its exchange goes on
    bench.give(busy)
    assert busy.state is State.CLOSED
    assert bench.pool.open == 0
    assert bench.take() is None


def test_a_retired_pool_still_serves_who_waits_in_it(make_bench: Make) -> None:
    bench = make_bench(max=1, queue=9)
    busy, waiter = bench.connected(), Owner()
    bench.pool.enqueue(waiter)
    bench.pool.retire()
    bench.give(busy)
    bench.loop.run()
    assert busy.state is State.CLOSED
    assert waiter.events == [("turn", None)]
    fresh = bench.connected(waiter)
    bench.give(fresh)
    assert fresh.state is State.CLOSED
    assert bench.pool.open == bench.pool.idle == 0


def test_an_abort_closes_what_is_idle(bench: Bench) -> None:
    connections = [bench.idle() for _ in range(3)]
    bench.pool.abort()
    assert all(connection.state is State.CLOSED for connection in connections)
    assert bench.pool.open == 0


# --- opening ---


def test_it_connects_to_the_address(bench: Bench) -> None:
    owner = Owner()
    connection = bench.pool.connect(owner, bench.clock.now() + 1.0)
    bench.loop.tasks[-1].run()
    assert bench.loop.places == [("127.0.0.1", 9001)]
    assert owner.events == [("connected", connection)]
    assert connection.task is None
    assert bench.tick(10.0) == 0  # the connect deadline ended with it


def test_it_connects_to_a_unix_socket(bench: Bench) -> None:
    bench.target.unix_path = "/run/app.sock"
    bench.pool.connect(Owner(), bench.clock.now() + 1.0)
    bench.loop.tasks[-1].run()
    assert bench.loop.places == ["/run/app.sock"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "Connection refused"), Reason.CONNECT_REFUSED),
        (OSError(101, "Network is unreachable"), Reason.CONNECT_REFUSED),
        (FileNotFoundError(2, "No such file or directory"), Reason.CONNECT_REFUSED),
        (OSError(), Reason.CONNECT_REFUSED),
        (TimeoutError(110, "Connection timed out"), Reason.CONNECT_TIMEOUT),
    ],
)
def test_a_failed_attempt_is_told_once_and_counted_out(bench: Bench, error: OSError, reason: Reason) -> None:
    bench.loop.outcome = error
    owner = Owner()
    bench.pool.connect(owner, bench.clock.now() + 1.0)
    bench.loop.tasks[-1].run()
    assert owner.events == [("failure", reason, Retry.ALWAYS)]
    assert bench.pool.open == 0
    assert bench.tick(10.0) == 0


def test_an_attempt_has_a_deadline(bench: Bench) -> None:
    owner = Owner()
    bench.pool.connect(owner, bench.clock.now() + 1.0)
    assert bench.tick(0.9) == 0
    assert bench.tick(0.1) == 1
    assert owner.events == [("failure", Reason.CONNECT_TIMEOUT, Retry.ALWAYS)]
    assert bench.loop.tasks[-1].cancelled
    assert bench.pool.open == 0


def test_an_attempt_whose_owner_left_ends_silently(bench: Bench) -> None:
    owner = Owner()
    connection = bench.pool.connect(owner, bench.clock.now() + 1.0)
    connection.close()
    assert owner.events == []
    assert bench.loop.tasks[-1].cancelled
    assert bench.pool.open == 0


def test_a_pool_that_is_renewed_uses_nothing_that_was_there(bench: Bench) -> None:
    busy, idle, coming = bench.connected(), bench.idle(), bench.pool.connect(Owner(), 1.0)
    bench.pool.renew()
    assert idle.state is State.CLOSED
    assert busy.state is State.IDLE  # in its exchange still
    bench.give(busy)
    assert busy.state is State.CLOSED
    coming.close()
    assert bench.pool.open == 0
    fresh = bench.idle()
    assert bench.take() is fresh


def test_a_secure_target_is_opened_with_its_context_and_name(bench: Bench) -> None:
    tls = TlsTarget(bench.shared.tls_contexts.of(None), "app.example")
    bench.target.secure(tls, b"app.example")
    owner = Owner()
    bench.pool.connect(owner, 1.0)
    bench.loop.tasks[-1].run()
    assert bench.loop.tls == [{"ssl": tls.context, "server_hostname": "app.example"}]
    assert owner.names() == ["connected"]


@pytest.mark.parametrize(
    ("error", "secure", "reason"),
    [
        (ssl.SSLError(1, "?"), True, Reason.TLS_ERROR),
        (ConnectionResetError(), True, Reason.TLS_ERROR),
        (ConnectionResetError(), False, Reason.CONNECT_REFUSED),
        (ConnectionRefusedError(), True, Reason.CONNECT_REFUSED),
        (TimeoutError(), True, Reason.CONNECT_TIMEOUT),
    ],
)
def test_nothing_of_a_request_was_sent_when_a_handshake_fails(
    bench: Bench, error: OSError, secure: bool, reason: Reason
) -> None:
    if secure:
        bench.target.tls = TlsTarget(bench.shared.tls_contexts.of(None), "app.example")
    bench.loop.outcome = error
    owner = Owner()
    bench.pool.connect(owner, 1.0)
    bench.loop.tasks[-1].run()
    assert owner.events == [("failure", reason, Retry.ALWAYS)]
    assert bench.pool.open == 0

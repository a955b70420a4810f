"""Another attempt: when it is made, on which target, and everything that must stop it."""

from __future__ import annotations

from typing import Any

import pytest

from fastgw.errors import Reason, Retry
from fastgw.gateway.forward import Forward
from fastgw.gateway.retries import retry_after
from fastgw.model.messages import ResponseHead
from fastgw.upstream.budget import FLOOR
from fastgw.upstream.upstream import Upstream
from fastgw.upstream.wire import Wire
from tests.gateway.rig import Gateway, Make

OK = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nDate: now\r\n%sContent-Length: 4\r\n\r\nbusy"
ONE, TWO = "http://127.0.0.1:9001", "http://127.0.0.1:9002"


def with_upstream(make: Make, targets: tuple[str, ...] = (ONE, TWO), **options: Any) -> Gateway:
    return make(
        upstreams={"app": {"targets": list(targets), "balance": "round_robin", **options}, "other": {"targets": [ONE]}}
    )


def app(gateway: Gateway) -> Upstream:
    return gateway.engine.registry.upstreams["app"]


def connect(gateway: Gateway, forward: Forward) -> Wire:
    gateway.bench.loop.tasks[-1].run()
    connection = forward._connection
    assert connection is not None
    return connection


def refuse(gateway: Gateway) -> None:
    gateway.bench.loop.outcome = ConnectionRefusedError(111, "Connection refused")
    gateway.bench.loop.tasks[-1].run()
    gateway.bench.loop.outcome = None


def idle_everywhere(gateway: Gateway) -> None:
    assert gateway.engine.in_flight == 0
    assert app(gateway).in_flight == 0
    assert app(gateway).budget.in_use == 0
    assert all(target.in_flight == 0 for target in app(gateway).targets)


def test_a_refused_connection_is_followed_by_another_target(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2})
    forward, client, exchange = gateway.begin()
    first = exchange.target
    refuse(gateway)
    assert exchange.target != first
    connect(gateway, forward).data_received(OK)
    assert client.written.endswith(b"ok")
    assert (exchange.reason, exchange.attempts) == (Reason.OK, 2)
    idle_everywhere(gateway)


def test_without_retries_one_attempt_is_made(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway)
    _, _, exchange = gateway.begin()
    refuse(gateway)
    assert (exchange.reason, exchange.status, exchange.attempts) == (Reason.CONNECT_REFUSED, 502, 1)
    idle_everywhere(gateway)


def test_attempts_bounds_them_and_the_last_failure_is_the_answer(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 3})
    _, client, exchange = gateway.begin()
    for _ in range(3):
        assert not exchange.closed
        refuse(gateway)
    assert (exchange.reason, exchange.attempts) == (Reason.CONNECT_REFUSED, 3)
    assert client.written.startswith(b"HTTP/1.1 502 ")
    idle_everywhere(gateway)


@pytest.mark.parametrize(
    ("when", "reason", "again"),
    [
        (["connect"], Reason.UPSTREAM_RESET, False),
        (["reset"], Reason.UPSTREAM_RESET, True),
        (["reset"], Reason.UPSTREAM_PROTOCOL_ERROR, True),
        (["reset"], Reason.RESPONSE_TIMEOUT, False),
        (["timeout"], Reason.RESPONSE_TIMEOUT, True),
        (["503"], Reason.RESPONSE_TIMEOUT, False),
    ],
)
def test_only_what_the_options_name_is_repeated(make_gateway: Make, when: list[str], reason: Reason, again: bool) -> None:
    gateway = with_upstream(make_gateway, retries={"when": when})
    forward, _, exchange = gateway.begin()
    connect(gateway, forward)._fail(reason, "it failed")
    assert exchange.closed is not again
    assert exchange.attempts == (2 if again else 1)


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"SOMETHING"])
def test_what_is_not_idempotent_goes_out_once(make_gateway: Make, method: bytes) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 3})
    forward, _, exchange = gateway.run(method)
    connect(gateway, forward)._fail(Reason.UPSTREAM_RESET, "it failed")
    assert (exchange.reason, exchange.attempts) == (Reason.UPSTREAM_RESET, 1)
    idle_everywhere(gateway)


def test_unless_nothing_of_it_had_left(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 3})
    forward, _, exchange = gateway.run(b"POST")
    refuse(gateway)
    connect(gateway, forward)._fail(Reason.UPSTREAM_RESET, "it failed")
    assert (exchange.reason, exchange.attempts) == (Reason.UPSTREAM_RESET, 2)


def test_a_status_is_repeated_on_another_target_and_its_answer_dropped(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"when": [503]})
    forward, client, exchange = gateway.begin()
    connect(gateway, forward).data_received(BUSY % b"")
    assert client.written == b""
    connect(gateway, forward).data_received(OK)
    assert client.written.endswith(b"ok") and b"busy" not in client.written
    assert exchange.status == 200
    idle_everywhere(gateway)


def test_half_an_answer_that_is_dropped_costs_its_connection(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"when": [503]})
    forward, client, exchange = gateway.begin()
    half = connect(gateway, forward)
    half.data_received(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbu")
    assert half.state.name == "CLOSED"
    connect(gateway, forward).data_received(OK)
    assert client.written.endswith(b"ok")
    assert exchange.closed


def test_the_second_answer_is_the_one_that_is_sent_whatever_it_says(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"when": [503]})
    forward, client, exchange = gateway.begin()
    connect(gateway, forward).data_received(BUSY % b"")
    connect(gateway, forward).data_received(BUSY % b"X-Second: 1\r\n")
    assert b"X-Second: 1\r\n" in client.written and client.written.endswith(b"busy")
    assert (exchange.status, exchange.reason, exchange.attempts) == (503, Reason.OK, 2)
    idle_everywhere(gateway)


def test_retry_after_keeps_a_target_out_and_without_another_one_is_passed_on(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, (ONE,), retries={"when": [503]})
    forward, client, exchange = gateway.begin()
    connect(gateway, forward).data_received(BUSY % b"Retry-After: 7\r\n")
    assert b"Retry-After: 7\r\n" in client.written
    assert exchange.attempts == 1
    gateway = with_upstream(make_gateway, retries={"when": [503]})
    forward, _, exchange = gateway.begin()
    tired = exchange.target
    connect(gateway, forward).data_received(BUSY % b"Retry-After: 7\r\n")
    connect(gateway, forward).data_received(OK)
    gateway.bench.clock.advance(6.0)
    targets = [gateway.begin()[2].target for _ in range(4)]
    assert tired not in targets


def test_an_interim_answer_that_was_passed_on_forbids_another_attempt(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2})
    forward, _, exchange = gateway.begin()
    connection = connect(gateway, forward)
    connection.data_received(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    connection._fail(Reason.UPSTREAM_RESET, "it failed")
    assert (exchange.reason, exchange.attempts) == (Reason.UPSTREAM_RESET, 1)


def test_an_answer_that_was_begun_forbids_another_attempt(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2})
    forward, _, exchange = gateway.begin()
    connection = connect(gateway, forward)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    connection._fail(Reason.RESPONSE_TRUNCATED, "it failed")
    assert (exchange.reason, exchange.attempts) == (Reason.RESPONSE_TRUNCATED, 1)


def test_the_budget_refuses_and_the_first_failure_is_the_answer(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2}, connections={"max": 100})
    begun = [gateway.begin() for _ in range(30)]
    waiting = gateway.bench.loop.tasks[-30:]
    gateway.bench.loop.outcome = ConnectionRefusedError(111, "Connection refused")
    for task in waiting:
        task.run()
    outcomes = [exchange.closed for _, _, exchange in begun]
    assert outcomes.count(False) == FLOOR  # 20 % of 30 are fewer
    refused = [exchange for _, _, exchange in begun if exchange.closed]
    assert {exchange.reason for exchange in refused} == {Reason.CONNECT_REFUSED}
    assert app(gateway).budget.in_use == FLOOR


def test_statuses_of_all_targets_are_not_multiplied(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"when": [503]})
    attempts = 0
    for _ in range(400):
        forward, _, exchange = gateway.begin()
        while not exchange.closed:
            connection = forward._connection
            assert connection is not None
            if connection.transport is None:
                gateway.bench.loop.tasks[-1].run()
            connection.data_received(BUSY % b"")
        attempts += exchange.attempts
    assert 400 < attempts <= 1.25 * 400 + 2 * FLOOR


def test_a_deadline_ends_it_between_two_attempts(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2}, timeouts={"total": "2s", "connect": "2s"})
    _, _, exchange = gateway.begin()
    gateway.bench.clock.advance(1.5)
    refuse(gateway)
    gateway.bench.tick(0.6)
    assert (exchange.reason, exchange.attempts) == (Reason.TOTAL_TIMEOUT, 2)
    idle_everywhere(gateway)


def test_a_repetition_does_not_go_to_a_target_on_trial(make_gateway: Make) -> None:
    three = (ONE, TWO, "http://127.0.0.1:9003")
    gateway = with_upstream(make_gateway, three, retries={"attempts": 2})
    targets = app(gateway).targets
    targets[0].failed(gateway.bench.clock.now(), silent=True)
    gateway.bench.clock.advance(1.5)  # its trial is due
    targets[0].unheard = 1  # and under way
    exchange = gateway.begin()[2]
    targets[0].unheard = 0
    first = exchange.target
    refuse(gateway)
    assert exchange.target not in (first, targets[0].label)


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_only_what_can_be_repeated_tries_a_target(make_gateway: Make, method: bytes) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2})
    rested = app(gateway).targets[0]
    rested.failed(gateway.bench.clock.now(), silent=True)
    gateway.bench.clock.advance(1.5)
    _, _, exchange = gateway.run(method)
    assert (exchange.target == rested.label) is (method == b"GET")


def test_the_time_of_every_attempt_is_the_upstreams(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2})
    forward, _, exchange = gateway.begin()
    connection = connect(gateway, forward)
    gateway.bench.clock.advance(2.0)
    connection._fail(Reason.UPSTREAM_RESET, "it failed")
    connection = connect(gateway, forward)
    gateway.bench.clock.advance(1.0)
    connection.data_received(OK)
    assert exchange.upstream_seconds == pytest.approx(3.0)


def test_a_client_that_leaves_during_a_retry_leaves_nothing_behind(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2})
    forward, _, exchange = gateway.begin()
    refuse(gateway)
    forward.abandon(Reason.CLIENT_CLOSED)
    assert (exchange.reason, exchange.status) == (Reason.CLIENT_CLOSED, 499)
    idle_everywhere(gateway)


def test_the_next_exchange_of_the_connection_starts_afresh(make_gateway: Make) -> None:
    gateway = with_upstream(make_gateway, retries={"attempts": 2})
    forward, _, _ = gateway.begin()
    refuse(gateway)
    connect(gateway, forward).data_received(OK)
    _, _, second = gateway.begin("one", forward)
    connection = forward._connection  # the idle one
    assert connection is not None
    connection._fail(Reason.UPSTREAM_RESET, "it failed", Retry.NEVER)
    connect(gateway, forward).data_received(OK)
    assert (second.reason, second.attempts) == (Reason.OK, 2)
    idle_everywhere(gateway)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"7", 7.0), (b" 7 ", 7.0), (b"0", 0.0), (b"", 0.0), (b"soon", 0.0), (b"-1", 0.0), (b"1.5", 0.0),
     (b"9" * 400, 999999999.0), (b"Tue, 14 Nov 2023 22:13:30 GMT", 10.0), (b"Tue, 14 Nov 2023 22:13:00 GMT", 0.0)],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_or_as_a_date(value: bytes, seconds: float) -> None:
    assert retry_after(ResponseHead(503, {b"retry-after": value}), 1_700_000_000.0) == seconds


def test_an_answer_without_retry_after_says_nothing() -> None:
    assert retry_after(ResponseHead(503, {}), 0.0) == 0.0



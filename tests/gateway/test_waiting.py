"""Policies that decide later: the exchange goes on where it stood, exactly once, or ends with its client."""

from __future__ import annotations

import pytest

from fastgw.errors import Reason
from fastgw.limiter.limit import Limit
from fastgw.limiter.limiter import Verdict
from fastgw.model.exchange import Exchange
from fastgw.model.messages import WAIT, Reply, RequestLine
from fastgw.policy.limits import LimitOptions, build_before
from tests.gateway.rig import Client, Gateway, Make

REFUSED = Reply(Reason.IP_DENIED, 403, "not from there")


class Scripted:
    """A policy that gives the next of its answers, and notes when it was asked."""

    def __init__(self, name: str, asked: list[str], *answers: Reply | None, skips: int = 0) -> None:
        self.name = name
        self.asked = asked
        self.answers = list(answers)
        self.skips = skips

    def check(self, exchange: Exchange, runtime: object) -> Reply | None:
        self.asked.append(self.name)
        exchange.step += self.skips
        return self.answers.pop(0) if self.answers else None


@pytest.fixture
def asked() -> list[str]:
    return []


def chained(gateway: Gateway, *policies: Scripted) -> None:
    gateway.route.chain = policies


def test_a_waiting_exchange_goes_on_behind_the_policy_that_waited(gateway: Gateway, asked: list[str]) -> None:
    chained(gateway, Scripted("a", asked), Scripted("b", asked, WAIT), Scripted("c", asked))
    _, client, exchange = gateway.run()
    assert asked == ["a", "b"]
    assert exchange.upstream == ""
    gateway.resume(exchange, None)
    assert asked == ["a", "b", "c"]
    assert exchange.upstream == "app"
    assert client.written == b""


@pytest.mark.parametrize("asked_for", [True, False])
def test_the_time_that_it_waited_is_shown_where_it_was_asked_for(
    asked_for: bool, make_gateway: Make, asked: list[str]
) -> None:
    gateway = make_gateway(server={"server_timing": asked_for})
    chained(gateway, Scripted("a", asked, WAIT), Scripted("b", asked, WAIT))
    _, client, exchange = gateway.run()
    for seconds in (0.25, 0.5):
        gateway.bench.clock.advance(seconds)
        gateway.resume(exchange, None if seconds == 0.25 else REFUSED)
    timing = b"gateway;dur=0.000, queue;dur=0.000, limiter;dur=750.000, upstream;dur=0.000\r\n"
    assert (timing in client.written) is asked_for


def test_it_can_wait_more_than_once(gateway: Gateway, asked: list[str]) -> None:
    chained(gateway, Scripted("a", asked, WAIT), Scripted("b", asked, WAIT))
    _, _, exchange = gateway.run()
    gateway.resume(exchange, None)
    assert exchange.upstream == ""
    gateway.resume(exchange, None)
    assert (asked, exchange.upstream) == (["a", "b"], "app")


def test_a_refusal_that_came_late_is_answered_and_accounted_once(gateway: Gateway, asked: list[str]) -> None:
    chained(gateway, Scripted("a", asked, WAIT), Scripted("b", asked))
    _, client, exchange = gateway.run()
    gateway.resume(exchange, REFUSED)
    assert client.written.startswith(b"HTTP/1.1 403 ")
    assert (client.ended, exchange.closed, gateway.engine.in_flight, gateway.route.in_flight) == (1, True, 0, 0)
    gateway.resume(exchange, None)
    assert asked == ["a"]
    assert client.ended == 1


def test_a_client_that_leaves_ends_what_waits(gateway: Gateway, asked: list[str]) -> None:
    chained(gateway, Scripted("a", asked, WAIT), Scripted("b", asked))
    forward, client, exchange = gateway.run()
    forward.abandon(Reason.CLIENT_CLOSED)
    assert (exchange.closed, exchange.status, exchange.reason) == (True, 499, Reason.CLIENT_CLOSED)
    assert gateway.engine.in_flight == 0
    gateway.resume(exchange, None)
    assert asked == ["a"]
    assert client.written == b""


def test_the_connection_serves_another_exchange_after_a_late_refusal(gateway: Gateway, asked: list[str]) -> None:
    chained(gateway, Scripted("a", asked, WAIT))
    forward, _, exchange = gateway.run()
    gateway.resume(exchange, REFUSED)
    gateway.begin("one", forward)
    assert gateway.engine.in_flight == 1


def test_a_policy_can_decide_for_those_behind_it(gateway: Gateway, asked: list[str]) -> None:
    chained(gateway, Scripted("a", asked, skips=1), Scripted("b", asked), Scripted("c", asked))
    gateway.run()
    assert asked == ["a", "c"]


def test_a_defect_behind_the_wait_costs_its_own_exchange(gateway: Gateway, asked: list[str]) -> None:
    class Broken(Scripted):
        def check(self, exchange: Exchange, runtime: object) -> Reply | None:
            raise ZeroDivisionError("a defect")

    class Noting(Client):
        def defect(self, error: Exception, exchange: Exchange) -> None:
            asked.append(type(error).__name__)

    chained(gateway, Scripted("a", asked, WAIT), Broken("b", asked))
    _, _, exchange = gateway.run(client=Noting())
    gateway.resume(exchange, None)
    assert asked == ["a", "ZeroDivisionError"]


def test_a_request_line_that_is_remembered_still_meets_the_policies(gateway: Gateway, asked: list[str]) -> None:
    chained(gateway, Scripted("a", asked, None, REFUSED))
    line = RequestLine(b"GET", b"/", b"", False, None)
    gateway.run(line=line)
    assert line.direct is gateway.route
    _, client, _ = gateway.run(line=line)
    assert asked == ["a", "a"]
    assert client.written.startswith(b"HTTP/1.1 403 ")


# --- limits of the gateway as a whole ---------------------------------------------------------------------------------


FLOOD = Limit(b"/flood", "flood", 1.0, 1.0, "local", False, False)


def verdict(admitted: bool, mode: str = "redis") -> Verdict:
    refused = () if admitted else (FLOOD,)
    return Verdict(admitted, refused, (), b'RateLimit: "flood";r=0;t=1\r\n', 7, mode)


@pytest.fixture
def limited(make_gateway: Make) -> Gateway:
    gateway = make_gateway()
    options = LimitOptions.model_validate({"name": "flood", "key": "client_ip", "rate": "1/s", "burst": 1})
    gateway.snapshot.limits = build_before("", [options], "local", None)
    return gateway


def test_unknown_paths_are_limited_too(limited: Gateway) -> None:
    limited.limiter.verdict = verdict(False)
    _, client, exchange = limited.run(method=b"BREW", path=b"/nowhere")
    assert client.written.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nRetry-After: 7\r\n" in client.written
    assert b'\r\nRateLimit: "flood";r=0;t=1\r\n' in client.written
    assert b'\r\nRateLimit-Policy: "flood";q=1;w=1\r\n' in client.written
    assert b'"violated-policies":["flood"]' in client.written
    assert (exchange.rule, exchange.limit, exchange.route) == ("flood", "flood", None)
    assert limited.limiter.asked == [(("flood",), [client.peer])]


def test_routing_follows_the_answer_of_the_store(limited: Gateway) -> None:
    _, client, exchange = limited.run()
    assert exchange.route is None
    limited.limiter.answer(verdict(True))
    assert exchange.route is limited.route
    assert exchange.upstream == "app"
    _, client, exchange = limited.run()
    limited.limiter.answer(verdict(False))
    assert client.written.startswith(b"HTTP/1.1 429 ")


def test_a_remembered_request_line_is_no_way_around_them(limited: Gateway) -> None:
    line = RequestLine(b"GET", b"/", b"", False, None)
    limited.limiter.verdict = verdict(True)
    limited.run(line=line)
    assert line.direct is limited.route
    limited.limiter.verdict = verdict(False)
    _, client, _ = limited.run(line=line)
    assert client.written.startswith(b"HTTP/1.1 429 ")


def test_the_health_path_is_not_limited(limited: Gateway) -> None:
    limited.limiter.verdict = verdict(False)
    _, client, _ = limited.run(path=b"/healthz", client=Client(health_path=b"/healthz"))
    assert client.written.startswith(b"HTTP/1.1 200 ")
    assert limited.limiter.asked == []


def test_a_store_that_is_away_is_no_fault_of_the_client(limited: Gateway) -> None:
    limited.limiter.verdict = verdict(False, "deny")
    _, client, exchange = limited.run()
    assert client.written.startswith(b"HTTP/1.1 503 ")
    assert exchange.reason is Reason.LIMIT_STORE_DOWN


def test_what_was_decided_is_counted_by_limit_outcome_and_mode(limited: Gateway) -> None:
    for admitted in (True, True, False):
        limited.limiter.verdict = verdict(admitted)
        limited.run()
    assert list(limited.runtime.decisions.take()) == [
        ("-", ("flood",), "admitted", "redis", 2),
        ("-", ("flood",), "refused", "redis", 1),
    ]
    assert list(limited.runtime.decisions.take()) == []

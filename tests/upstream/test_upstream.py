"""Which target gets the next attempt while some of them are not as they should be, and what the circuits hear."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from fastgw.model.exchange import Exchange
from fastgw.upstream.breaker import CLOSED, HALF_OPEN, OPEN, Transition
from fastgw.upstream.target import LONGEST_REST, MAX_UNHEARD, Target
from fastgw.upstream.upstream import Upstream
from tests.upstream.fakes import Bench, upstream

ONE, TWO, THREE = (f"http://127.0.0.1:900{n}" for n in (1, 2, 3))
BREAKER = {"failures": 3, "open_for": "5s", "successes": 1, "min_requests": 1000}


@pytest.fixture
def said() -> list[tuple[str, str, Transition]]:
    return []


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange(None, b"GET", b"/", b"", False, 0.0, 0)
    made.client = b"192.0.2.7"
    return made


def made(bench: Bench, said: list[tuple[str, str, Transition]], *urls: str, **options: Any) -> Upstream:
    options = {"balance": "round_robin", **options}
    return Upstream(
        upstream("app", list(urls), **options), bench.shared, Random(1).random, lambda *words: said.append(words)
    )


def chosen(app: Upstream, exchange: Exchange, now: float, times: int = 12, **how: Any) -> set[str]:
    found = [app.choose(exchange, now, **how) for _ in range(times)]
    return {target.label[-4:] for target in found if target is not None}


def fail(app: Upstream, target: Target, now: float, times: int = 3) -> None:
    """Failures that only the breaker hears of."""
    for _ in range(times):
        assert target.breaker is not None
        app.settle(target, 0, target.breaker.admit(now), False, now, "connect_refused")


def test_all_that_are_fit_get_their_share(bench: Bench, said: Any, exchange: Exchange) -> None:
    app = made(bench, said, ONE, TWO, THREE)
    assert chosen(app, exchange, 0.0) == {"9001", "9002", "9003"}


def test_the_one_that_just_failed_comes_last(bench: Bench, said: Any, exchange: Exchange) -> None:
    app = made(bench, said, ONE, TWO)
    first = app.targets[0]
    assert chosen(app, exchange, 0.0, exclude=first) == {"9002"}
    app = made(bench, said, ONE)
    assert chosen(app, exchange, 0.0, exclude=app.targets[0]) == {"9001"}


def test_health_takes_a_target_out_and_never_the_last(bench: Bench, said: Any, exchange: Exchange) -> None:
    app = made(bench, said, ONE, TWO)
    app.set_health("127.0.0.1", 9001, "127.0.0.1", False)
    assert chosen(app, exchange, 0.0) == {"9002"}
    app.set_health("127.0.0.1", 9002, "127.0.0.1", False)
    assert chosen(app, exchange, 0.0) == {"9001", "9002"}
    app.set_health("127.0.0.1", 9001, "127.0.0.1", True)
    assert chosen(app, exchange, 0.0) == {"9001"}


def test_health_of_an_address_that_comes_later_is_remembered(bench: Bench, said: Any, exchange: Exchange) -> None:
    app = made(bench, said, "http://app.test:80")
    app.set_health("app.test", 80, "192.0.2.1", False)
    app.resolve("app.test", 80, ("192.0.2.1", "192.0.2.2"), None)
    assert [target.healthy for target in app.targets] == [False, True]


def test_a_silent_target_gets_no_more_than_a_few(bench: Bench, said: Any, exchange: Exchange) -> None:
    app = made(bench, said, ONE, TWO)
    silent = app.targets[0]
    silent.unheard = MAX_UNHEARD
    assert chosen(app, exchange, 0.0) == {"9002"}
    app.targets[1].unheard = MAX_UNHEARD
    assert chosen(app, exchange, 0.0) == {"9001", "9002"}


def test_a_silent_one_is_better_than_one_that_rests(bench: Bench, said: Any, exchange: Exchange) -> None:
    """A burst on the only good target must not send its rest to the one that is known to be dead."""
    app = made(bench, said, ONE, TWO)
    dead, busy = app.targets
    dead.failed(0.0, silent=True)
    busy.unheard = MAX_UNHEARD
    assert chosen(app, exchange, 0.5) == {"9002"}


def test_an_open_circuit_takes_a_target_out_until_a_probe_is_due(bench: Bench, said: Any, exchange: Exchange) -> None:
    app = made(bench, said, ONE, TWO, breaker=BREAKER)
    now = bench.clock.now()
    first = app.targets[0]
    fail(app, first, now)
    assert first.breaker is not None and first.breaker.state is OPEN
    assert [(name, label, change.state) for name, label, change in said] == [("app", "127.0.0.1:9001", OPEN)]
    assert chosen(app, exchange, now) == {"9002"}
    later = now + 6.0
    assert chosen(app, exchange, later, trial=False) == {"9002"}
    assert app.choose(exchange, later) is first
    ticket = first.breaker.admit(later)
    assert ticket and first.breaker.state is HALF_OPEN
    assert chosen(app, exchange, later) == {"9002"}, "one probe at a time"
    app.settle(first, 0, ticket, True, later)
    assert first.breaker.state is CLOSED
    assert chosen(app, exchange, later) == {"9001", "9002"}


def test_a_trial_that_only_unrepeatable_requests_could_make_is_made_in_the_end(
    bench: Bench, said: Any, exchange: Exchange
) -> None:
    app = made(bench, said, ONE, TWO)
    first = app.targets[0]
    first.failed(0.0, silent=True)
    assert chosen(app, exchange, 5.0, trial=False) == {"9002"}
    assert chosen(app, exchange, 5.0 + LONGEST_REST - 0.1, trial=False) == {"9002"}
    assert app.choose(exchange, 5.0 + LONGEST_REST, trial=False) is first
    first.unheard += 1
    assert chosen(app, exchange, 5.0 + LONGEST_REST, trial=False) == {"9002"}


def test_one_target_that_fails_leaves_the_circuit_of_its_upstream_alone(bench: Bench, said: Any) -> None:
    app = made(bench, said, ONE, TWO, breaker=BREAKER)
    now = bench.clock.now()
    bad, good = app.targets
    upstreams, own = app.breaker, bad.breaker
    assert upstreams is not None and own is not None
    for _ in range(5):
        app.settle(bad, upstreams.admit(now), own.admit(now), False, now, "response_timeout")
    assert (upstreams.state, own.state) == (CLOSED, OPEN)
    good.failed(now)  # now none of them answers
    for _ in range(3):
        app.settle(bad, upstreams.admit(now), 0, False, now, "response_timeout")
    assert upstreams.state is OPEN


def test_with_every_circuit_open_there_is_none_and_a_true_time(bench: Bench, said: Any, exchange: Exchange) -> None:
    app = made(bench, said, ONE, TWO, breaker=BREAKER)
    now = bench.clock.now()
    for target in app.targets:
        fail(app, target, now)
    assert app.choose(exchange, now) is None
    assert 1 <= app.retry_after(now) <= 6
    assert app.choose(exchange, now + app.retry_after(now)) is not None


def test_an_open_circuit_is_not_the_last_resort_but_an_unhealthy_target_is(
    bench: Bench, said: Any, exchange: Exchange
) -> None:
    app = made(bench, said, ONE, TWO, breaker=BREAKER)
    now = bench.clock.now()
    fail(app, app.targets[0], now)
    app.set_health("127.0.0.1", 9002, "127.0.0.1", False)
    assert chosen(app, exchange, now) == {"9002"}


def test_a_target_that_returns_starts_slowly(bench: Bench, said: Any, exchange: Exchange) -> None:
    app = made(bench, said, ONE, TWO, slow_start="10s")
    assert [target.share for target in app.targets] == [1.0, 1.0], "not at the start of the gateway"
    app.set_health("127.0.0.1", 9001, "127.0.0.1", False)
    app.set_health("127.0.0.1", 9001, "127.0.0.1", True)
    assert app.targets[0].share < 0.2
    assert not app.calm
    bench.clock.advance(20.0)
    app.tick(bench.clock.now())
    assert app.targets[0].share == 1.0
    assert app.calm


def test_a_single_target_has_the_circuit_of_its_upstream(bench: Bench, said: Any) -> None:
    app = made(bench, said, ONE, breaker=BREAKER)
    assert app.breaker is not None and app.targets[0].breaker is None
    app.force("127.0.0.1:9001", "open", 2000.0, 1000.0)
    assert app.breaker.state is CLOSED, "a word about a target is none about its upstream"


def test_an_operator_opens_closes_and_lets_go(bench: Bench, said: Any, exchange: Exchange) -> None:
    app = made(bench, said, ONE, TWO, breaker=BREAKER)
    now = bench.clock.now()
    app.force("127.0.0.1:9002", "open", now + 60.0, now)
    assert chosen(app, exchange, now) == {"9001"}
    app.force("127.0.0.1:9002", "auto", 0.0, now)
    app.force("127.0.0.1:9009", "open", now + 60.0, now)  # gone: nothing happens
    app.force("", "open", now + 60.0, now)
    assert app.breaker is not None and app.breaker.state is OPEN
    assert [change.forced for _, label, change in said if not label] == [True]


def test_forcing_what_is_closed_does_not_start_it_again(bench: Bench, said: Any) -> None:
    app = made(bench, said, ONE, TWO, breaker=BREAKER, slow_start="10s")
    now = bench.clock.now()
    target = app.targets[0]
    target.ewma = 0.5
    app.force(target.label, "closed", now + 9.0, now)
    app.force(target.label, "auto", 0.0, now)
    assert (target.ewma, target.share) == (0.5, 1.0)


def test_a_reload_keeps_the_state_of_circuits_and_of_what_stays(bench: Bench, said: Any) -> None:
    app = made(bench, said, ONE, TWO, breaker=BREAKER)
    now = bench.clock.now()
    fail(app, app.targets[0], now)
    kept = app.targets[0]
    app.configure(upstream("app", [ONE, THREE], breaker={**BREAKER, "failures": 9}, slow_start="10s"))
    assert app.targets[0] is kept
    assert kept.breaker is not None and kept.breaker.state is OPEN
    assert app.targets[1].share < 0.2, "one that joins others starts slowly"
    app.configure(upstream("app", [ONE, THREE]))
    assert app.breaker is None and kept.breaker is None


def test_hashing_keeps_a_caller_at_its_target(bench: Bench, said: Any, exchange: Exchange) -> None:
    app = made(bench, said, ONE, TWO, THREE, balance="hash")
    first = app.choose(exchange, 0.0)
    assert all(app.choose(exchange, 0.0) is first for _ in range(20))
    callers = set()
    for number in range(40):
        exchange.client = b"192.0.2.%d" % number
        found = app.choose(exchange, 0.0)
        assert found is not None
        callers.add(found.label)
    assert len(callers) == 3

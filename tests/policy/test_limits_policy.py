"""The policy: which limits concern a request, by which value, in one question or two, and what becomes of the answer."""

from __future__ import annotations

from typing import Any

import pytest

from fastgw.errors import Reason
from fastgw.http1.fields import FieldParser
from fastgw.http1.request import parse_request_block
from fastgw.limiter.limit import Limit
from fastgw.limiter.limiter import Verdict
from fastgw.model.exchange import Exchange
from fastgw.model.identity import NEVER_EXPIRES, Identity
from fastgw.model.messages import WAIT, Reply
from fastgw.policy.limits import LimitOptions, Limits, address_key, build_after, build_before
from fastgw.policy.runtime import Decisions


class Clock:
    def now(self) -> float:
        return 5.0

    def wall(self) -> float:
        return 1000.0


class Store:
    """Answers every question with the same verdict, or later."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[Limit, ...], list[bytes]]] = []
        self.admits = True
        self.later = False
        self.shadow: tuple[str, ...] = ()
        self.waiting: list[Any] = []

    def decide(self, limits: tuple[Limit, ...], values: list[bytes], waiter: Any, now: float) -> Verdict | None:
        self.asked.append((limits, list(values)))
        if self.later:
            self.waiting.append(waiter)
            return None
        return self.verdict(limits)

    def verdict(self, limits: tuple[Limit, ...]) -> Verdict:
        refused = () if self.admits else limits[:1]
        shadowed = tuple(limit for limit in limits if limit.name in self.shadow)
        return Verdict(self.admits, refused, shadowed, b"L: 1\r\n", 3, "redis")


class Runtime:
    def __init__(self) -> None:
        self.limiter = Store()
        self.clock = Clock()
        self.decisions = Decisions()
        self.now = self.clock.now
        self.resumed: list[tuple[Exchange, Reply | None]] = []

    def resume(self, exchange: Exchange, reply: Reply | None) -> None:
        self.resumed.append((exchange, reply))


class Known:
    def __init__(self, identity: Identity | None) -> None:
        self.identity = identity

    def peek(self, exchange: Exchange, runtime: object) -> Identity | None:
        return self.identity


@pytest.fixture
def runtime() -> Any:
    return Runtime()


def limit(name: str = "a", key: str = "client_ip", **more: Any) -> LimitOptions:
    return LimitOptions.model_validate({"name": name, "key": key, "rate": "10/s", "burst": 20, **more})


def exchange(client: bytes = b"192.0.2.1", method: bytes = b"GET", lines: bytes = b"") -> Exchange:
    head = parse_request_block(b"Host: a\r\n" + lines, FieldParser())
    made = Exchange(head, method, b"/", b"", False, 5.0, 0)
    made.client = client
    return made


def identity(consumer: str = "app", tier: str = "", **claims: str) -> Identity:
    return Identity(consumer, "", tier, frozenset(), claims, NEVER_EXPIRES)


def policy(*options: LimitOptions, peek: Known | None = None) -> Limits:
    made = build_before("r", options, "local", peek) or build_after("r", options, "local")
    assert made is not None
    return made


def asked(runtime: Any) -> list[tuple[list[str], list[bytes]]]:
    return [([each.name for each in limits], values) for limits, values in runtime.limiter.asked]


# --- what a limit is keyed by -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "key"),
    [
        (b"192.0.2.1", b"192.0.2.1"),
        (b"unix", b"unix"),
        (b"2001:db8:1:2:3:4:5:6", b"20010db800010002/64"),
        (b"2001:db8:1:2::ffff", b"20010db800010002/64"),
        (b"::1", b"0000000000000000/64"),
    ],
)
def test_an_address_is_itself_and_of_ipv6_the_64(client: bytes, key: bytes) -> None:
    assert address_key(exchange(client)) == key


def test_neighbours_in_another_64_have_another_bucket() -> None:
    assert address_key(exchange(b"2001:db8:1:2::1")) != address_key(exchange(b"2001:db8:1:3::1"))


def test_what_is_no_address_after_all_still_makes_a_bounded_key() -> None:
    assert address_key(exchange(b"x:" + b"y" * 500)).startswith(b"#")


def test_a_header_is_the_key_whatever_stands_in_it(runtime: Any) -> None:
    made = policy(limit(key="header:X-Tenant"))
    for value in (b"blue", b"x" * 5000, b"{evil}"):
        made.check(exchange(lines=b"X-Tenant: " + value + b"\r\n"), runtime)
    made.check(exchange(), runtime)
    values = [values[0] for _, values in asked(runtime)]
    assert values[0] == b"blue"
    assert values[3] == b"-"
    assert all(len(value) <= 64 and b"{" not in value for value in values)
    assert len(set(values)) == 4


def test_a_route_has_one_bucket_for_all(runtime: Any) -> None:
    made = policy(limit(key="route"))
    made.check(exchange(b"192.0.2.1"), runtime)
    made.check(exchange(b"192.0.2.2"), runtime)
    assert [values for _, values in asked(runtime)] == [[b"-"], [b"-"]]


def test_consumers_and_claims_come_from_the_credential(runtime: Any) -> None:
    made = policy(limit("who", "consumer"), limit("org", "claim:org"))
    one = exchange()
    one.identity = identity("app", org="acme")
    made.check(one, runtime)
    made.check(exchange(), runtime)
    assert asked(runtime) == [(["who", "org"], [b"app", b"acme"]), (["who", "org"], [b"-", b"-"])]


# --- which limits -----------------------------------------------------------------------------------------------------


def test_methods_choose_the_limits(runtime: Any) -> None:
    made = policy(limit("all"), limit("writes", methods=["POST"]), limit("reads", methods=["GET"]))
    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"BREW"):
        made.check(exchange(method=method), runtime)
    names = [names for names, _ in asked(runtime)]
    assert names == [["all", "reads"], ["all", "reads"], ["all", "writes"], ["all"], ["all"]]


def test_no_limit_for_a_method_is_no_question(runtime: Any) -> None:
    made = policy(limit("writes", methods=["POST"]))
    assert made.check(exchange(), runtime) is None
    assert asked(runtime) == []


def test_a_tier_has_its_own_rate_and_the_same_bucket(runtime: Any) -> None:
    made = policy(limit("who", "consumer", tiers={"gold": "5000/s"}))
    for tier in ("", "gold", "bronze"):
        one = exchange()
        one.identity = identity("app", tier)
        made.check(one, runtime)
    limits = [limits[0] for limits, _ in runtime.limiter.asked]
    assert [each.rate for each in limits] == [10.0, 5000.0, 10.0]
    assert len({each.id for each in limits}) == 1
    assert [each.leases for each in limits] == [False, True, False]


@pytest.mark.parametrize(
    ("rate", "lease", "leases"), [("999/s", "auto", False), ("1000/s", "auto", True), ("1000/s", "off", False)]
)
def test_only_fast_limits_are_leased_where_that_is_wanted(rate: str, lease: str, leases: bool, runtime: Any) -> None:
    policy(limit(rate=rate, lease=lease)).check(exchange(), runtime)
    assert runtime.limiter.asked[0][0][0].leases is leases


def test_the_default_for_a_store_that_is_away_can_be_overruled(runtime: Any) -> None:
    made = build_before("r", [limit("a"), limit("b", on_error="deny")], "allow", None)
    assert made is not None
    made.check(exchange(), runtime)
    assert [each.on_error for each in runtime.limiter.asked[0][0]] == ["allow", "deny"]


# --- both phases in one question --------------------------------------------------------------------------------------


def test_a_known_credential_decides_both_phases_at_once(runtime: Any) -> None:
    who = identity("app", "gold")
    made = policy(limit("address"), limit("who", "consumer", tiers={"gold": "77/s"}), peek=Known(who))
    one = exchange()
    assert made.check(one, runtime) is None
    assert asked(runtime) == [(["address", "who"], [b"192.0.2.1", b"app"])]
    assert runtime.limiter.asked[0][0][1].rate == 77.0
    assert (one.identity, one.step) == (who, 2)


def test_an_unknown_one_decides_only_the_first(runtime: Any) -> None:
    made = policy(limit("address"), limit("who", "consumer"), peek=Known(None))
    one = exchange()
    made.check(one, runtime)
    assert asked(runtime) == [(["address"], [b"192.0.2.1"])]
    assert (one.identity, one.step) == (None, 0)


def test_nothing_is_skipped_where_nothing_follows(runtime: Any) -> None:
    made = policy(limit("address"), peek=Known(identity()))
    one = exchange()
    made.check(one, runtime)
    assert (one.identity, one.step) == (None, 0)


def test_the_phases_have_no_limit_in_common() -> None:
    only_after = [limit("who", "consumer")]
    assert build_before("r", only_after, "local", None) is None
    assert build_after("r", [limit("a"), limit("b", "route"), limit("c", "header:x")], "local") is None
    assert build_before("r", [], "local", None) is None


# --- the answer -------------------------------------------------------------------------------------------------------


def test_an_admitted_answer_carries_the_fields(runtime: Any) -> None:
    made = policy(limit("a", burst=25))
    one = exchange()
    one.answer_lines = b"Vary: Origin\r\n"
    assert made.check(one, runtime) is None
    assert one.answer_lines == b'Vary: Origin\r\nRateLimit-Policy: "a";q=25;w=3\r\nL: 1\r\n'
    assert one.limit == ""


def test_a_refusal_names_the_limit_and_the_time(runtime: Any) -> None:
    runtime.limiter.admits = False
    one = exchange()
    reply = policy(limit("a")).check(one, runtime)
    assert reply is not None
    assert (reply.reason, reply.status, reply.rule, one.limit) == (Reason.RATE_LIMITED, 429, "a", "a")
    assert reply.headers == b"Retry-After: 3\r\n"
    assert reply.members == {"violated-policies": ["a"]}
    assert one.answer_lines


def test_a_shadow_says_what_it_would_have_done_and_does_nothing(runtime: Any) -> None:
    runtime.limiter.shadow = ("s",)
    made = policy(limit("a"), limit("s", mode="shadow"))
    one = exchange()
    assert made.check(one, runtime) is None
    assert one.limit == "s"
    assert b'"s"' not in one.answer_lines
    assert [each.shadow for each in runtime.limiter.asked[0][0]] == [False, True]
    assert list(runtime.decisions.take()) == [
        ("r", ("a", "s"), "admitted", "redis", 1),
        ("r", ("s",), "shadow", "redis", 1),
    ]


def test_an_answer_that_comes_later_resumes_its_own_exchange(runtime: Any) -> None:
    runtime.limiter.later = True
    made = policy(limit("a"))
    first, second = exchange(b"192.0.2.1"), exchange(b"192.0.2.2")
    assert made.check(first, runtime) is WAIT
    assert made.check(second, runtime) is WAIT
    one, other = runtime.limiter.waiting
    limits = runtime.limiter.asked[0][0]
    other.on_verdict(runtime.limiter.verdict(limits))
    runtime.limiter.admits = False
    assert not one.closed
    one.on_verdict(runtime.limiter.verdict(limits))
    assert [each for each, _ in runtime.resumed] == [second, first]
    assert runtime.resumed[0][1] is None
    refusal = runtime.resumed[1][1]
    assert refusal is not None
    assert refusal.status == 429
    second.closed = True
    assert other.closed

"""How often a caller may come (design section 8): what an operator can say, and the policy. Buckets are limiter/'s.

A route has up to two of these policies: before authentication for limits keyed by address, header or route, after it
for those keyed by consumer or claim. Where the credential is already known both are decided in one go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from socket import AF_INET6, inet_pton
from typing import Annotated, Final, Protocol

from pydantic import Field, PlainValidator, WithJsonSchema

from fastgw.config.errors import shown
from fastgw.config.fields import List, Method, Name, RateField, integer, one_of
from fastgw.config.options import Options, wrong
from fastgw.errors import STATUS, Reason
from fastgw.limiter.limit import Limit
from fastgw.limiter.limiter import Verdict
from fastgw.model.exchange import WOULD_REFUSE, Exchange
from fastgw.model.identity import Identity, bounded
from fastgw.model.messages import WAIT, Reply
from fastgw.policy.mode import ENFORCE, SHADOW, Mode
from fastgw.policy.runtime import Decisions, Runtime

LEASED_FROM: Final = 1000.0  # tokens a second: below it a lease would be a noticeable part of the limit
MAX_REPLIES: Final = 64  # 429s kept with a plan: they differ in the limits that refused and in Retry-After
_NOBODY: Final = b"-"  # the one bucket of all requests that lack what the limit is keyed by
_AFTER_AUTH: Final = ("consumer", "claim:")


def _key(value: object) -> str:
    if type(value) is str and (
        value in ("client_ip", "consumer", "route")
        or re.fullmatch(r"(?:claim|header):[A-Za-z0-9._:/-]+", value)
    ):
        return value
    raise wrong(
        f"{shown(value)} is not right here; write client_ip, consumer, claim:<name>, header:<name> or route"
    )


OnError = Annotated[str, *one_of("local", "allow", "deny")]


class LimitOptions(Options):
    name: Name
    key: Annotated[str, PlainValidator(_key), WithJsonSchema({"type": "string"})]
    rate: RateField
    burst: Annotated[int, *integer(1, 1_000_000_000)]
    tiers: dict[str, RateField] = Field({}, description="a consumer's tier and its rate")
    methods: List[Method] = ()
    lease: Annotated[str, *one_of("auto", "off")] = "auto"
    on_error: OnError | None = None
    mode: Mode = ENFORCE


class LimitsDefaultsOptions(Options):
    on_error: OnError = "local"


class Peek(Protocol):
    """The authentication of the same route: who the caller is, if that is known without work."""

    def peek(self, exchange: Exchange, runtime: Runtime) -> Identity | None: ...


Value = Callable[[Exchange], bytes]


class Plan:
    """The limits that concern one kind of request, and what to say about them. `counts`, by mode of the store, binds
    it to this worker, as `Route.tally` does a route: a tuple as the key of one table would be hashed anew each time."""

    __slots__ = ("counts", "first", "limits", "names", "policy_lines", "replies", "route", "second", "values")

    def __init__(self, route: str, limits: Sequence[Limit], values: Sequence[Value]) -> None:
        self.route = route
        self.limits = tuple(limits)
        self.values = tuple(values)
        self.first = values[0]
        self.second = values[1] if len(values) == 2 else None  # the usual numbers, without a comprehension's frame
        self.names = tuple(limit.name for limit in limits)
        # draft-ietf-httpapi-ratelimit-headers: the quota and the window in which a whole one comes back.
        self.policy_lines = b"".join(
            b'RateLimit-Policy: "%s";q=%d;w=%d\r\n'
            % (limit.name.encode(), int(limit.burst), ceil(limit.burst / limit.rate))
            for limit in limits
            if not limit.shadow
        )
        self.counts: dict[str, int] | None = None
        self.replies: dict[tuple[tuple[Limit, ...], int], Reply] = {}  # 429s that were made, for the next one


class Plans:
    """Which plan a request follows, by its method and its caller's tier."""

    __slots__ = ("_base", "_only", "_tiers")

    def __init__(self, route: str, options: Iterable[LimitOptions], on_error: str) -> None:
        made = tuple(options)
        names = {tier for each in made for tier in each.tiers}
        self._base = _by_method(route, made, on_error, "")
        self._tiers = {tier: _by_method(route, made, on_error, tier) for tier in names}
        self._only: Plan | None = self._base[b""] if not names and len(self._base) == 1 else None

    def find(self, exchange: Exchange) -> Plan | None:
        """None where no limit concerns this method."""
        if self._only is not None:
            return self._only
        identity = exchange.identity
        table = self._base if identity is None else self._tiers.get(identity.tier, self._base)
        method = exchange.method
        return table[method] if method in table else table[b""]


class Limits:
    """The policy of one phase; `span` policies of the chain follow that a decision on both phases skips."""

    __slots__ = ("_both", "_own", "_peek", "_span", "_spare")

    def __init__(self, own: Plans, both: Plans | None = None, peek: Peek | None = None, span: int = 0) -> None:
        self._own = own
        self._both = both
        self._peek = peek
        self._span = span
        self._spare: Pending | None = None  # a record that was not needed, for the next exchange

    def check(self, exchange: Exchange, runtime: Runtime) -> Reply | None:
        """Hot. WAIT where the store must be asked."""
        plans = self._own
        if self._peek is not None and self._both is not None:
            identity = self._peek.peek(exchange, runtime)
            if identity is not None:
                exchange.identity = identity
                exchange.step += self._span
                plans = self._both
        plan = plans.find(exchange)
        if plan is None:
            return None
        pending = self._spare
        if pending is None:
            pending = self._spare = Pending()
        if plan.second is not None:
            values: Sequence[bytes] = (plan.first(exchange), plan.second(exchange))
        elif len(plan.values) == 1:
            values = (plan.first(exchange),)
        else:
            values = [value(exchange) for value in plan.values]
        pending.exchange = exchange
        verdict = runtime.limiter.decide(plan.limits, values, pending, runtime.now())
        if verdict is None:
            self._spare = None
            pending.plan = plan
            pending.runtime = runtime
            return WAIT
        pending.exchange = None  # kept alive until the next one it would cost 0.7 us: its memory is no longer warm
        return settle(exchange, plan, verdict, runtime)


class Pending:
    """An exchange that waits for the store."""

    __slots__ = ("exchange", "plan", "runtime")

    exchange: Exchange | None
    plan: Plan
    runtime: Runtime

    @property
    def closed(self) -> bool:
        return self.exchange is None or self.exchange.closed

    def on_verdict(self, verdict: Verdict) -> None:
        exchange = self.exchange
        if exchange is not None:
            self.runtime.resume(exchange, settle(exchange, self.plan, verdict, self.runtime))


def settle(exchange: Exchange, plan: Plan, verdict: Verdict, runtime: Runtime) -> Reply | None:
    """What a verdict means for its exchange: lines for its answer, counts, and the refusal if it is one."""
    exchange.answer_lines += plan.policy_lines + verdict.lines
    if verdict.admitted:
        counts = plan.counts
        if counts is None:
            counts = plan.counts = runtime.decisions.admitted(plan.route, plan.names)
        counts[verdict.mode] += 1
        if verdict.shadowed:
            _note(exchange, plan, verdict.shadowed, SHADOW, verdict.mode, runtime.decisions)
        return None
    _note(exchange, plan, verdict.refused, "refused", verdict.mode, runtime.decisions)
    if verdict.mode == "deny":
        return Reply(
            Reason.LIMIT_STORE_DOWN,
            STATUS[Reason.LIMIT_STORE_DOWN],
            "the store of the limits does not answer, and this limit does without it only by refusing",
            rule=verdict.refused[0].name,
        )
    reply = plan.replies.get((verdict.refused, verdict.retry_after))
    return reply if reply is not None else _rate_limited(plan, verdict)


def _rate_limited(plan: Plan, verdict: Verdict) -> Reply:
    names = [limit.name for limit in verdict.refused]
    reply = Reply(
        Reason.RATE_LIMITED,
        STATUS[Reason.RATE_LIMITED],
        "more requests than the limit allows; come back after Retry-After seconds",
        rule=names[0],
        headers=b"Retry-After: %d\r\n" % verdict.retry_after,
        members={"violated-policies": names},
    )
    if len(plan.replies) >= MAX_REPLIES:
        plan.replies.clear()
    plan.replies[(verdict.refused, verdict.retry_after)] = reply
    return reply


def _note(
    exchange: Exchange, plan: Plan, limits: Sequence[Limit], outcome: str, mode: str, decisions: Decisions
) -> None:
    exchange.limit = limits[0].name
    if outcome == SHADOW and not exchange.rule:
        exchange.rule = WOULD_REFUSE + exchange.limit
    decisions.count(plan.route, tuple(limit.name for limit in limits), outcome, mode)


# --- compiling -------------------------------------------------------------------------------------------------------


def is_after_auth(options: LimitOptions) -> bool:
    return options.key.startswith(_AFTER_AUTH)


def build_before(
    route: str, limits: Sequence[LimitOptions], on_error: str, peek: Peek | None
) -> Limits | None:
    """The policy of phase 4 (and of the gateway as a whole, whose `route` is empty). `peek`: the route's
    authentication, which directly follows in the chain."""
    before = [each for each in limits if not is_after_auth(each)]
    if not before:
        return None
    after = [each for each in limits if is_after_auth(each)]
    own = Plans(route, before, on_error)
    if peek is None or not after:
        return Limits(own)
    return Limits(own, Plans(route, [*before, *after], on_error), peek, span=2)


def build_after(route: str, limits: Sequence[LimitOptions], on_error: str) -> Limits | None:
    """The policy of phase 6."""
    after = [each for each in limits if is_after_auth(each)]
    return Limits(Plans(route, after, on_error)) if after else None


def _by_method(
    route: str, options: Sequence[LimitOptions], on_error: str, tier: str
) -> dict[bytes, Plan | None]:
    """Plans by method; the one under the empty name is for all methods that no limit names. None: no limit."""
    methods = {method for each in options for method in _methods(each)}
    table: dict[bytes, Plan | None] = {}
    for method in ("", *methods):
        chosen = [each for each in options if not each.methods or method in _methods(each)]
        table[method.encode()] = (
            Plan(
                route or "-",
                [_limit(route, each, on_error, tier) for each in chosen],
                [_value(each.key) for each in chosen],
            )
            if chosen
            else None
        )
    return table


def _methods(options: LimitOptions) -> tuple[str, ...]:
    """GET includes HEAD, as everywhere."""
    return (*options.methods, "HEAD") if "GET" in options.methods else tuple(options.methods)


def _limit(route: str, options: LimitOptions, on_error: str, tier: str) -> Limit:
    rate = options.tiers.get(tier, options.rate).per_second
    return Limit(
        f"{route}/{options.name}".encode(),
        options.name,
        rate,
        float(options.burst),
        options.on_error or on_error,
        options.lease == "auto" and rate >= LEASED_FROM,
        options.mode == SHADOW,
    )


def _value(key: str) -> Value:
    if key == "client_ip":
        return address_key
    if key == "consumer":
        return _consumer
    if key == "route":
        return _everybody
    kind, _, name = key.partition(":")
    return Claim(name) if kind == "claim" else HeaderField(name.lower().encode())


def address_key(exchange: Exchange) -> bytes:
    """The client's address; of IPv6 the /64, which is what one subscriber has (RFC 6177)."""
    client = exchange.client
    if b":" not in client:
        return client
    try:
        return inet_pton(AF_INET6, client.decode("ascii"))[:8].hex().encode() + b"/64"
    except (OSError, ValueError):
        return bounded(client)


def _consumer(exchange: Exchange) -> bytes:
    identity = exchange.identity
    return _NOBODY if identity is None else identity.key


def _everybody(exchange: Exchange) -> bytes:
    return _NOBODY


class Claim:
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, exchange: Exchange) -> bytes:
        identity = exchange.identity
        value = identity.claims.get(self._name) if identity is not None else None
        return bounded(value.encode("utf-8", "replace")) if value else _NOBODY


class HeaderField:
    __slots__ = ("_name",)

    def __init__(self, name: bytes) -> None:
        self._name = name

    def __call__(self, exchange: Exchange) -> bytes:
        head = exchange.head
        value = head.fields.get(self._name) if head is not None else None
        return bounded(value) if value else _NOBODY

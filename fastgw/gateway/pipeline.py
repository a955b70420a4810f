"""Run an exchange through the phases, and send the answers that the gateway makes itself.

What lives here: admission, routing, the chain, local replies. What may not: bytes of the client (edge), attempts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastgw.errors import STATUS, HttpError, Reason, Source
from fastgw.gateway.heads import client_address, rewritten_answer, timing_line
from fastgw.http1 import rules, writer
from fastgw.model.exchange import Exchange
from fastgw.model.messages import WAIT, Reply, RequestHead
from fastgw.model.route import Route
from fastgw.routing.table import MethodNotAllowed

if TYPE_CHECKING:
    from fastgw.gateway.downstream import Downstream
    from fastgw.gateway.engine import Engine
    from fastgw.gateway.forward import Forward
    from fastgw.gateway.snapshot import Snapshot
    from fastgw.upstream.upstream import Upstream

# What passes admission without a look; everything else takes the long way: OPTIONS for `*`, unknown methods.
_SERVED: Final = rules.METHODS - {b"CONNECT", b"TRACE", b"OPTIONS"}

_HEALTHY = Reply(Reason.OK, 200, body=b"ok\n", content_type=b"text/plain")
_DRAINING = Reply(Reason.DRAINING, STATUS[Reason.DRAINING], "the gateway is about to stop", rule="drain")
_NO_ROUTE = Reply(Reason.NO_ROUTE, STATUS[Reason.NO_ROUTE], "no route matches the host, path and headers")
_OVERLOADED = Reply(
    Reason.OVERLOADED,
    STATUS[Reason.OVERLOADED],
    "the gateway serves as many exchanges as it may; try again shortly",
    rule="max_in_flight",
)
_REFUSED_METHOD = Reply(
    Reason.METHOD_NOT_ALLOWED,
    STATUS[Reason.METHOD_NOT_ALLOWED],
    "CONNECT and TRACE are not served",
    headers=b"Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n",
)
_OPTIONS = Reply(Reason.OK, 204, headers=b"Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n")
_EXPECTATION = Reply(Reason.BAD_REQUEST, 417, "the only expectation known is 100-continue", rule="expect")
_TOO_LARGE = Reply(
    Reason.BODY_TOO_LARGE, STATUS[Reason.BODY_TOO_LARGE], "the request body is larger than allowed", rule="max_body"
)


def run(engine: Engine, client: Downstream, forward: Forward, exchange: Exchange, now: float) -> None:
    """Phases 1 to 10 for an exchange whose head is valid. Hot, so it is flat: a call costs 60 ns."""
    snapshot = engine.snapshot
    head, line = exchange.head, exchange.line
    assert head is not None
    exchange.version = snapshot.version
    if (
        line is not None
        and line.direct is not None
        and line.host == head.host
        and not head.unusual
        and not exchange.trusted
        and engine.in_flight <= snapshot.max_in_flight
    ):
        # The line led here before, and nothing about this request asks for more.
        if snapshot.limits is not None and not _within_gateway_limits(engine, client, forward, exchange):
            return
        route = line.direct
        exchange.route = route
        route.in_flight += 1
        if route.chain:
            _walk(engine, client, forward, exchange, route, now)
        else:
            forward.start(exchange, route, head, now)
        return
    if exchange.trusted:
        exchange.client = client_address(head, client.peer, snapshot.trusted)
    if (
        exchange.method not in _SERVED
        or engine.in_flight > snapshot.max_in_flight
        or exchange.path == client.health_path
        or head.expect_unknown
    ):
        reply = _admit(engine, client, exchange)
        if reply is not None:
            send_reply(engine, client, exchange, reply)
            return
    if snapshot.limits is None or _within_gateway_limits(engine, client, forward, exchange):
        _route(engine, client, forward, exchange, now)


def _within_gateway_limits(engine: Engine, client: Downstream, forward: Forward, exchange: Exchange) -> bool:
    """The limits before routing. False: refused, or on its way to `resume`."""
    limits = engine.snapshot.limits
    reply = limits.check(exchange, engine.runtime) if limits is not None else None
    if reply is not None:
        _stop(engine, client, forward, exchange, reply)
    return reply is None


def _stop(engine: Engine, client: Downstream, forward: Forward, exchange: Exchange, reply: Reply) -> None:
    """A policy did not let the exchange go on: it waits for its outcome, or this is its answer."""
    if reply is WAIT:
        forward.hold(exchange)
    else:
        send_reply(engine, client, exchange, reply)


def _route(engine: Engine, client: Downstream, forward: Forward, exchange: Exchange, now: float) -> None:
    """Phase 2, and what the request line may remember of it."""
    snapshot = engine.snapshot
    head, line, method = exchange.head, exchange.line, exchange.method
    assert head is not None
    if line is not None and line.unrouted is not None and line.host == exchange.host and method != b"OPTIONS":
        send_reply(engine, client, exchange, line.unrouted)
        return
    found = snapshot.table.find(exchange.host, method, exchange.path, head.fields)
    if method == b"OPTIONS":
        found = _preflight(snapshot, exchange, head) or found
    if found.__class__ is not Route:
        refused = _unrouted(found)
        if line is not None and snapshot.by_line:
            line.host, line.direct, line.unrouted = exchange.host, None, refused
        send_reply(engine, client, exchange, refused)
        return
    exchange.route = found
    found.in_flight += 1
    if (
        line is not None
        and snapshot.by_line
        and found.reply is None
        and method in _SERVED
        and exchange.path not in snapshot.health_paths
    ):
        line.host, line.direct, line.unrouted = exchange.host, found, None
    _walk(engine, client, forward, exchange, found, now)


def _preflight(snapshot: Snapshot, exchange: Exchange, head: RequestHead) -> Route | None:
    """The route that a CORS preflight asks about, if it answers preflights itself (design section 11)."""
    asked = head.fields.get(b"access-control-request-method")
    if asked is None or b"origin" not in head.fields:
        return None
    found = snapshot.table.find_preflight(exchange.host, asked, exchange.path)
    return found if isinstance(found, Route) and found.answers_preflight else None


def _walk(
    engine: Engine, client: Downstream, forward: Forward, exchange: Exchange, route: Route, now: float
) -> None:
    """Phases 3 to 7, the route's chain from `exchange.step` on; then the route's own answer, or an attempt."""
    chain = route.chain
    runtime = engine.runtime
    count = len(chain)
    step = exchange.step
    while step < count:
        exchange.step = step + 1
        reply = chain[step].check(exchange, runtime)
        if reply is not None:
            _stop(engine, client, forward, exchange, reply)
            return
        step = exchange.step  # a policy that decided for those behind it moves it on
    head = exchange.head
    assert head is not None
    if head.length > route.max_body:
        send_reply(engine, client, exchange, _TOO_LARGE)
    elif route.reply is None:
        forward.start(exchange, route, head, now)
    else:
        send_reply(engine, client, exchange, route.reply)


def resume(engine: Engine, exchange: Exchange, reply: Reply | None) -> None:
    """An exchange whose policy said WAIT: this is its outcome. Nothing, if the client went away meanwhile."""
    forward = exchange.holder
    if forward is None or exchange.closed:
        return
    exchange.holder = None
    held: Forward = forward  # type: ignore[assignment]  # model cannot name it; nothing else is ever bound
    client = held.let_go()
    try:
        if reply is not None:
            send_reply(engine, client, exchange, reply)
        elif exchange.route is None:
            exchange.version = engine.snapshot.version  # a reload may have come while it waited
            _route(engine, client, held, exchange, engine.clock.now())
        else:
            _walk(engine, client, held, exchange, exchange.route, engine.clock.now())
    except Exception as error:  # a defect of ours must cost this exchange only, not those that were decided with it
        client.defect(error, exchange)


def _admit(engine: Engine, client: Downstream, exchange: Exchange) -> Reply | None:
    """Phase 1, what is left of it after the edge. None for a method that is merely unknown: routes decide."""
    head = exchange.head
    assert head is not None
    if client.health_path and exchange.path == client.health_path:
        return _DRAINING if engine.draining else _HEALTHY
    if engine.in_flight > engine.snapshot.max_in_flight:
        return _OVERLOADED
    if head.expect_unknown:
        return _EXPECTATION
    if exchange.method in (b"CONNECT", b"TRACE"):
        return _REFUSED_METHOD
    if exchange.path == b"*":
        return _OPTIONS
    return None


def _unrouted(found: object) -> Reply:
    if isinstance(found, MethodNotAllowed):
        return Reply(
            Reason.METHOD_NOT_ALLOWED,
            STATUS[Reason.METHOD_NOT_ALLOWED],
            "the path exists, for other methods",
            headers=b"Allow: " + found.allow + b"\r\n",
        )
    return _NO_ROUTE


def send_reply(engine: Engine, client: Downstream, exchange: Exchange, reply: Reply) -> None:
    """Answer for the gateway itself, account, and let the connection go on or end."""
    exchange.reason = reply.reason
    exchange.status = reply.status
    exchange.source = Source.GATEWAY
    if reply.rule or reply.reason is not Reason.OK:
        exchange.rule = reply.rule  # else what a shadow noted stays
    unread = client.settle_body()
    if unread or reply.reason.closes or engine.closing:
        exchange.keep_alive = False
    now = engine.clock.now()
    lines = engine.date(engine.clock.wall()) + exchange.answer_lines
    if engine.snapshot.server_timing or exchange.trusted:
        lines += _timing(engine, exchange, now)
    if exchange.keep_alive and not exchange.http10 and exchange.method != b"HEAD":
        data = writer.usual(reply, exchange.request_id, lines)
    else:
        data = writer.reply(
            reply,
            exchange.request_id,
            lines,
            head_only=exchange.method == b"HEAD",
            close=not exchange.keep_alive,
            http10=exchange.http10,
        )
    route = exchange.route
    if route is not None and route.response_headers is not None:
        data = rewritten_answer(data, route.response_headers)
    exchange.bytes_out += len(data)
    client.write(data)
    engine.close(exchange, now)
    client.finished(exchange, now)


def _timing(engine: Engine, exchange: Exchange, now: float) -> bytes:
    if not wants_timing(engine, exchange):
        return b""
    return timing_line(exchange, now, exchange.upstream_seconds)


def wants_timing(engine: Engine, exchange: Exchange) -> bool:
    """`server_timing: true`, or a trusted peer that asks with `X-Server-Timing: 1`."""
    if engine.snapshot.server_timing:
        return True
    head = exchange.head
    return exchange.trusted and head is not None and head.fields.get(b"x-server-timing") == b"1"


def refusal(error: HttpError) -> Reply:
    """The reply to a message that breaks a rule."""
    return Reply(error.reason, error.status, error.detail)


def failure(reason: Reason, detail: str, rule: str = "") -> Reply:
    """The reply to an attempt that failed before anything of its answer was sent on."""
    return Reply(reason, STATUS[reason], detail, rule=rule)


def circuit_open(upstream: Upstream, now: float) -> Reply:
    """The refusal while no circuit lets an attempt in. One object a second and upstream, so that it is rendered once."""
    seconds = upstream.retry_after(now)
    known = upstream.refusal
    if known is not None and known[0] == seconds:
        return known[1]
    made = Reply(
        Reason.BREAKER_OPEN,
        STATUS[Reason.BREAKER_OPEN],
        "the service behind this route fails and is given time to recover",
        rule="breaker",
        headers=b"Retry-After: %d\r\n" % seconds,
    )
    upstream.refusal = seconds, made
    return made


_RULES: Final[dict[Reason, str]] = {
    Reason.CONNECT_TIMEOUT: "timeouts.connect",
    Reason.RESPONSE_TIMEOUT: "timeouts.response",
    Reason.IDLE_TIMEOUT: "timeouts.idle",
    Reason.TOTAL_TIMEOUT: "timeouts.total",
    Reason.HEADER_TIMEOUT: "header_timeout",
    Reason.BODY_TIMEOUT: "body_timeout",
    Reason.SEND_TIMEOUT: "send_timeout",
    Reason.BODY_TOO_LARGE: "max_body",
}


def rule_of(reason: Reason) -> str:
    """The deadline or bound that decided, by its name in the configuration."""
    return _RULES.get(reason, "")

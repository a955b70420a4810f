"""Getting an exchange's request to a target: choose, borrow or open or wait, send the head, stream the body.

The first half of forwarding (phases 8 to 10); another one is retries.py's, what comes back forward.py's. Hot: `start`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastgw.errors import Reason
from fastgw.gateway import pipeline
from fastgw.gateway.choice import ANSWERING, CONNECTING, DRAINING, HEARD, HELD, IDLE, QUEUED, SENT, Choice
from fastgw.gateway.heads import request_head, upgrades
from fastgw.http1 import rules
from fastgw.http1.body import chunk, last_chunk
from fastgw.model.deadlines import NEVER
from fastgw.model.exchange import Exchange
from fastgw.upstream.breaker import CLOSED
from fastgw.upstream.upstream import Upstream
from fastgw.upstream.wire import Wire

if TYPE_CHECKING:
    from fastgw.gateway.downstream import Downstream
    from fastgw.model.messages import Reply, RequestHead
    from fastgw.model.route import Route
    from fastgw.upstream.target import Target

MAX_HELD: Final = 64 * 1024  # bytes of a request body kept for a replay


class Attempt(Choice):
    __slots__ = ()

    def hold(self, exchange: Exchange) -> None:
        """A policy waits for its outcome: until `let_go` this owns the exchange, so that a client that leaves ends it."""
        exchange.holder = self
        self._exchange = exchange
        self._stage = HELD
        if exchange.trusted or self._engine.snapshot.server_timing:
            exchange.decided -= self._engine.clock.now()  # `let_go` adds its own: below zero until then

    def let_go(self) -> Downstream:
        """The outcome is there; whoever asked goes on with the exchange."""
        exchange = self._exchange
        if exchange is not None and exchange.decided < 0.0:
            exchange.decided += self._engine.clock.now()
        self._exchange = None
        self._stage = IDLE
        return self._client

    def start(self, exchange: Exchange, route: Route, head: RequestHead, now: float) -> None:
        """Hot. The route is decided, nothing of the request has left yet."""
        bound = route.bound
        if bound is None:
            if route.split is not None:
                route = route.split.part(exchange)
            bound = route.bound = self._engine.registry.find(route.upstream)
        upstream: Upstream = bound  # type: ignore[assignment]  # model cannot name it; nothing else is ever bound
        self._exchange = exchange
        self._route = route
        self._upstream = upstream
        exchange.upstream = upstream.name
        if route.limited and not self._within_limits(exchange, route, upstream):
            return
        target = upstream.single
        if target is None or upstream.guarded:
            breaker = upstream.breaker
            if target is not None and breaker is not None and breaker.state is CLOSED:
                # `_admitted` of a single target whose circuit is closed, written out: 0.5 us.
                self._ticket = breaker.era
                upstream.budget.firsts += 1
            else:
                target = self._admitted(upstream, exchange, now)
                if target is None:
                    return
        connection = target.pool.take(now)
        if connection is None or head.length:
            self._attempt(target, connection, now)
            return
        # The usual request, written out: a connection is there and no body follows. See `_attempt` for the long way.
        self._target = target
        target.in_flight += 1
        upstream.in_flight += 1
        exchange.target = target.label
        exchange.attempts = 1
        self._stage = SENT
        self._connection = connection
        identity = exchange.identity
        if head.odd or route.rewrites or exchange.trusted or exchange.http10:
            if upgrades(exchange, head):
                connection.ask_upgrade()
            data = request_head(exchange, head, route, self._client, target)
        else:
            line = exchange.line
            assert line is not None  # only a head that could not be read has none
            data = b"".join(
                (line.start, head.forward, self._client.forward_lines, b"X-Request-Id: ", exchange.request_id,
                 b"\r\ntraceparent: 00-", exchange.trace_id, b"-", exchange.span,
                 b"-01\r\n\r\n" if identity is None else identity.tail)
            )  # fmt: skip
        # What lies between `started` and here is the gateway's own time: a clock of its own, not the caller's `now`.
        sent = exchange.forwarded_at = self._sent_at = self._engine.clock.now()
        connection.begin(self, exchange.method, data, True, sent + route.timeouts.response, route.timeouts.idle)

    def _admitted(self, upstream: Upstream, exchange: Exchange, now: float) -> Target | None:
        """Phase 8 of a first attempt; None: it was refused."""
        target = self._choose(upstream, exchange, now, None)
        if target is not None:
            upstream.budget.firsts += 1
            return target
        if upstream.targets:
            self._refuse(pipeline.circuit_open(upstream, now))
        elif (why := upstream.why_none()) is not None:
            self._refuse(pipeline.failure(Reason.DNS_ERROR, f"no target has an address: {why}"))
        else:
            # Nobody said that there is none: the look-up is under way, or its answer was empty. Come back.
            self._refuse(pipeline.failure(Reason.NO_HEALTHY_TARGET, "no target has an address yet"))
        return None

    def _within_limits(self, exchange: Exchange, route: Route, upstream: Upstream) -> bool:
        if upstream.max_in_flight and upstream.in_flight >= upstream.max_in_flight:
            why = "the upstream serves as many exchanges as it may"
            self._refuse(pipeline.failure(Reason.OVERLOADED, why, "max_in_flight"))
            return False
        if route.timeouts.total:
            self._touched = True
            self._total_until = exchange.started + route.timeouts.total
            self._engine.deadlines.watch(self, self._total_until)
        return True

    def _attempt(self, target: Target, connection: Wire | None, now: float) -> None:
        """Any attempt: `connection` is an idle one of the target, or None to open one or to wait."""
        upstream, exchange = self._upstream, self._exchange
        assert upstream is not None and exchange is not None
        self._touched = True
        self._target = target
        target.in_flight += 1
        upstream.in_flight += 1
        exchange.target = target.label
        if connection is not None:
            exchange.forwarded_at = self._engine.clock.now()
            self._send(connection, now)
        else:
            self._connect_or_queue(now)

    def _connect_or_queue(self, now: float) -> None:
        target = self._target
        assert target is not None
        if target.pool.has_room():
            self._connect(now)
        else:
            self._queue(now)

    def _connect(self, now: float) -> None:
        exchange, target, route = self._exchange, self._target, self._route
        assert exchange is not None and target is not None and route is not None
        exchange.forwarded_at = now
        exchange.attempts += 1
        self._stage = CONNECTING
        self._connection = target.pool.connect(self, now + route.timeouts.connect)

    def _queue(self, now: float) -> None:
        target = self._target
        assert target is not None
        if target.pool.enqueue(self):
            self._stage = QUEUED
            self._queue_until = now + target.pool.limits.queue_timeout
            self._engine.deadlines.watch(self, min(self._queue_until, self._total_until))
        else:
            self._give_up(Reason.OVERLOADED, "every connection to the target is busy and the queue is full", "queue")

    def on_turn(self, connection: Wire | None) -> None:
        """Our turn in the queue: a connection, or room for one."""
        exchange = self._exchange
        if self._stage is not QUEUED or exchange is None:
            return  # cannot be: whoever gives up leaves the queue
        now = self._engine.clock.now()
        if self._target is not None:
            exchange.queued += now - (self._queue_until - self._target.pool.limits.queue_timeout)
        self._queue_until = NEVER
        self.deadline = self._total_until
        if connection is None:
            self._connect(now)  # whoever came later waits: asking for room again would put us behind them
        else:
            exchange.forwarded_at = now
            self._send(connection, now)

    def on_connected(self, connection: Wire) -> None:
        if self._stage is not CONNECTING:
            connection.close()
            return
        self._send(connection, self._engine.clock.now())

    def _send(self, connection: Wire, now: float) -> None:
        """Hot. Write the request's head; its body follows as it comes."""
        exchange, target = self._exchange, self._target
        assert exchange is not None and target is not None
        head, route = exchange.head, self._route
        assert head is not None and route is not None
        if self._stage is not CONNECTING:
            exchange.attempts += 1
        self._stage = SENT
        self._connection = connection
        timeouts = route.timeouts
        self._sent_at = now
        data = request_head(exchange, head, route, self._client, target)
        if head.length == 0:
            if upgrades(exchange, head):
                connection.ask_upgrade()
            connection.begin(self, exchange.method, data, True, now + timeouts.response, timeouts.idle)
            return
        connection.begin(self, exchange.method, data, False, NEVER, timeouts.idle)
        if self._held is None and exchange.method in rules.IDEMPOTENT:
            self._held = []
            self._held_size = 0
        elif self._held:
            for piece in self._held:
                connection.write(piece)
        if self._sent_before and self._client.body_complete():
            connection.end_request(timeouts.response)
        else:
            self._client.start_body()

    # --- the request's body ---------------------------------------------------------------------------------------

    def request_body(self, pieces: list[bytes], done: bool, trailers: bytes) -> None:
        """Content of the request, as the edge decoded it. Only between start_body and the end of the exchange."""
        connection, exchange = self._connection, self._exchange
        if exchange is None or self._stage is DRAINING:
            return
        head, route = exchange.head, self._route
        assert head is not None and route is not None
        if head.chunked:
            data = chunk(pieces)
            if done:
                data += last_chunk(trailers)
        else:
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        stage = self._stage
        sending = connection is not None and (stage is SENT or stage is ANSWERING)
        if data:
            if self._held is not None:
                self._keep(data, sending)
            if sending and connection is not None:
                connection.write(data)
        if done and sending and connection is not None:
            connection.end_request(route.timeouts.response)

    def _keep(self, data: bytes, sending: bool) -> None:
        """What a replay would need. While one waits for its connection nothing may be forgotten: the edge is told to stop
        reading then, so that it is one read more at most."""
        assert self._held is not None
        self._held_size += len(data)
        if sending and self._held_size > MAX_HELD:
            self._held = None
        else:
            self._held.append(data)

    def wants_body(self) -> bool:
        """Whether the edge may read and hand over more of the body now."""
        connection = self._connection
        stage = self._stage
        return connection is not None and not connection.blocked and (stage is SENT or stage is ANSWERING)

    def on_upstream_blocked(self) -> None:
        self._client.pause_body()

    def on_upstream_writable(self) -> None:
        self._client.resume_body()

    # --- ends -----------------------------------------------------------------------------------------------------

    def _give_up(self, reason: Reason, detail: str, rule: str = "") -> None:
        """End the exchange with a failure: an answer where none was begun, else a cut that the client can see."""
        exchange = self._exchange
        assert exchange is not None
        now = self._engine.clock.now()
        if exchange.forwarded_at:
            exchange.upstream_seconds = now - exchange.forwarded_at
        begun = self.answering()
        self._release()
        if not begun:
            pipeline.send_reply(self._engine, self._client, exchange, pipeline.failure(reason, detail, rule))
            return
        exchange.reason = reason
        exchange.rule = rule
        exchange.keep_alive = False
        self._engine.close(exchange, now)
        self._client.cut()

    def _refuse(self, reply: Reply) -> None:
        """No attempt was made."""
        exchange = self._exchange
        assert exchange is not None
        self._release()
        pipeline.send_reply(self._engine, self._client, exchange, reply)

    def _write(self, exchange: Exchange, data: bytes) -> None:
        exchange.bytes_out += len(data)
        self._client.write(data)

    def _release(self) -> None:
        """Hot. The exchange is over, whatever became of it: no deadline, no place in a queue, no count stays behind."""
        target = self._target
        if target is not None:
            if target.unheard and self._stage not in HEARD:
                target.unheard -= 1  # it will not answer this one
            self._judge(None)
            self._leave()
        if self._touched:
            self._touched = False
            if self._spent and self._exchange is not None:
                self._exchange.upstream_seconds += self._spent
            self._spent = 0.0
            self._held = None
            self._chunked = self._replayed = self._sent_before = self._interim = False
            self._tries = 0
            self._queue_until = self._total_until = self.deadline = NEVER
        self._exchange = None
        self._stage = IDLE

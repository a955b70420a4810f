"""Forward an exchange: choose a target, borrow a connection, stream both ways, end in the ledger. Phases 8 to 12.

One `Forward` per client connection, used for one exchange after the other. It is the owner of an upstream connection
while an attempt lasts, and has the deadlines of the queue and of the whole exchange. Bytes of the client are the
edge's business, framing of answers upstream/connection.py's, heads heads.py's.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from fastgw.errors import Reason, Retry, Source
from fastgw.gateway import pipeline
from fastgw.gateway.heads import answer_head, request_head, switching_head, timing_line
from fastgw.http1 import rules
from fastgw.http1.body import chunk, last_chunk
from fastgw.model.deadlines import NEVER
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Framing, ResponseHead
from fastgw.upstream.connection import State, UpstreamConnection
from fastgw.upstream.registry import Upstream

if TYPE_CHECKING:
    from fastgw.gateway.downstream import Downstream
    from fastgw.gateway.engine import Engine
    from fastgw.upstream.target import Target

MAX_HELD: Final = 64 * 1024  # bytes of a request body kept for a replay


class Stage(IntEnum):
    """IDLE -> CONNECTING | QUEUED | SENT; CONNECTING, QUEUED -> SENT; SENT -> ANSWERING | TUNNEL; any -> IDLE."""

    IDLE = 0
    QUEUED = 1
    CONNECTING = 2
    SENT = 3
    ANSWERING = 4  # the answer's head went to the client: no other answer can be given
    DRAINING = 5  # the answer is complete, the client has not taken all of it yet
    TUNNEL = 6


class Forward:
    __slots__ = (
        "_chunked", "_client", "_connection", "_engine", "_exchange", "_held", "_held_size", "_queue_until", "_replayed",
        "_stage", "_target", "_total_until", "_upstream", "deadline", "waiting", "wake",
    )  # fmt: skip

    def __init__(self, engine: Engine, client: Downstream) -> None:
        # For the life of the client's connection
        self._engine = engine
        self._client = client
        self.deadline = NEVER
        self.wake = NEVER
        self.waiting = False  # in a pool's queue; the pool's word
        # For the life of one exchange
        self._stage = Stage.IDLE
        self._exchange: Exchange | None = None
        self._upstream: Upstream | None = None
        self._total_until = NEVER
        # For the life of one attempt
        self._target: Target | None = None
        self._connection: UpstreamConnection | None = None
        self._queue_until = NEVER
        self._chunked = False  # the answer's body is chunked by us
        self._held: list[bytes] | None = None  # request body sent so far, while it could still be replayed
        self._held_size = 0
        self._replayed = False

    # --- starting -------------------------------------------------------------------------------------------------

    def start(self, exchange: Exchange) -> None:
        """Hot. The route is decided, nothing of the request has left yet."""
        engine = self._engine
        route = exchange.route
        assert route is not None
        upstream = route.bound
        if upstream.__class__ is not Upstream:
            upstream = route.bound = engine.registry.upstreams[route.upstream]
        assert isinstance(upstream, Upstream)
        self._exchange = exchange
        self._upstream = upstream
        self._replayed = False
        exchange.upstream = upstream.name
        target = upstream.single
        if target is None:
            target = upstream.choose()
            if target is None:
                self._refuse(Reason.DNS_ERROR, f"no target has an address: {upstream.why_none()}")
                return
        if upstream.max_in_flight and upstream.in_flight >= upstream.max_in_flight:
            self._refuse(Reason.OVERLOADED, "the upstream serves as many exchanges as it may", "max_in_flight")
            return
        total = route.timeouts.total
        if total:
            self._total_until = exchange.started + total
            engine.deadlines.watch(self, self._total_until)
        self._attempt(target, False)

    def _attempt(self, target: Target, fresh: bool) -> None:
        upstream = self._upstream
        exchange = self._exchange
        assert upstream is not None and exchange is not None
        self._target = target
        target.in_flight += 1
        upstream.in_flight += 1
        exchange.target = target.label
        pool = target.pool
        now = self._engine.clock.now()
        connection = None if fresh else pool.take(now)
        if connection is not None:
            exchange.forwarded_at = now
            self._send(connection, now)
        elif pool.has_room():
            self._connect(now)
        elif pool.enqueue(self):
            self._stage = Stage.QUEUED
            self._queue_until = now + pool.limits.queue_timeout
            self._engine.deadlines.watch(self, min(self._queue_until, self._total_until))
        else:
            self._give_up(Reason.OVERLOADED, "every connection to the target is busy and the queue is full", "queue")

    def _connect(self, now: float) -> None:
        exchange, target = self._exchange, self._target
        assert exchange is not None and target is not None and exchange.route is not None
        exchange.forwarded_at = now
        exchange.attempts += 1
        self._stage = Stage.CONNECTING
        self._connection = target.pool.connect(self, now + exchange.route.timeouts.connect)

    def _send(self, connection: UpstreamConnection, now: float) -> None:
        """Hot. Write the request's head; its body follows as it comes."""
        exchange, target = self._exchange, self._target
        assert exchange is not None and target is not None
        head, route = exchange.head, exchange.route
        assert head is not None and route is not None
        if self._stage is not Stage.CONNECTING:
            exchange.attempts += 1
        self._stage = Stage.SENT
        self._connection = connection
        timeouts = route.timeouts
        bodyless = head.length == 0
        deadline = now + timeouts.response if bodyless else NEVER
        data = request_head(exchange, self._client, target)
        connection.upgrade = head.websocket
        connection.begin(self, exchange.method, data, bodyless, deadline, timeouts.idle)
        if not bodyless:
            if self._held is None and exchange.method in rules.IDEMPOTENT:
                self._held = []
                self._held_size = 0
            elif self._held:
                for piece in self._held:
                    connection.write(piece)
            if self._client.body_complete() and self._replayed:
                connection.end_request(timeouts.response)
            else:
                self._client.start_body()

    def on_connected(self, connection: UpstreamConnection) -> None:
        if self._stage is not Stage.CONNECTING:
            connection.close()
            return
        self._send(connection, self._engine.clock.now())

    def on_turn(self, connection: UpstreamConnection | None) -> None:
        """Our turn in the queue: a connection, or room for one."""
        target, exchange = self._target, self._exchange
        if self._stage is not Stage.QUEUED or target is None or exchange is None:
            # We gave up between being chosen and being called.
            if connection is not None and connection.state is State.IDLE:
                connection.owner = None
                connection.pool.give(connection)
            return
        self._queue_until = NEVER
        self.deadline = self._total_until
        now = self._engine.clock.now()
        if connection is not None and connection.state is State.IDLE:
            exchange.forwarded_at = now
            self._send(connection, now)
        elif target.pool.has_room():
            self._connect(now)
        elif target.pool.enqueue(self):
            self._queue_until = now + target.pool.limits.queue_timeout
            self._engine.deadlines.watch(self, min(self._queue_until, self._total_until))
        else:
            self._give_up(Reason.OVERLOADED, "every connection to the target is busy and the queue is full", "queue")

    # --- the request's body ---------------------------------------------------------------------------------------

    def request_body(self, pieces: list[bytes], done: bool, trailers: bytes) -> None:
        """Content of the request, as the edge decoded it. Only between start_body and the end of the exchange."""
        connection, exchange = self._connection, self._exchange
        if connection is None or exchange is None or self._stage is Stage.DRAINING:
            return
        head, route = exchange.head, exchange.route
        assert head is not None and route is not None
        if head.chunked:
            data = chunk(pieces)
            if done:
                data += last_chunk(trailers)
        else:
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if data:
            if self._held is not None:
                self._hold(data)
            connection.write(data)
        if done:
            connection.end_request(route.timeouts.response)

    def _hold(self, data: bytes) -> None:
        self._held_size += len(data)
        if self._held_size > MAX_HELD:
            self._held = None
        elif self._held is not None:
            self._held.append(data)

    def wants_body(self) -> bool:
        """Whether the edge may read and hand over more of the body now."""
        connection = self._connection
        stage = self._stage
        return connection is not None and not connection.blocked and (stage is Stage.SENT or stage is Stage.ANSWERING)

    # --- the answer -----------------------------------------------------------------------------------------------

    def on_interim(self, head: ResponseHead) -> None:
        exchange = self._exchange
        if exchange is not None and not exchange.http10:
            self._write(exchange, head.rendered + b"\r\n")

    def on_answer(self, head: ResponseHead, how: Framing, body: bytes, whole: bool) -> None:
        """Hot: the usual answer goes out in one join and one write."""
        exchange, target = self._exchange, self._target
        assert exchange is not None and target is not None
        engine = self._engine
        now = engine.clock.now()
        exchange.first_byte_at = now
        target.sample(now - exchange.forwarded_at)
        exchange.status = head.status
        exchange.source = Source.UPSTREAM
        route = exchange.route
        assert route is not None
        if engine.closing:
            exchange.keep_alive = False
        if (
            whole
            and how is Framing.LENGTH
            and exchange.keep_alive
            and head.has_date
            and not exchange.http10
            and route.response_headers is None
            and not engine.snapshot.server.server_timing
            and not exchange.trusted
            and exchange.head is not None
            and exchange.head.length == 0
        ):
            data = b"".join((head.rendered, b"X-Request-Id: ", exchange.request_id, b"\r\n\r\n", body))
            exchange.bytes_out += len(data)
            self._client.write(data)
            self._connection = None
            self._end(now)
            return
        self._stage = Stage.ANSWERING
        self._answer(exchange, head, how, now)
        self.on_body(body, whole)

    def _answer(self, exchange: Exchange, head: ResponseHead, how: Framing, now: float) -> None:
        engine = self._engine
        if not self._client.body_complete():
            # The answer overtakes the request's body: whatever is still to come of it, this connection ends with it.
            exchange.keep_alive = False
        timing = b""
        if pipeline.wants_timing(engine, exchange):
            timing = timing_line(exchange.forwarded_at - exchange.started, now - exchange.forwarded_at)
        date = b"" if head.has_date else engine.date(engine.clock.wall())
        data, self._chunked = answer_head(exchange, head, how, date, timing)
        if exchange.method == b"HEAD":
            self._chunked = False
        self._write(exchange, data)

    def on_body(self, body: bytes, whole: bool) -> None:
        exchange = self._exchange
        assert exchange is not None
        if body:
            if self._chunked:
                self._write(exchange, chunk([body]))
            else:
                self._write(exchange, body)
        if whole:
            connection = self._connection
            self._connection = None
            if self._chunked:
                trailers = connection.trailers if connection is not None else b""
                self._write(exchange, last_chunk(trailers))
            if self._client.blocked:
                # The deadline of a client that does not read is the edge's; the exchange ends when it has read.
                self._stage = Stage.DRAINING
                exchange.upstream_seconds = self._engine.clock.now() - exchange.forwarded_at
            else:
                self._end(self._engine.clock.now())
        elif self._client.blocked and self._connection is not None:
            self._connection.pause_reading()

    def _write(self, exchange: Exchange, data: bytes) -> None:
        exchange.bytes_out += len(data)
        self._client.write(data)

    def _end(self, now: float) -> None:
        """Hot. The answer is with the client's connection: account, then the next exchange."""
        exchange = self._exchange
        assert exchange is not None
        if not exchange.upstream_seconds:
            exchange.upstream_seconds = now - exchange.forwarded_at
        self._detach()
        self._exchange = None
        self._stage = Stage.IDLE
        self._engine.close(exchange, now)
        self._client.finished(exchange)

    def _detach(self) -> None:
        """The attempt is over, whatever became of it."""
        target, upstream = self._target, self._upstream
        if target is not None and upstream is not None:
            target.in_flight -= 1
            upstream.in_flight -= 1
            self._target = None
        self._held = None
        self._chunked = False
        self._queue_until = self._total_until = NEVER
        self.deadline = NEVER

    # --- flow control ---------------------------------------------------------------------------------------------

    def on_client_blocked(self) -> None:
        if self._connection is not None and self._stage in (Stage.ANSWERING, Stage.TUNNEL):
            self._connection.pause_reading()

    def on_client_writable(self) -> None:
        if self._stage is Stage.DRAINING:
            self._end(self._engine.clock.now())
        elif self._connection is not None:
            self._connection.resume_reading()

    def on_upstream_blocked(self) -> None:
        self._client.pause_body()

    def on_upstream_writable(self) -> None:
        self._client.resume_body()

    # --- failures -------------------------------------------------------------------------------------------------

    def on_failure(self, reason: Reason, detail: str, retry: Retry) -> None:
        """The attempt failed; its connection is gone."""
        exchange, target, upstream = self._exchange, self._target, self._upstream
        assert exchange is not None and target is not None and upstream is not None
        self._connection = None
        if self._stage is Stage.TUNNEL:
            self._end_tunnel(reason)
            return
        if retry is Retry.REUSED_ONLY and self._stage is Stage.SENT and self._replayable(exchange):
            # The peer closed an idle connection just when we used it (RFC 9110 9.2.2, RFC 9112 9.3.1): once more, fresh.
            self._replayed = True
            self._engine.retries[upstream.name] = self._engine.retries.get(upstream.name, 0) + 1
            target.in_flight -= 1
            upstream.in_flight -= 1
            self._attempt(target, True)
            return
        target.failed()
        self._give_up(reason, detail, rule_of(reason))

    def _replayable(self, exchange: Exchange) -> bool:
        head = exchange.head
        if self._replayed or head is None or exchange.method not in rules.IDEMPOTENT:
            return False
        return head.length == 0 or self._held is not None

    def _give_up(self, reason: Reason, detail: str, rule: str = "") -> None:
        """End the exchange with a failure: an answer where none was begun, else a cut that the client can see."""
        exchange = self._exchange
        assert exchange is not None
        now = self._engine.clock.now()
        if exchange.forwarded_at:
            exchange.upstream_seconds = now - exchange.forwarded_at
        begun = self._stage is Stage.ANSWERING or self._stage is Stage.DRAINING
        self._leave_queue()
        self._detach()
        self._exchange = None
        self._stage = Stage.IDLE
        if not begun:
            pipeline.send_reply(self._engine, self._client, exchange, pipeline.failure(reason, detail, rule))
            return
        exchange.reason = reason
        exchange.rule = rule
        exchange.keep_alive = False
        self._engine.close(exchange, now)
        self._client.cut()

    def _refuse(self, reason: Reason, detail: str, rule: str = "") -> None:
        """No attempt was made."""
        exchange = self._exchange
        assert exchange is not None
        self._exchange = None
        pipeline.send_reply(self._engine, self._client, exchange, pipeline.failure(reason, detail, rule))

    def abandon(self, reason: Reason, detail: str = "") -> None:
        """The edge gives the exchange up: the client went away, broke a rule inside its body, or does not read."""
        if self._exchange is None:
            return
        connection = self._connection
        self._connection = None
        if connection is not None:
            connection.close()
        if self._stage is Stage.TUNNEL:
            self._end_tunnel(Reason.OK if reason is Reason.CLIENT_CLOSED else reason)
            return
        if reason in (Reason.CLIENT_CLOSED, Reason.SEND_TIMEOUT):
            self._lost(reason)
        else:
            self._give_up(reason, detail, rule_of(reason))

    def _lost(self, reason: Reason) -> None:
        """Nobody is there to answer. Before an answer was begun the log says 499."""
        exchange = self._exchange
        assert exchange is not None
        now = self._engine.clock.now()
        if exchange.forwarded_at and not exchange.upstream_seconds:
            exchange.upstream_seconds = now - exchange.forwarded_at
        if self._stage is not Stage.ANSWERING and self._stage is not Stage.DRAINING:
            exchange.status = 499
            exchange.source = Source.GATEWAY
        exchange.reason = reason
        exchange.rule = rule_of(reason)
        self._leave_queue()
        self._detach()
        self._exchange = None
        self._stage = Stage.IDLE
        self._engine.close(exchange, now)

    def _leave_queue(self) -> None:
        if self.waiting and self._target is not None:
            self._target.pool.leave(self)

    def answering(self) -> bool:
        return self._stage is Stage.ANSWERING or self._stage is Stage.DRAINING

    def close(self) -> None:
        """The client's connection is gone for good."""
        self._engine.deadlines.forget(self)

    def on_deadline(self, now: float) -> None:
        if self._exchange is None:
            self.deadline = NEVER
            return
        if now >= self._total_until:
            connection = self._connection
            self._connection = None
            if connection is not None:
                connection.close()
            self._give_up(Reason.TOTAL_TIMEOUT, "the exchange took longer than its total timeout", "timeouts.total")
        elif now >= self._queue_until and self._stage is Stage.QUEUED:
            self._give_up(Reason.OVERLOADED, "no connection to the target became free in time", "queue_timeout")
        else:
            self.deadline = min(self._queue_until, self._total_until)

    # --- after 101 ------------------------------------------------------------------------------------------------

    def on_switched(self, head: ResponseHead, early: bytes) -> None:
        """The connection is a byte tunnel from now on, in both directions (RFC 9110 7.8)."""
        exchange = self._exchange
        assert exchange is not None
        exchange.status = 101
        exchange.source = Source.UPSTREAM
        exchange.first_byte_at = self._engine.clock.now()
        exchange.keep_alive = False
        self._total_until = self.deadline = NEVER
        self._stage = Stage.TUNNEL
        self._engine.websockets += 1
        self._write(exchange, switching_head(exchange, head))
        if early:
            self._write(exchange, early)
        self._client.enter_tunnel()

    def on_tunnel_data(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is not None:
            self._write(exchange, data)
            if self._client.blocked and self._connection is not None:
                self._connection.pause_reading()

    def tunnel_from_client(self, data: bytes) -> None:
        connection, exchange = self._connection, self._exchange
        if connection is not None and exchange is not None:
            exchange.bytes_in += len(data)
            self._engine.deadlines.watch(connection, self._engine.clock.now() + connection.idle_timeout)
            connection.write(data)

    def on_tunnel_eof(self) -> None:
        self._client.tunnel_eof()

    def client_eof(self) -> None:
        """The client closed its half of the tunnel; the upstream's half goes on until it ends or falls silent."""
        if self._connection is not None:
            self._connection.write_eof()

    def _end_tunnel(self, reason: Reason) -> None:
        exchange = self._exchange
        assert exchange is not None
        now = self._engine.clock.now()
        exchange.reason = reason
        exchange.rule = rule_of(reason)
        exchange.upstream_seconds = now - exchange.forwarded_at
        self._engine.websockets -= 1
        self._detach()
        self._exchange = None
        self._stage = Stage.IDLE
        self._engine.close(exchange, now)
        self._client.leave_tunnel()


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

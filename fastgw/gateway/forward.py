"""What comes back: the answer streamed to the client, the end in the ledger. Phases 11 and 12.

The last part of forwarding; the first is attempt.py, failures are retries.py's, the tunnel after 101 tunnel.py's. Bytes
of the client are the edge's business, framing of answers upstream/connection.py's, heads heads.py's.
"""

from __future__ import annotations

from typing import Final

from fastgw.errors import Reason, Source
from fastgw.gateway import pipeline
from fastgw.gateway.choice import ANSWERING, CONNECTING, DRAINING, IDLE, QUEUED, SENT, TUNNEL
from fastgw.gateway.heads import answer_head, timing_line
from fastgw.gateway.tunnel import Tunnel
from fastgw.http1.body import chunk, last_chunk
from fastgw.model.deadlines import NEVER
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Framing, ResponseHead
from fastgw.upstream.breaker import CLOSED

# See attempt.py for what a member looked up on its class costs.
_UPSTREAM: Final = Source.UPSTREAM
_LENGTH: Final = Framing.LENGTH


class Forward(Tunnel):
    __slots__ = ()

    # --- the answer -----------------------------------------------------------------------------------------------

    def on_interim(self, head: ResponseHead) -> None:
        exchange = self._exchange
        if exchange is not None and not exchange.http10:
            self._interim = self._touched = True
            self._write(exchange, head.rendered + b"\r\n")

    def on_answer(self, head: ResponseHead, how: Framing, body: bytes, whole: bool, now: float) -> None:
        """Hot: the usual answer goes out in one join and one write."""
        exchange, target, upstream = self._exchange, self._target, self._upstream
        assert exchange is not None and target is not None and upstream is not None
        route = exchange.route
        assert route is not None
        seconds = now - exchange.forwarded_at
        if head.status not in upstream.watched:
            target.sample(now - self._sent_at, now)
        elif self.bad_answer(exchange, head, now):
            return
        exchange.status = head.status
        exchange.source = _UPSTREAM
        engine = self._engine
        if engine.closing:
            exchange.keep_alive = False
        if (
            whole
            and how is _LENGTH
            and exchange.keep_alive
            and head.has_date
            and route.plain
            and not (self._touched or exchange.trusted or exchange.http10)
        ):
            data = b"".join(
                (head.rendered, b"X-Request-Id: ", exchange.request_id, b"\r\n", exchange.answer_lines, b"\r\n", body)
            )
            exchange.bytes_out += len(data)
            client = self._client
            client.write(data)
            exchange.upstream_seconds = seconds
            ticket = self._ticket
            if ticket:
                breaker = upstream.breaker
                if breaker is None or breaker.era != ticket or breaker.state is not CLOSED or self._own_ticket:
                    self._judge(True)
                else:
                    # `Upstream.settle` of the usual case, written out: 0.5 us.
                    self._ticket = 0
                    breaker.ok += 1
                    breaker.failures_in_row = 0
            elif self._own_ticket:
                self._judge(True)
            # `_release` of an exchange that went the short way
            self._connection = self._target = self._exchange = None
            self._stage = IDLE
            target.in_flight -= 1
            upstream.in_flight -= 1
            # `engine.close`, written out; what came after the answer's arrival is the gateway's own time again
            done = engine.clock.now()
            engine.in_flight -= 1
            route.in_flight -= 1
            engine.ledger.close(exchange, done, done + engine.wall_offset)
            client.finished(exchange, done)
            return
        self._judge_probe()
        self._touched = True
        self._stage = ANSWERING
        self._answer(exchange, head, how, now)
        self.on_body(body, whole)

    def _answer(self, exchange: Exchange, head: ResponseHead, how: Framing, now: float) -> None:
        engine = self._engine
        if not self._client.body_complete():
            # The answer overtakes the request's body: whatever is still to come of it, this connection ends with it.
            exchange.keep_alive = False
        timing = b""
        if pipeline.wants_timing(engine, exchange):
            timing = timing_line(exchange, now, now - exchange.forwarded_at + self._spent)
        date = b"" if head.has_date else engine.date(engine.clock.wall())
        data, self._chunked = answer_head(exchange, head, how, date, timing)
        if exchange.method == b"HEAD":
            self._chunked = False
        self._write(exchange, data)

    def on_body(self, body: bytes, whole: bool) -> None:
        exchange = self._exchange
        assert exchange is not None
        if whole:
            exchange.upstream_seconds = self._engine.clock.now() - exchange.forwarded_at
            self._judge(True)
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
                self._stage = DRAINING
            else:
                self._end(exchange, self._engine.clock.now())
        elif self._client.blocked and self._connection is not None:
            self._connection.pause_reading()

    def _end(self, exchange: Exchange, now: float) -> None:
        """The answer is with the client's connection: account, then the next exchange."""
        self._connection = None
        self._release()
        self._engine.close(exchange, now)
        self._client.finished(exchange, now)

    # --- flow control ---------------------------------------------------------------------------------------------

    def on_client_blocked(self) -> None:
        # A connection whose answer is complete is somebody else's already.
        connection = self._connection
        if connection is not None and connection.owner is self and self._stage in (ANSWERING, TUNNEL):
            connection.pause_reading()

    def on_client_writable(self) -> None:
        if self._stage is DRAINING and self._exchange is not None:
            self._end(self._exchange, self._engine.clock.now())
        elif self._connection is not None and self._connection.owner is self:
            self._connection.resume_reading()

    # --- failures -------------------------------------------------------------------------------------------------

    def abandon(self, reason: Reason, detail: str = "") -> None:
        """The edge gives the exchange up: the client went away, broke a rule inside its body, or does not read."""
        if self._exchange is None:
            return
        connection = self._connection
        self._connection = None
        if connection is not None:
            connection.close()
        if self._stage is TUNNEL:
            self._end_tunnel(Reason.OK if reason is Reason.CLIENT_CLOSED else reason)
            return
        if reason in (Reason.CLIENT_CLOSED, Reason.SEND_TIMEOUT):
            self._lost(reason)
        else:
            self._give_up(reason, detail, pipeline.rule_of(reason))

    def _lost(self, reason: Reason) -> None:
        """Nobody is there to answer. Before an answer was begun the log says 499."""
        exchange = self._exchange
        assert exchange is not None
        now = self._engine.clock.now()
        if exchange.forwarded_at and not exchange.upstream_seconds:
            exchange.upstream_seconds = now - exchange.forwarded_at
        if self._stage is not ANSWERING and self._stage is not DRAINING:
            exchange.status = 499
            exchange.source = Source.GATEWAY
        exchange.reason = reason
        exchange.rule = pipeline.rule_of(reason)
        self._release()
        self._engine.close(exchange, now)

    def close(self) -> None:
        """The client's connection is gone for good."""
        self._engine.deadlines.forget(self)

    def on_deadline(self, now: float) -> None:
        if self._exchange is None:
            self.deadline = NEVER
            return
        if now >= self._total_until:
            connection, target = self._connection, self._target
            self._connection = None
            # An answer is missing, or a connection: not a client that sends or reads slowly.
            sent = self._stage is SENT and connection is not None and connection.request_done
            late = sent or self._stage is CONNECTING
            if late and target is not None:
                target.failed(now, silent=True, heard=True)  # `_release` counts it
                self._judge(False, Reason.TOTAL_TIMEOUT.value)
            if connection is not None:
                connection.close()
            self._give_up(Reason.TOTAL_TIMEOUT, "the exchange took longer than its total timeout", "timeouts.total")
        elif now >= self._queue_until and self._stage is QUEUED:
            self._give_up(Reason.OVERLOADED, "no connection to the target became free in time", "queue_timeout")
        else:
            self.deadline = min(self._queue_until, self._total_until)

"""After 101: a byte tunnel in both directions, with flow control and an idle deadline (RFC 9110 7.8).

Reloads leave tunnels alone; a drain ends them at its deadline. What may not live here: how it came about.
"""

from __future__ import annotations

from fastgw.errors import Reason, Retry, Source
from fastgw.gateway import pipeline
from fastgw.gateway.choice import TUNNEL
from fastgw.gateway.heads import switching_head
from fastgw.gateway.retries import Retries
from fastgw.model.deadlines import NEVER
from fastgw.model.messages import ResponseHead


class Tunnel(Retries):
    __slots__ = ()

    def on_switched(self, head: ResponseHead, early: bytes) -> None:
        """The upstream agreed; `early` is what it sent behind its head."""
        exchange = self._exchange
        assert exchange is not None
        exchange.status = 101
        exchange.source = Source.UPSTREAM
        exchange.keep_alive = False
        self._total_until = self.deadline = NEVER
        if self._target is not None:
            now = self._engine.clock.now()
            self._target.sample(now - self._sent_at, now)
        self._judge(True)
        self._stage = TUNNEL
        self._engine.websockets += 1
        self._write(exchange, switching_head(exchange, head))
        if early:
            self._write(exchange, early)
        self._client.enter_tunnel()

    def on_failure(self, reason: Reason, detail: str, retry: Retry) -> None:
        if self._stage is TUNNEL:
            self._connection = None
            self._end_tunnel(reason)
        else:
            super().on_failure(reason, detail, retry)

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
            connection.touch()
            connection.write(data)

    def on_tunnel_eof(self) -> None:
        """The upstream has said all it will: what is on its way to the client still goes out, then both ends close."""
        connection = self._connection
        self._connection = None
        if connection is not None:
            connection.close()
        self._end_tunnel(Reason.OK)

    def client_eof(self) -> None:
        """The client closed its half of the tunnel; the upstream's half goes on until it ends or falls silent."""
        if self._connection is not None:
            self._connection.write_eof()

    def _end_tunnel(self, reason: Reason) -> None:
        exchange = self._exchange
        assert exchange is not None
        now = self._engine.clock.now()
        exchange.reason = reason
        exchange.rule = pipeline.rule_of(reason)
        exchange.upstream_seconds = now - exchange.forwarded_at
        self._engine.websockets -= 1
        self._release()
        self._engine.close(exchange, now)
        self._client.leave_tunnel()

"""The request's body on its way in: who wants it when, `Expect`, flow control, a sender that is too slow.

The middle of a client's connection, between link.py (its life) and connection.py (heads, answers, ends). Framing and
clocks of a body are intake.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastgw.edge.intake import RATE_AFTER, Intake
from fastgw.edge.link import BUSY, TUNNEL, Link
from fastgw.errors import HttpError, Reason
from fastgw.gateway.forward import Forward
from fastgw.http1.writer import CONTINUE
from fastgw.model.deadlines import NEVER
from fastgw.model.exchange import Exchange

if TYPE_CHECKING:
    from fastgw.edge.dataplane import DataPlane


class Upload(Link):
    __slots__ = ("_body", "_body_wanted", "_exchange", "_expects", "_forward", "_raw")

    _forward: Forward  # made by the connection, whose exchanges it drives

    def __init__(self, plane: DataPlane) -> None:
        super().__init__(plane)
        self._raw = b""  # bytes not yet understood; at most one read beyond what is needed
        # For the life of one exchange
        self._exchange: Exchange | None = None
        self._body: Intake | None = None
        self._body_wanted = False  # an upstream takes it
        self._expects = False  # `Expect: 100-continue` that is not answered yet

    def start_body(self) -> None:
        body = self._body
        if body is None or body.done:
            return
        plane = self._plane
        now = plane.clock.now()
        self._body_wanted = True
        body.resumed(now)
        exchange = self._exchange
        if exchange is not None and exchange.route is not None:
            body.limit = exchange.route.max_body
        server = plane.engine.snapshot.server
        plane.deadlines.watch(self, now + min(server.body_timeout, RATE_AFTER))
        raw = self._raw
        if raw:
            self._raw = b""
            self._take_body(raw)
        elif self._expects:
            self.write(CONTINUE)
        self._expects = False
        self.resume_body()

    def _take_body(self, data: bytes) -> None:
        body, exchange = self._body, self._exchange
        assert body is not None and exchange is not None
        exchange.bytes_in += len(data)
        try:
            pieces = body.feed(data, self._plane.clock.now())
        except HttpError as error:
            self._body_wanted = False
            self._forward.abandon(error.reason, error.detail)
            return
        if body.done:
            self._body_wanted = False
            exchange.bytes_in -= len(body.rest)
            self._raw = body.rest
            if not self.blocked:
                self.deadline = NEVER
        self._forward.request_body(pieces, body.done, body.trailers)
        if body.done and self._raw and self._state is BUSY:
            self._pause_reading()

    def body_complete(self) -> bool:
        return self._body is None or self._body.done

    def settle_body(self) -> bool:
        body, exchange = self._body, self._exchange
        self._body_wanted = False
        if exchange is not None and exchange.head is None:
            return True  # where the request ends is unknown
        if body is None or body.done:
            return False
        if self._raw:
            raw, self._raw = self._raw, b""
            try:
                body.feed(raw, self._plane.clock.now())
            except HttpError:
                return True
            self._raw = body.rest
        return not body.done

    def pause_body(self) -> None:
        if self._state is TUNNEL:
            self._pause_reading()
        if self._body_wanted and self._body is not None:
            self._body.paused(self._plane.clock.now())
            self._pause_reading()

    def resume_body(self) -> None:
        body = self._body
        if not self._body_wanted or body is None:
            if self._state is TUNNEL or (self._state is BUSY and not self._raw):
                self._resume_reading()
            return
        if self._forward.wants_body():
            body.resumed(self._plane.clock.now())
            self._resume_reading()
        else:
            self.pause_body()

    def _check_body(self, now: float) -> None:
        body = self._body
        if body is None or not self._body_wanted:
            self.deadline = NEVER
            return
        server = self._plane.engine.snapshot.server
        due, why = body.verdict(now, server.body_timeout, float(server.min_body_rate))
        if why:
            self.deadline = NEVER
            self._body_wanted = False
            self._forward.abandon(Reason.BODY_TIMEOUT, why)
        else:
            self.deadline = due

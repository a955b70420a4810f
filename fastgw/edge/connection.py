"""A client's connection: bytes in and out, pipelining, flow control, and every deadline of a client.

Two lifetimes, two classes: this is the connection; the exchange is model/exchange.py, driven by gateway/forward.py.
Reading a head is head_reader.py, a body intake.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from fastgw.edge.intake import RATE_AFTER, Intake
from fastgw.edge.link import BUSY, CLOSED, CLOSING, IDLE, LINGER, TUNNEL
from fastgw.edge.upload import Upload
from fastgw.errors import HttpError, Reason
from fastgw.gateway import pipeline
from fastgw.gateway.forward import Forward
from fastgw.gateway.head_reader import method_of
from fastgw.gateway.heads import untrusted_lines
from fastgw.http1.memo import Streak
from fastgw.model.deadlines import NEVER
from fastgw.model.exchange import Exchange

if TYPE_CHECKING:
    from fastgw.edge.dataplane import DataPlane
    from fastgw.gateway.snapshot import Snapshot

HALF_CLOSED_SECONDS: Final = 1.0  # an answer that begins later than this after the client's FIN is not waited for
PIPELINED_AT_ONCE: Final = 16  # requests of one read served in one turn of the loop: others must have theirs
_CR, _LF = 13, 10


class ClientConnection(Upload):
    __slots__ = (
        "_head_since", "_listener", "_pumping", "_scanned", "_served", "_skipped", "_snapshot", "_streak", "_trusted",
        "forward_lines", "health_path", "peer", "port",
    )  # fmt: skip

    def __init__(self, plane: DataPlane, listener: int) -> None:
        super().__init__(plane)
        # For the life of the connection
        self._snapshot: Snapshot | None = None  # the last one that an exchange began with
        self._forward = Forward(plane.engine, self)
        self._streak = Streak()
        self._served = 0
        self._trusted = False
        self._listener = listener
        self.peer = b""
        self.port = plane.port(listener)
        self.health_path = b""
        self.forward_lines = b""
        # Between heads
        self._head_since = 0.0  # when the first part of an unfinished head came
        self._scanned = 0  # of them, checked for illegal bytes
        self._skipped = False  # the one empty line that may stand before a request line
        self._pumping = False

    # --- life -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports do not subclass asyncio's
        plane = self._plane
        peername = transport.get_extra_info("peername")
        address = peername[0] if isinstance(peername, tuple) and peername else "unix"
        if address.startswith("::ffff:") and "." in address:
            address = address[7:]
        self.peer = address.encode()
        self._follow(plane.engine.snapshot)
        plane.deadlines.watch(self, plane.clock.now() + plane.engine.snapshot.server.header_timeout)
        refused = plane.admit(self)
        if refused:
            self._refuse(HttpError(Reason.OVERLOADED, refused), b"")

    def _follow(self, snapshot: Snapshot) -> None:
        """What a connection keeps of the snapshot, for the exchanges that begin on it."""
        self._snapshot = snapshot
        self.health_path = self._plane.health_path(self._listener)
        self._trusted = self._plane.is_trusted(self.peer)
        self.forward_lines = untrusted_lines(self.peer, self.port)

    def connection_lost(self, exc: Exception | None) -> None:
        state = self._state
        self._state = CLOSED
        if state is BUSY or state is TUNNEL:
            self._forward.abandon(Reason.CLIENT_CLOSED)
        self._forward.close()
        self._plane.deadlines.forget(self)
        self._plane.left(self)
        self.transport = None
        self._raw = b""
        self._body = None
        self._exchange = None

    def close_if_idle(self) -> None:
        """A drain: connections between two exchanges end now, with FIN."""
        if self._state is IDLE and not self._raw:
            self.linger()  # a request that crosses our FIN must not be answered with a reset

    # --- heads ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is IDLE:
            if not self._raw:
                # One read, one head: what clients without pipelining send. Straight on, 0.2 us less than by `_pump`.
                end = len(data) - 4
                if data.find(b"\r\n\r\n") == end > 0 and data[0] != _CR:
                    self._head(data, end)
                    return
                self._raw = data
            else:
                self._raw += data
            self._pump()
        elif state is BUSY:
            if self._body_wanted:
                self._take_body(data)
            else:
                # Ahead of its turn: one read at most, then the client waits.
                self._raw = self._raw + data if self._raw else data
                self._pause_reading()
        elif state is TUNNEL:
            self._forward.tunnel_from_client(data)
        elif state is LINGER:
            self._discard(data)

    def _pump(self) -> None:
        """Hot. Serve what stands in `_raw`, one head after the other, while the connection is idle."""
        if self._pumping:
            return
        self._pumping = True
        turns = PIPELINED_AT_ONCE
        while self._raw and self._state is IDLE:
            raw = self._raw
            if raw[0] == _CR and not self._skipped and raw[1:2] == b"\n":  # RFC 9112 2.2
                self._skipped = True
                self._raw = raw[2:]
                continue
            end = raw.find(b"\r\n\r\n")
            if end < 0:
                self._part(raw)
                break
            if not turns:
                self._pause_reading()
                self._plane.loop.call_soon(self._pump_again)
                break
            turns -= 1
            self._raw = raw[end + 4 :]
            self._head(raw, end)
        self._pumping = False
        if self._raw and self._state is BUSY and not self._body_wanted:
            self._pause_reading()

    def _pump_again(self) -> None:
        if self._state is IDLE:
            self._resume_reading()
            self._pump()

    def _head(self, raw: bytes, end: int) -> None:
        """Hot. Begin the exchange of one complete head."""
        plane = self._plane
        engine = plane.engine
        snapshot = engine.snapshot
        if snapshot is not self._snapshot:
            self._follow(snapshot)
        try:
            now = plane.clock.now()
            exchange = plane.reader.read(raw, end, self._streak, now)
        except HttpError as error:
            line = raw[: raw.find(b"\r\n")]
            self._refuse(plane.reader.blame(error, line), line)
            return
        head = exchange.head
        assert head is not None
        if self._head_since:
            self._head_since = 0.0
            self._scanned = 0
        self._skipped = False
        self._state = BUSY
        self.deadline = NEVER
        self._exchange = exchange
        exchange.client = self.peer
        if self._trusted:
            exchange.trusted = True
        engine.in_flight += 1
        engine.stamp(exchange)
        self._served += 1
        if head.close or engine.closing or self._served == snapshot.keepalive_requests:
            exchange.keep_alive = False
        if exchange.http10 and not head.keep_alive:
            exchange.keep_alive = False
        if head.length:
            self._expects = head.expect_continue and not exchange.http10
            self._body = Intake(head, plane.reader.parser, now)
            self._pause_reading()
        try:
            pipeline.run(engine, self, self._forward, exchange, now)
        except Exception as error:  # a defect of ours must cost this exchange only
            self.defect(error, exchange)

    def defect(self, error: Exception, exchange: Exchange) -> None:
        self._plane.report(error, exchange)
        detail = "the gateway made an error; its log has the request id and the cause"
        self._forward.abandon(Reason.INTERNAL_ERROR, detail)
        if not exchange.closed:
            failure = pipeline.failure(Reason.INTERNAL_ERROR, detail)
            pipeline.send_reply(self._plane.engine, self, exchange, failure)

    def _part(self, raw: bytes) -> None:
        """Part of a head: wait for the rest, from now on with a deadline."""
        plane = self._plane
        try:
            plane.reader.check_part(raw, self._scanned, self._skipped)
        except HttpError as error:
            self._refuse(error, b"")
            return
        self._scanned = len(raw)
        if not self._head_since:
            self._head_since = plane.clock.now()
            plane.deadlines.watch(self, self._head_since + plane.engine.snapshot.server.header_timeout)

    def _refuse(self, error: HttpError, line: bytes) -> None:
        """A head that cannot be served. The connection ends: where the next request would begin is unknown."""
        plane = self._plane
        since = self._head_since or plane.clock.now()
        exchange = Exchange(None, method_of(line), b"", b"", False, since, len(line) + len(self._raw))
        exchange.client = self.peer
        exchange.keep_alive = False
        exchange.version = plane.engine.snapshot.version
        plane.engine.in_flight += 1
        plane.engine.stamp(exchange)
        self._exchange = exchange
        self._state = BUSY
        self.deadline = NEVER
        pipeline.send_reply(plane.engine, self, exchange, pipeline.refusal(error))

    # --- answers --------------------------------------------------------------------------------------------------

    def finished(self, exchange: Exchange, now: float) -> None:
        """Hot. The exchange is accounted and its answer written."""
        if self._body is not None or not exchange.keep_alive or self._eof:
            if not self._goes_on(exchange):
                return
        elif self._state is not BUSY:
            return
        self._exchange = None
        self._state = IDLE
        plane = self._plane
        deadline = self.deadline = now + plane.engine.snapshot.keepalive_timeout
        if deadline < self.wake:
            plane.deadlines.watch(self, deadline)
        if self._read_paused:
            self._resume_reading()
        if self._raw:
            self._pump()

    def _goes_on(self, exchange: Exchange) -> bool:
        """Whether the connection can serve another exchange; where not, it is on its way to its end."""
        body = self._body
        unread = body is not None and not body.done
        self._body = None
        self._body_wanted = False
        self._exchange = None
        if self._state is not BUSY:
            return False
        if exchange.keep_alive and not unread and not self._eof:
            return True
        if unread or exchange.head is None:
            self._raw = b""
            self.linger()
        else:
            self.close()
        return False

    def cut(self) -> None:
        """The answer stays incomplete, and the client must see that."""
        exchange = self._exchange
        self._exchange = None
        if exchange is not None and exchange.http10:
            self.reset()  # without a length nothing else tells an HTTP/1.0 client that this was not all
        else:
            self.close()

    def pause_writing(self) -> None:
        self.blocked = True
        self._watch_sending()
        self._forward.on_client_blocked()

    def resume_writing(self) -> None:
        self.blocked = False
        if self._state is BUSY or self._state is TUNNEL:
            self.deadline = NEVER
            if self._body_wanted:
                self._plane.deadlines.watch(self, self._plane.clock.now() + RATE_AFTER)
            self._forward.on_client_writable()

    # --- after 101 ------------------------------------------------------------------------------------------------

    def enter_tunnel(self) -> None:
        self._state = TUNNEL
        if not self.blocked:
            self.deadline = NEVER
        raw, self._raw = self._raw, b""
        if raw:
            self._forward.tunnel_from_client(raw)
        if self._eof:
            self._forward.client_eof()
        self.resume_body()

    def leave_tunnel(self) -> None:
        if self._state is TUNNEL:
            self.close()

    # --- the client's end, and time -------------------------------------------------------------------------------

    def eof_received(self) -> bool:
        """True keeps our half open."""
        self._eof = True
        state = self._state
        if state is BUSY:
            if not self.body_complete():
                self._forward.abandon(Reason.CLIENT_CLOSED)
                return False
            # A half-closed client may still want its answer, but most of those that say FIN are gone.
            if not self.blocked:
                self._plane.deadlines.watch(self, self._plane.clock.now() + HALF_CLOSED_SECONDS)
            return True
        if state is TUNNEL:
            self._forward.client_eof()
            return True
        return False

    def on_deadline(self, now: float) -> None:
        state = self._state
        if state is IDLE:
            self.deadline = NEVER
            if self._raw:
                self._refuse(HttpError(Reason.HEADER_TIMEOUT, "the request head did not come within header_timeout"), b"")
            else:
                self.close()
        elif state is LINGER or state is CLOSING:
            self.deadline = NEVER
            self.abort()
        elif state is CLOSED:
            self.deadline = NEVER
        elif self.blocked:
            if not self._sends(now):
                self.deadline = NEVER
                self._forward.abandon(Reason.SEND_TIMEOUT)
                self.abort()
        elif self._eof and not self._forward.answering():
            self.deadline = NEVER
            self._forward.abandon(Reason.CLIENT_CLOSED)
            self.abort()
        else:
            self._check_body(now)

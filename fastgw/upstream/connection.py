"""One connection to a target, and the answers that come over it. The upstream half of the data plane's hot path.

It frames answers and tells its owner (the attempt that borrowed it) by plain calls. Which request is sent, and what
becomes of an answer, is the owner's business; how the connection lives and ends is wire.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastgw.errors import HttpError, Reason, Retry
from fastgw.http1 import rules
from fastgw.http1.body import ChunkedDecoder
from fastgw.http1.memo import KNOWN, Streak
from fastgw.http1.response import framing, parse_response_head
from fastgw.http1.volatile import stands_elsewhere, take_out, value_of
from fastgw.model.messages import Framing, ResponseHead
from fastgw.upstream.tls import REFUSED, refused_late
from fastgw.upstream.wire import BODY, CLOSED, HEAD, IDLE, TUNNEL, Shared, Wire

if TYPE_CHECKING:
    from fastgw.upstream.pool import Pool

MAX_ANSWER_HEAD: Final = 32 * 1024  # bytes, as for clients by default
_HEAD_TOO_LARGE: Final = "an answer head of more than 32 KiB"
_F_NONE: Final = Framing.NONE
_F_LENGTH: Final = Framing.LENGTH
_F_CHUNKED: Final = Framing.CHUNKED
_F_CLOSE: Final = Framing.CLOSE


class UpstreamConnection(Wire):
    __slots__ = ("_buffer", "_decoder", "_framing", "_head", "_interims", "_left")

    def __init__(self, pool: Pool, shared: Shared, streak: Streak) -> None:
        super().__init__(pool, shared, streak)
        # For the life of one answer
        self._buffer = b""
        self._head: ResponseHead | None = None
        self._framing = _F_NONE
        self._left = 0
        self._decoder: ChunkedDecoder | None = None
        self._interims = 0

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state is HEAD:
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            self._heads(data)
        elif state is BODY:
            self._body(data)
        elif state is TUNNEL:
            self.touch()
            if self.owner is not None:
                self.owner.on_tunnel_data(data)
        elif state is IDLE:
            # Nobody asked: bytes on an idle connection would become the answer to somebody else's request.
            self.close()

    def _heads(self, data: bytes) -> None:
        """Hot: one read with a whole head in it, its bytes known to the memo, its body complete."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._partial_head(data)
            return
        raw = data[: end + 2]
        streak = self._streak
        if streak.skip:
            head = self._look_closer(data, raw, streak)
        else:
            head = self._shared.memo.young.get(raw)
            if head is None:
                head = self._remember(raw, streak)
            else:
                streak.misses = 0
        if head is None:
            return
        end += 4
        # The common answer, decided inline: a length, all of it here, to a request that ended.
        if head.simple and len(data) == end + head.length and self.request_done and self.method != b"HEAD":
            owner = self.owner
            now = self.now()
            pool = self.pool
            self.owner = None
            if self.odd or pool.queued:
                self._finish(head, now)
            else:
                self.state = IDLE
                self.reused = True
                self.keep_seconds = head.keep_timeout
                pool.give(self, now)
            if owner is not None:
                owner.on_answer(head, _F_LENGTH, data[end:], True, now)
            return
        if head.status < 200:
            self._interim(head, data[end:])
        else:
            self._start_body(head, data[end:])

    def _look_closer(self, data: bytes, raw: bytes, streak: Streak) -> ResponseHead | None:
        """The memo is given up for this upstream, or heads are remembered without their volatile line."""
        volatile = streak.volatile
        if volatile is None or streak.skip != KNOWN:
            streak.skip -= 1
            return self._parse(raw)
        parts = take_out(data, volatile.marker, data.find(b"\r\n") + 2, len(raw))
        if parts is None:
            streak.missed()
            return self._parse(raw)
        rest = raw[: raw.find(b"\r\n") + 2] + parts[0]
        memo = self._shared.memo
        head = memo.young.get(rest)
        if head is None:
            memo.misses += 1
            head = memo.promote(rest)
            if head is None:
                streak.missed()
                head = self._parse(rest)
                if head is None:
                    return None
                memo.store(rest, head)
        else:
            streak.misses = 0
        fields = head.fields
        if len(fields) >= rules.MAX_FIELDS or len(raw) > MAX_ANSWER_HEAD or stands_elsewhere(volatile.name, fields):
            return self._parse(raw)
        return head.with_line(volatile.name, value_of(parts[1]), parts[1])

    def _remember(self, raw: bytes, streak: Streak) -> ResponseHead | None:
        """Not in the younger generation: the older one, or the parser."""
        memo = self._shared.memo
        memo.misses += 1
        head = memo.promote(raw)
        if head is None:
            head = self._parse(raw)
            if head is not None:
                memo.store(raw, head)
                streak.missed()
                streak.learn(raw)
        return head

    def _parse(self, raw: bytes) -> ResponseHead | None:
        try:
            if len(raw) > MAX_ANSWER_HEAD:
                raise HttpError(Reason.UPSTREAM_PROTOCOL_ERROR, _HEAD_TOO_LARGE)
            return parse_response_head(raw, self._shared.parser)
        except HttpError as error:
            self._fail(Reason.UPSTREAM_PROTOCOL_ERROR, error.detail)
            return None

    def _partial_head(self, data: bytes) -> None:
        if len(data) > MAX_ANSWER_HEAD:
            self._fail(Reason.UPSTREAM_PROTOCOL_ERROR, _HEAD_TOO_LARGE)
        elif rules.ILLEGAL_PARTIAL_SEARCH.search(data) or not b"HTTP/1.".startswith(data[:7]):
            self._fail(Reason.UPSTREAM_PROTOCOL_ERROR, "the answer does not begin like HTTP/1.x")
        else:
            self._buffer = data

    def _interim(self, head: ResponseHead, rest: bytes) -> None:
        """1xx: passed on, and the real answer follows. 101 ends HTTP on this connection, if it was asked for."""
        owner = self.owner
        assert owner is not None
        if head.status == 101:
            if not (self.upgrade and head.websocket):
                self._fail(Reason.UPSTREAM_PROTOCOL_ERROR, "101 to a request that asked for no such upgrade")
                return
            self.state = TUNNEL
            self._shared.deadlines.watch(self, self.now() + self.idle_timeout)
            owner.on_switched(head, rest)
            return
        self._interims += 1
        self.odd = True
        if self._interims > rules.MAX_INTERIM:
            self._fail(Reason.UPSTREAM_PROTOCOL_ERROR, f"more than {rules.MAX_INTERIM} interim answers")
            return
        owner.on_interim(head)
        if rest and self.state is HEAD:
            self._heads(rest)

    def _start_body(self, head: ResponseHead, rest: bytes) -> None:
        owner = self.owner
        assert owner is not None
        self._head = head
        self.trailers = b""
        how = framing(head, self.method)
        self._framing = how
        whole = False
        now = self.now()
        if how is _F_NONE:
            whole = True
            if rest:
                self._poison()
                rest = b""
        elif how is _F_LENGTH:
            self._left = head.length
            rest, whole = self._take_length(rest)
        elif how is _F_CHUNKED:
            self._decoder = ChunkedDecoder(self._shared.parser)
            decoded = self._take_chunks(rest)
            if decoded is None:
                return
            rest, whole = decoded
        if whole:
            self._finish(head, now)
        else:
            self.state = BODY
            self._shared.deadlines.watch(self, now + self.idle_timeout)
        owner.on_answer(head, how, rest, whole, now)

    def _body(self, data: bytes) -> None:
        owner = self.owner
        assert owner is not None
        how = self._framing
        whole = False
        if how is _F_LENGTH:
            data, whole = self._take_length(data)
        elif how is _F_CHUNKED:
            decoded = self._take_chunks(data)
            if decoded is None:
                return
            data, whole = decoded
        now = self.now()
        if whole:
            head = self._head
            assert head is not None
            self._finish(head, now)
        else:
            deadline = self.deadline = now + self.idle_timeout
            if deadline < self.wake:
                self._shared.deadlines.watch(self, deadline)
        if data or whole:
            owner.on_body(data, whole)

    def _take_length(self, data: bytes) -> tuple[bytes, bool]:
        left = self._left - len(data)
        self._left = left
        if left > 0:
            return data, False
        if left < 0:
            self._poison()
            data = data[:left]
        return data, True

    def _take_chunks(self, data: bytes) -> tuple[bytes, bool] | None:
        decoder = self._decoder
        assert decoder is not None
        try:
            pieces = decoder.feed(data)
        except HttpError as error:
            self._fail(Reason.UPSTREAM_PROTOCOL_ERROR, error.detail)
            return None
        if decoder.done:
            self.trailers = decoder.trailers
            if decoder.rest:
                self._poison()
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), decoder.done

    def _poison(self) -> None:
        """Bytes after a complete answer: whatever they are, this connection serves nobody else."""
        self.generation = -1
        self.odd = True

    def _finish(self, head: ResponseHead, now: float) -> None:
        """The answer is complete: back to the pool, or closed where the connection cannot be used again."""
        self.owner = None
        self._head = None
        self._decoder = None
        self._interims = 0
        self.upgrade = self.odd = False
        if self._paused:
            self.resume_reading()
        if not head.keep_alive or not self.request_done or self._framing is _F_CLOSE or self.generation < 0:
            self.close()
            return
        self.keep_seconds = head.keep_timeout
        self._framing = _F_NONE
        self.state = IDLE
        self.reused = True
        self.pool.give(self, now)

    def eof_received(self) -> bool:
        """The peer has said all it will: in TLS with close_notify, for a mere end of the bytes is not told here."""
        state, owner = self.state, self.owner
        if state is TUNNEL and owner is not None:
            owner.on_tunnel_eof()  # it closes both halves
        elif state is IDLE:
            self.close()  # before somebody takes it
        elif state is BODY and self._framing is _F_CLOSE and owner is not None:
            self.close()
            owner.on_body(b"", True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        state = self.state
        if state is CLOSED:
            self.transport = None
            return
        if state is HEAD:
            if self._buffer or self._interims:
                self._fail(Reason.UPSTREAM_RESET, "the upstream closed in the middle of an answer's head")
            elif not self.reused and refused_late(exc):
                # Never again: the request's body may have begun.
                self._fail(Reason.TLS_ERROR, REFUSED)
            else:
                again = Retry.REUSED_ONLY if self.reused else Retry.NEVER
                self._fail(Reason.UPSTREAM_RESET, "the upstream closed without an answer", again)
        elif state is BODY:
            self._fail(Reason.RESPONSE_TRUNCATED, "the upstream closed before the end of its answer")
        elif state is TUNNEL:
            self._fail(Reason.OK, "the tunnel's upstream closed")
        else:
            self.close()
        self.transport = None

"""One connection to a target, and the answers that come over it. The upstream half of the data plane's hot path.

It frames answers, keeps its own deadline, and tells its owner (the attempt that borrowed it) by plain calls. Which
request is sent, and what becomes of an answer, is the owner's business.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

from fastgw.clock import Clock
from fastgw.errors import HttpError, Reason, Retry
from fastgw.http1 import rules
from fastgw.http1.body import ChunkedDecoder
from fastgw.http1.fields import FieldParser
from fastgw.http1.memo import Memo, Streak
from fastgw.http1.response import framing, parse_response_head
from fastgw.model.deadlines import NEVER, Deadlines
from fastgw.model.messages import Framing, ResponseHead

if TYPE_CHECKING:
    from fastgw.upstream.pool import Pool

MAX_ANSWER_HEAD = 64 * 1024  # bytes; twice what a client may send us, since upstreams set many cookies


class State(IntEnum):
    """Legal moves: CONNECTING -> IDLE; IDLE -> HEAD; HEAD -> BODY, IDLE or TUNNEL; BODY -> IDLE; any -> CLOSED."""

    CONNECTING = 0
    IDLE = 1
    HEAD = 2
    BODY = 3
    TUNNEL = 4
    CLOSED = 5


# A member looked up on its class costs 45 ns in CPython 3.11, a module's name 4.
_CONNECTING: Final = State.CONNECTING
_IDLE: Final = State.IDLE
_HEAD: Final = State.HEAD
_BODY: Final = State.BODY
_TUNNEL: Final = State.TUNNEL
_CLOSED: Final = State.CLOSED
_F_NONE: Final = Framing.NONE
_F_LENGTH: Final = Framing.LENGTH
_F_CHUNKED: Final = Framing.CHUNKED
_F_CLOSE: Final = Framing.CLOSE


class Owner(Protocol):
    """The attempt. `whole` says that the answer is complete; the connection is then no longer the owner's."""

    if not TYPE_CHECKING:  # mypy takes slots of a protocol for all the attributes that there are
        __slots__ = ()

    def on_connected(self, connection: UpstreamConnection) -> None: ...

    def on_interim(self, head: ResponseHead) -> None: ...

    def on_answer(self, head: ResponseHead, how: Framing, body: bytes, whole: bool, now: float) -> None: ...

    def on_body(self, body: bytes, whole: bool) -> None: ...

    def on_failure(self, reason: Reason, detail: str, retry: Retry) -> None: ...

    def on_switched(self, head: ResponseHead, early: bytes) -> None: ...

    def on_tunnel_data(self, data: bytes) -> None: ...

    def on_tunnel_eof(self) -> None: ...

    def on_upstream_blocked(self) -> None: ...

    def on_upstream_writable(self) -> None: ...


class Shared:
    """What all connections of a worker share."""

    __slots__ = ("clock", "deadlines", "loop", "memo", "parser")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, deadlines: Deadlines) -> None:
        self.loop = loop
        self.clock = clock
        self.deadlines = deadlines
        self.memo: Memo[ResponseHead] = Memo()
        self.parser = FieldParser()


class UpstreamConnection(asyncio.Protocol):
    __slots__ = (
        "_buffer", "_decoder", "_framing", "_head", "_interims", "_left", "_paused", "_shared", "_streak",
        "blocked", "deadline", "generation", "idle_timeout", "keep_seconds", "method", "now", "owner", "pool",
        "request_done", "reused", "state", "task", "trailers", "transport", "upgrade", "wake",
    )  # fmt: skip

    def __init__(self, pool: Pool, shared: Shared, streak: Streak) -> None:
        # For the life of the connection
        self._shared = shared
        self._streak = streak
        self.pool = pool
        self.generation = pool.generation
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None
        self.state = _CONNECTING
        self.deadline = NEVER
        self.wake = NEVER
        self.now = shared.clock.now
        self.reused = False
        self.keep_seconds = -1.0  # what the upstream promised with Keep-Alive: timeout=
        self.blocked = False  # the transport's buffer is above its high-water mark
        # For the life of one attempt
        self.owner: Owner | None = None
        self.method = b""
        self.upgrade = False
        self.request_done = False
        self.idle_timeout = 60.0
        self.trailers = b""
        self._buffer = b""
        self._head: ResponseHead | None = None
        self._framing = _F_NONE
        self._left = 0
        self._decoder: ChunkedDecoder | None = None
        self._interims = 0
        self._paused = False

    # --- the owner's side -------------------------------------------------------------------------------------

    def begin(self, owner: Owner, method: bytes, data: bytes, done: bool, deadline: float, idle: float) -> None:
        """Send a request head (and what of its body is there). `done`: the request ends with `data`."""
        self.owner = owner
        self.method = method
        self.request_done = done
        self.idle_timeout = idle
        self.state = _HEAD
        self.deadline = deadline
        if deadline < self.wake:
            self._shared.deadlines.watch(self, deadline)
        transport = self.transport
        if transport is not None:
            transport.write(data)

    def write(self, data: bytes) -> None:
        """More of the request body."""
        if self.transport is not None:
            self.transport.write(data)

    def end_request(self, response_timeout: float) -> None:
        """The request is complete; from now on its answer is due."""
        self.request_done = True
        if self.state is _HEAD:
            self._shared.deadlines.watch(self, self.now() + response_timeout)

    def pause_reading(self) -> None:
        """The client does not keep up. Our own clock stands still meanwhile."""
        if not self._paused and self.transport is not None and self.state is not _CLOSED:
            self._paused = True
            self.deadline = NEVER
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and self.transport is not None and self.state is not _CLOSED:
            self._paused = False
            if self.state is _BODY or self.state is _TUNNEL:
                self._shared.deadlines.watch(self, self.now() + self.idle_timeout)
            self.transport.resume_reading()

    def touch(self) -> None:
        """Bytes of the client went through the tunnel: it is not idle."""
        self._shared.deadlines.watch(self, self.now() + self.idle_timeout)

    def write_eof(self) -> None:
        if self.transport is not None and not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()

    def close(self) -> None:
        """Give the connection up, in whatever state. Idempotent; the owner hears nothing of it."""
        self.owner = None
        if self.state is _CLOSED:
            return
        self.state = _CLOSED
        self._shared.deadlines.forget(self)
        if self.task is not None:
            self.task.cancel()
            self.task = None
        if self.transport is not None:
            # abort, not close: unsent request bytes are of no use to anyone, and a closing transport with a full
            # buffer would keep its memory until a dead peer's kernel gives up.
            self.transport.abort()
        self.pool.closed(self)

    # --- asyncio's side -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports do not subclass asyncio's
        if self.state is _CLOSED:
            transport.close()
            return
        self.task = None
        self.state = _IDLE
        self.deadline = NEVER
        owner = self.owner
        if owner is not None:
            owner.on_connected(self)

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state is _HEAD:
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            self._heads(data)
        elif state is _BODY:
            self._body(data)
        elif state is _TUNNEL:
            self.touch()
            if self.owner is not None:
                self.owner.on_tunnel_data(data)
        elif state is _IDLE:
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
            streak.skip -= 1
            head = self._parse(raw)
        else:
            memo = self._shared.memo
            head = memo.young.get(raw)
            if head is None:
                memo.misses += 1
                head = memo.promote(raw) or self._parse(raw)
            else:
                memo.hits += 1
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
            if pool.queued or self.generation < 0 or self._interims or self._paused:
                self._finish(head, now)
            else:
                self.state = _IDLE
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

    def _parse(self, raw: bytes) -> ResponseHead | None:
        try:
            head = parse_response_head(raw, self._shared.parser)
        except HttpError as error:
            self._fail(Reason.UPSTREAM_PROTOCOL_ERROR, error.detail)
            return None
        streak = self._streak
        if not streak.skip:
            streak.missed()
            self._shared.memo.store(raw, head)
        return head

    def _partial_head(self, data: bytes) -> None:
        if len(data) > MAX_ANSWER_HEAD:
            self._fail(Reason.UPSTREAM_PROTOCOL_ERROR, f"an answer head of more than {MAX_ANSWER_HEAD} bytes")
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
            self.state = _TUNNEL
            self._shared.deadlines.watch(self, self.now() + self.idle_timeout)
            owner.on_switched(head, rest)
            return
        self._interims += 1
        if self._interims > rules.MAX_INTERIM:
            self._fail(Reason.UPSTREAM_PROTOCOL_ERROR, f"more than {rules.MAX_INTERIM} interim answers")
            return
        owner.on_interim(head)
        if rest and self.state is _HEAD:
            self._heads(rest)

    def _start_body(self, head: ResponseHead, rest: bytes) -> None:
        owner = self.owner
        assert owner is not None
        self._head = head
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
            self.trailers = b""
            self._decoder = ChunkedDecoder(self._shared.parser)
            decoded = self._take_chunks(rest)
            if decoded is None:
                return
            rest, whole = decoded
        if whole:
            self._finish(head, now)
        else:
            self.state = _BODY
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

    def _finish(self, head: ResponseHead, now: float) -> None:
        """The answer is complete: back to the pool, or closed where the connection cannot be used again."""
        self.owner = None
        self._head = None
        self._decoder = None
        self._interims = 0
        self.upgrade = False
        if self._paused:
            self.resume_reading()
        if not head.keep_alive or not self.request_done or self._framing is _F_CLOSE or self.generation < 0:
            self.close()
            return
        self.keep_seconds = head.keep_timeout
        self._framing = _F_NONE
        self.state = _IDLE
        self.reused = True
        self.pool.give(self, now)

    def _fail(self, reason: Reason, detail: str, retry: Retry = Retry.NEVER) -> None:
        owner = self.owner
        self.close()
        if owner is not None:
            owner.on_failure(reason, detail, retry)

    def eof_received(self) -> bool:
        if self.state is _TUNNEL and self.owner is not None:
            self.owner.on_tunnel_eof()
            return True  # keep our half open until the client is done as well
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        state = self.state
        if state is _CLOSED:
            self.transport = None
            return
        owner = self.owner
        if state is _BODY and self._framing is _F_CLOSE and exc is None and owner is not None:
            self.close()
            owner.on_body(b"", True)
        elif state is _HEAD:
            if self._buffer or self._interims:
                self._fail(Reason.UPSTREAM_RESET, "the upstream closed in the middle of an answer's head")
            else:
                again = Retry.REUSED_ONLY if self.reused else Retry.NEVER
                self._fail(Reason.UPSTREAM_RESET, "the upstream closed without an answer", again)
        elif state is _BODY:
            self._fail(Reason.RESPONSE_TRUNCATED, "the upstream closed before the end of its answer")
        elif state is _TUNNEL:
            self._fail(Reason.OK, "the tunnel's upstream closed")
        else:
            self.close()
        self.transport = None

    def pause_writing(self) -> None:
        self.blocked = True
        if self.owner is not None:
            if self.state is _HEAD:
                self._shared.deadlines.watch(self, self.now() + self.idle_timeout)
            self.owner.on_upstream_blocked()

    def resume_writing(self) -> None:
        self.blocked = False
        if self.owner is not None:
            if self.state is _HEAD and not self.request_done:
                self.deadline = NEVER
            self.owner.on_upstream_writable()

    def on_deadline(self, now: float) -> None:
        state = self.state
        if state is _CONNECTING:
            self._fail(Reason.CONNECT_TIMEOUT, "no connection within the connect timeout", Retry.ALWAYS)
        elif state is _HEAD and self.request_done:
            self._fail(Reason.RESPONSE_TIMEOUT, "no answer within the response timeout")
        elif state is _HEAD or state is _BODY:
            self._fail(Reason.IDLE_TIMEOUT, "the upstream made no progress within the idle timeout")
        elif state is _TUNNEL:
            self._fail(Reason.IDLE_TIMEOUT, "nothing went through the tunnel within the idle timeout")
        else:
            self.close()

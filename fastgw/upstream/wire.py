"""The life of a connection to a target: opening, sending, flow control, deadlines, the end. No HTTP but the states.

The lower half of an upstream connection; what its bytes mean is connection.py's.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

from fastgw.clock import Clock
from fastgw.errors import Reason, Retry
from fastgw.http1.fields import FieldParser
from fastgw.http1.memo import Memo, Streak
from fastgw.model.deadlines import NEVER, Deadlines, Timed
from fastgw.model.messages import Framing, ResponseHead
from fastgw.model.outbox import Outbox
from fastgw.upstream.tls import TlsContexts, settle

if TYPE_CHECKING:
    from fastgw.upstream.pool import Pool


class State(IntEnum):
    """Legal moves: CONNECTING -> IDLE; IDLE -> HEAD; HEAD -> BODY, IDLE or TUNNEL; BODY -> IDLE; any -> CLOSED."""

    CONNECTING = 0
    IDLE = 1
    HEAD = 2
    BODY = 3
    TUNNEL = 4
    CLOSED = 5


# A member looked up on its class costs 45 ns in CPython 3.11, a module's name 4.
CONNECTING: Final = State.CONNECTING
IDLE: Final = State.IDLE
HEAD: Final = State.HEAD
BODY: Final = State.BODY
TUNNEL: Final = State.TUNNEL
CLOSED: Final = State.CLOSED


class Owner(Protocol):
    """The attempt. `whole` says that the answer is complete; the connection is then no longer the owner's."""

    if not TYPE_CHECKING:  # mypy takes slots of a protocol for all the attributes that there are
        __slots__ = ()

    def on_connected(self, connection: Wire) -> None: ...

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

    __slots__ = ("clock", "deadlines", "loop", "memo", "outbox", "parser", "tls_contexts")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, deadlines: Deadlines, outbox: Outbox
    ) -> None:
        self.loop = loop
        self.clock = clock
        self.deadlines = deadlines
        self.outbox = outbox
        self.memo: Memo[ResponseHead] = Memo()
        self.parser = FieldParser()
        self.tls_contexts = TlsContexts()


class Wire(asyncio.Protocol, Timed):
    __slots__ = (
        "_outbox", "_paused", "_shared", "_streak", "blocked", "deadline", "generation", "idle_timeout", "keep_seconds",
        "method", "now", "odd", "owner", "pool", "request_done", "reused", "state", "task", "trailers", "transport",
        "upgrade", "wake",
    )  # fmt: skip

    def __init__(self, pool: Pool, shared: Shared, streak: Streak) -> None:
        # For the life of the connection
        self._shared = shared
        self._outbox = shared.outbox
        self._streak = streak
        self.pool = pool
        self.generation = pool.generation
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None
        self.state = CONNECTING
        self.deadline = NEVER
        self.wake = NEVER
        self.now = shared.clock.now
        self.reused = False
        self.keep_seconds = -1.0  # what the upstream promised with Keep-Alive: timeout=
        self.blocked = False  # the transport's buffer is above its high-water mark
        # For the life of one attempt
        self.owner: Owner | None = None
        self.method = b""
        self.upgrade = False  # a switch of protocols was asked for
        self.odd = False  # more happened than a request and a whole answer: `_finish` has something to undo
        self.request_done = False
        self.idle_timeout = 60.0
        self.trailers = b""
        self._paused = False

    # --- the owner's side -------------------------------------------------------------------------------------

    def begin(self, owner: Owner, method: bytes, data: bytes, done: bool, deadline: float, idle: float) -> None:
        """Send a request head (and what of its body is there). `done`: the request ends with `data`."""
        self.owner = owner
        self.method = method
        self.request_done = done
        self.idle_timeout = idle
        self.state = HEAD
        self.deadline = deadline
        if deadline < self.wake:
            self._shared.deadlines.watch(self, deadline)
        self._outbox.send(self, data)

    def ask_upgrade(self) -> None:
        """The request that follows asks for another protocol: 101 is a legal answer to it."""
        self.upgrade = self.odd = True

    def write(self, data: bytes) -> None:
        """More of the request body, or of the tunnel."""
        self._outbox.send(self, data)

    def end_request(self, response_timeout: float) -> None:
        """The request is complete; from now on its answer is due."""
        self.request_done = True
        if self.state is HEAD:
            self._shared.deadlines.watch(self, self.now() + response_timeout)

    def pause_reading(self) -> None:
        """The client does not keep up. Our own clock stands still meanwhile."""
        if not self._paused and self.transport is not None and self.state is not CLOSED:
            self._paused = self.odd = True
            self.deadline = NEVER
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and self.transport is not None and self.state is not CLOSED:
            self._paused = False
            if self.state is BODY or self.state is TUNNEL:
                self._shared.deadlines.watch(self, self.now() + self.idle_timeout)
            self.transport.resume_reading()

    def touch(self) -> None:
        """Bytes of the client went through the tunnel: it is not idle."""
        self._shared.deadlines.watch(self, self.now() + self.idle_timeout)

    def write_eof(self) -> None:
        self._outbox.flush()
        if self.transport is None or self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            # TLS as asyncio knows it has no half close. A client that stops sending into a tunnel is most often gone:
            # what was sent still goes out, then the target hears close_notify and answers with its own.
            self.transport.close()

    def close(self) -> None:
        """Give the connection up, in whatever state. Idempotent; the owner hears nothing of it."""
        self.owner = None
        if self.state is CLOSED:
            return
        self.state = CLOSED
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
        if self.state is CLOSED:
            transport.close()
            return
        if self.pool.target.tls is not None:
            settle(transport)
        self.task = None
        self.state = IDLE
        self.deadline = NEVER
        owner = self.owner
        if owner is not None:
            owner.on_connected(self)

    def _fail(self, reason: Reason, detail: str, retry: Retry = Retry.NEVER) -> None:
        owner = self.owner
        self.close()
        if owner is not None:
            owner.on_failure(reason, detail, retry)

    def pause_writing(self) -> None:
        self.blocked = True
        if self.owner is not None:
            if self.state is HEAD:
                self._shared.deadlines.watch(self, self.now() + self.idle_timeout)
            self.owner.on_upstream_blocked()

    def resume_writing(self) -> None:
        self.blocked = False
        if self.owner is not None:
            if self.state is HEAD and not self.request_done:
                self.deadline = NEVER
            self.owner.on_upstream_writable()

    def on_deadline(self, now: float) -> None:
        state = self.state
        if state is CONNECTING:
            self._fail(Reason.CONNECT_TIMEOUT, "no connection within the connect timeout", Retry.ALWAYS)
        elif state is HEAD and self.request_done:
            self._fail(Reason.RESPONSE_TIMEOUT, "no answer within the response timeout")
        elif state is HEAD or state is BODY:
            self._fail(Reason.IDLE_TIMEOUT, "the upstream made no progress within the idle timeout")
        elif state is TUNNEL:
            self._fail(Reason.IDLE_TIMEOUT, "nothing went through the tunnel within the idle timeout")
        else:
            self.close()

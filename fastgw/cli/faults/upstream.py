"""A service that answers every HTTP/1.1 request with its name as JSON, and fails as told (orders.py).

It reads what a correct client sends and no more: it is no judge of messages. `/_fault` and `/_fault/NAME` on any of
its ports tell it what to do, whatever its mode, as long as somebody can connect (control.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import orjson

from fastgw.cli.faults.counts import Deliveries
from fastgw.cli.faults.message import BadMessage, Request, RequestReader, render
from fastgw.cli.faults.orders import MOMENTS, Order
from fastgw.cli.faults.service import Service, end, reset

# (own name, method, path behind /_fault, body) -> status, answer
Control = Callable[[str, str, str, bytes], tuple[int, object]]

CONTROL: Final = "/_fault"
# Paths and user agents of health checks, which are not counted as requests.
CHECK_PATHS: Final = ("/healthz", "/health")
CHECK_AGENT: Final = b"fastgw-health"


class Upstream(Service):
    def __init__(self, name: str, host: str, port: int, deliveries: Deliveries, control: Control) -> None:
        self.control = control
        super().__init__(name, host, port, deliveries)
        self.extra = f"X-Target: {self.name}\r\n".encode()

    def connection(self) -> asyncio.Protocol:
        return Connection(self)


class Connection(asyncio.Protocol):
    """Requests on it are answered one after the other; what comes early waits."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._reader = RequestReader()
        self._fault: Order | None = None
        self._busy = False  # a request is in hand: nothing more is read from the buffer
        self._over = False
        self._frozen = False
        self._unsent: list[bytes] = []  # what was to go out while frozen
        self._timer: asyncio.TimerHandle | None = None

    # --- the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._over = not self._upstream.accepted(transport, self)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._upstream.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    # --- what the service does to it ---

    def hit(self) -> None:
        self._over = True
        reset(self._transport)

    def freeze(self) -> None:
        self._frozen = True
        self._transport.pause_reading()

    def thaw(self) -> None:
        if self._frozen:
            self._frozen = False
            self._transport.resume_reading()
            self._send(b"".join(self._unsent))
            self._unsent.clear()
            self._advance()

    # --- requests ---

    def _advance(self) -> None:
        try:
            while not self._busy and not self._over and not self._frozen:
                request = self._reader.request
                if request is None:
                    request = self._reader.head()
                    if request is None:
                        return
                    self._begin(request)
                    if self._over:
                        return
                if not self._reader.body():
                    return
                self._busy = True
                self._act(request)
        except BadMessage as error:
            self._write(400, {"error": str(error)})
            self._end("close")

    def _begin(self, request: Request) -> None:
        """Its head is there: it has been delivered, whatever becomes of its body."""
        self._fault = None
        if request.path.startswith(CONTROL):
            return
        upstream = self._upstream
        check = request.path in CHECK_PATHS or request.agent.startswith(CHECK_AGENT)
        if check:
            upstream.counts.checks += 1
        else:
            upstream.counts.request(upstream.loop.time())
            upstream.counts.methods[request.method] += 1
            if request.test_id:
                upstream.deliveries.met(request.method, request.test_id)
        fault = self._fault = upstream.draw(check=check)
        if fault is not None and fault.mode == "cut":
            moment = upstream.script.one_of(MOMENTS) if fault.at == "random" else fault.at
            if moment == "head":
                self._end(fault.how)
            elif moment == "answer":
                request.cut_answer = True

    def _act(self, request: Request) -> None:
        """It has been read whole."""
        if request.path.startswith(CONTROL):
            self._control(request)
            return
        fault = self._fault
        if fault is None:
            self._answer(request)
            return
        match fault.mode:
            case "delay":
                self._later(fault.ms / 1000, lambda: self._answer(request))
            case "stall":
                pass  # it stays in hand, until the client goes away
            case "status" | "fail_rate":
                self._answer(request, fault.status, fault.retry_after)
            case "garbage":
                self._send(self._upstream.script.junk())
                self._end("close")
            case "drip":
                head, body = self._rendered(request)
                if fault.at == "body":
                    self._send(head)
                    self._drip(body, fault.interval, request)
                else:
                    self._drip(head + body, fault.interval, request)
            case "halve":
                head, body = self._rendered(request)
                self._send(head + body[: len(body) // 2])
                self._end(fault.how)
            case "cut":
                if request.cut_answer:
                    answer = b"".join(self._rendered(request))
                    self._send(answer[: self._upstream.script.below(len(answer))])
                self._end(fault.how)
            case _:
                raise AssertionError(fault.mode)

    def _control(self, request: Request) -> None:
        behind = request.path.partition("?")[0][len(CONTROL) :].lstrip("/")
        status, answer = self._upstream.control(self._upstream.name, request.method, behind, request.body)
        if not self._over:  # it may have been told to die
            self._write(status, answer)
            self._next(request)

    # --- answers ---

    def _rendered(
        self, request: Request, status: int = 200, retry_after: int | None = None
    ) -> tuple[bytes, bytes]:
        answer = {
            "target": self._upstream.name,
            "method": request.method,
            "path": request.path,
            "bytes": request.size,
        }
        extra = self._upstream.extra
        if retry_after is not None:
            extra += b"Retry-After: %d\r\n" % retry_after
        return render(status, orjson.dumps(answer) + b"\n", extra, head_only=request.method == "HEAD")

    def _answer(self, request: Request, status: int = 200, retry_after: int | None = None) -> None:
        self._send(b"".join(self._rendered(request, status, retry_after)))
        self._upstream.counts.answered += 1
        self._next(request)

    def _write(self, status: int, answer: object) -> None:
        self._send(b"".join(render(status, orjson.dumps(answer) + b"\n", self._upstream.extra)))

    def _drip(self, left: bytes, interval: float, request: Request) -> None:
        if not left:
            self._upstream.counts.answered += 1
            self._next(request)
            return
        self._send(left[:1])
        self._later(interval, lambda: self._drip(left[1:], interval, request))

    def _later(self, seconds: float, then: Callable[[], None]) -> None:
        self._timer = self._upstream.loop.call_later(seconds, then)

    def _send(self, data: bytes) -> None:
        if self._frozen:
            self._unsent.append(data)
        elif not self._over:
            self._transport.write(data)

    def _next(self, request: Request) -> None:
        """The request is done with."""
        if request.last:
            self._end("close")
            return
        self._reader.request = None
        self._busy = False
        if self._reader.pending:
            # Not from within itself: a thousand early requests are no thousand frames.
            self._upstream.loop.call_soon(self._advance)

    def _end(self, how: str) -> None:
        if not self._over:
            self._over = True
            end(self._transport, how)

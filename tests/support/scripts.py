"""Ready scripts for the scripted upstream: each returns a function of one Exchange."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from tests.support.consumed import ReceiveQueues
from tests.support.upstream import Exchange, Script, Upstream


def head(status: int = 200, *fields: str, phrase: str = "OK", version: str = "1.1") -> bytes:
    lines = [f"HTTP/{version} {status} {phrase}", *fields]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"


def message(body: bytes = b"ok\n", status: int = 200, *fields: str) -> bytes:
    return head(status, *fields, f"Content-Length: {len(body)}") + body


def chunked(parts: Sequence[bytes], trailers: Sequence[str] = ()) -> bytes:
    """A chunked body with the last chunk and the trailers."""
    data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return data + b"0\r\n" + "".join(f"{line}\r\n" for line in trailers).encode("latin-1") + b"\r\n"


def answer(raw: bytes) -> Script:
    """Read the request whole, send these bytes, keep the connection."""

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(raw)

    return script


def answer_and_close(raw: bytes) -> Script:
    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(raw)
        exchange.close()

    return script


def answer_and_reset(raw: bytes, read: ReceiveQueues | None = None) -> Script:
    """Send, wait until the gateway has read it, then reset."""

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(raw)
        if raw and read is not None:
            read.wait_read(exchange.connection.stream.sock)
        exchange.reset()

    return script


def answer_parts(parts: Sequence[bytes], read: ReceiveQueues, close: bool = False) -> Script:
    """Send in separate writes, each after the gateway has read the one before."""

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        for number, part in enumerate(parts):
            if number:
                read.wait_read(exchange.connection.stream.sock)
            exchange.send(part)
        if close:
            exchange.close()

    return script


def stall(raw: bytes = b"", until: threading.Event | None = None) -> Script:
    """Send these bytes, then nothing more, until the gateway closes (or the event is set)."""

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        if raw:
            exchange.send(raw)
        if until is not None:
            until.wait(30)
            exchange.close()
        else:
            exchange.connection.wait_peer_closed(30)
            exchange.close()

    return script


def close_without_reading(exchange: Exchange) -> None:
    """Close as soon as the head is there: with body bytes unread this is a reset."""
    exchange.close()


def echo(exchange: Exchange) -> None:
    """Answer with the body of the request."""
    body = exchange.read_body()
    exchange.send(head(200, f"Content-Length: {len(body)}") + body)


def in_turn(*scripts: Script) -> Script:
    """The first request meets the first script, and so on; the last one stays."""
    lock = threading.Lock()
    left = list(scripts)

    def script(exchange: Exchange) -> None:
        with lock:
            one = left.pop(0) if len(left) > 1 else left[0]
        one(exchange)

    return script


def when_allowed(gate: threading.Event, script: Script) -> Script:
    """Read the request, wait for the event, then go on with the script."""

    def gated(exchange: Exchange) -> None:
        exchange.read_body()
        gate.wait(30)
        script(exchange)

    return gated


def gate_each(steps: Callable[[Exchange, threading.Event], None]) -> tuple[Script, threading.Event]:
    """A script that gets an event of its own to wait for; the event is returned beside it."""
    event = threading.Event()

    def script(exchange: Exchange) -> None:
        steps(exchange, event)

    return script, event


def gated(upstream: Upstream, body: bytes = b"done") -> tuple[str, threading.Event]:
    """(the path of an exchange that is answered when the event is set, the event)."""
    gate = threading.Event()
    return upstream.script(when_allowed(gate, answer(message(body)))), gate

"""A scripted service behind the gateway: it records the exact bytes it received and answers as told.

One thread per connection; a script is a function of one Exchange and may do anything a socket can. Scripts
are found by the first path segment of the request (`/s7/...`), everything else meets the default script.
What the gateway sends is read by the strict parser of tests.support.wire: what that refuses lands in
`errors`, which the fixtures check at their end, so each test also proves that nothing malformed was
forwarded."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.client import Address
from tests.support.wire import (
    Cut,
    Request,
    Stream,
    TimedOut,
    WireError,
    read_body,
    read_chunk,
    read_request_head,
    read_trailers,
)

BACKLOG = 4096  # a wave of splits connects hundreds of times before a thread here gets its turn
WORD = re.compile(rb"[0-9A-Za-z_-]+")
IDLE = 60.0


@dataclass
class Connection:
    """One accepted connection; `requests` are those that came over it, `raw` every byte."""

    number: int
    stream: Stream
    raw: bytearray = field(default_factory=bytearray)
    requests: list[Request] = field(default_factory=list)
    open: bool = True  # as far as we are concerned
    peer_closed: bool = False  # the gateway has closed its side, in order or by a reset

    def send(self, data: bytes) -> None:
        self.stream.sock.settimeout(IDLE)
        self.stream.sock.sendall(data)

    def close(self) -> None:
        self.open = False
        with contextlib.suppress(OSError):
            self.stream.sock.shutdown(socket.SHUT_RDWR)
        self.stream.sock.close()

    def announce_end(self) -> None:
        """TLS only: close_notify, then the end. `close()` alone looks like a cut to the peer."""
        assert isinstance(self.stream.sock, ssl.SSLSocket)
        self.stream.sock.settimeout(IDLE)
        with contextlib.suppress(OSError):  # the peer need not answer with its own
            self.stream.sock.unwrap()
        self.close()

    def reset(self) -> None:
        self.open = False
        with contextlib.suppress(OSError):
            self.stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.sock.close()

    def wait_peer_closed(self, timeout: float = 5.0) -> bool:
        """From within a script: read until the gateway closes. False when it does not, or sends more."""
        self.peer_closed = self.stream.closed(timeout)
        return self.peer_closed


class Exchange:
    """What a script works with. Unless it closes the connection, the next request is read after it."""

    def __init__(self, upstream: Upstream, connection: Connection, request: Request, length: int) -> None:
        self.upstream = upstream
        self.connection = connection
        self.request = request
        self.length = length

    @property
    def stream(self) -> Stream:
        return self.connection.stream

    def read_body(self) -> bytes:
        if not self.request.complete:
            read_body(self.stream, self.request, self.length)
            self.upstream.changed()
        return self.request.body

    def read_chunk(self) -> bytes:
        """The next chunk as it comes; b"" after the last (trailers read)."""
        assert self.request.framing == "chunked"
        chunk = read_chunk(self.stream)
        if chunk:
            self.request.chunks.append(chunk)
            self.request.body += chunk
        else:
            self.request.trailers = read_trailers(self.stream)
            self.request.complete = True
        self.upstream.changed()
        return chunk

    def send(self, data: bytes) -> None:
        self.connection.send(data)

    def close(self) -> None:
        self.connection.close()

    def reset(self) -> None:
        self.connection.reset()


Script = Callable[[Exchange], None]


def plain_answer(exchange: Exchange) -> None:
    """The default: the body is read, the answer is a short 200."""
    exchange.read_body()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n"
    exchange.send(head if exchange.request.method == b"HEAD" else head + b"ok\n")


class Upstream:
    """Listens at once; `close()` ends every connection."""

    def __init__(
        self,
        address: Address = ("127.0.0.1", 0),
        default: Script = plain_answer,
        rcvbuf: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.default = default
        self.scripts: dict[bytes, Script] = {}
        self.requests: list[Request] = []
        self._by_path: dict[bytes, list[Request]] = {}
        self._by_word: dict[
            bytes, list[Request]
        ] = {}  # of the target: finding one of 30,000 must not be a scan
        self.connections: list[Connection] = []
        self.of_request: dict[int, Connection] = {}  # id(request) -> connection
        self.errors: list[str] = []
        self._numbers = itertools.count()
        self._condition = threading.Condition()
        self._address = address
        self._rcvbuf = rcvbuf
        self._tls = tls
        self._listener: socket.socket | None = None
        self.listen()

    # --- listening ---

    def listen(self) -> None:
        if isinstance(self._address, str):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._address)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._rcvbuf:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._rcvbuf)
        listener.bind(self._address)
        listener.listen(BACKLOG)
        if not isinstance(self._address, str):
            self._address = listener.getsockname()  # the same port when it listens again
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True, name="upstream-accept").start()

    def stop_listening(self) -> None:
        """New connections are refused from now on; those that exist stay."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    @property
    def url(self) -> str:
        if isinstance(self._address, str):
            return f"unix:{self._address}"
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._address[1]}"

    @property
    def port(self) -> int:
        assert not isinstance(self._address, str)
        return self._address[1]

    def close(self) -> None:
        self.stop_listening()
        for connection in list(self.connections):
            connection.close()

    # --- what the tests ask ---

    def script(self, script: Script, prefix: str = "s") -> str:
        """Register a script; returns the path at which it answers."""
        name = f"{prefix}{next(self._numbers)}"
        self.scripts[name.encode()] = script
        return f"/{name}"

    def changed(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def wait(self, check: Callable[[], object], timeout: float = 5.0, what: str = "the upstream's state"):
        """Wait, without polling, until `check` is true; it is asked after every change here."""
        deadline = time.monotonic() + timeout
        with self._condition:
            while True:
                value = check()
                if value:
                    return value
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{what}: not within {timeout} s")
                self._condition.wait(min(left, 0.25))

    def find(self, text: str) -> list[Request]:
        """The requests to a path ("/a", with any query), or with a word in their target, or else in their head."""
        wanted = text.encode("latin-1")
        with self._condition:
            if text.startswith("/"):
                return list(self._by_path.get(wanted, ()))
            if WORD.fullmatch(wanted):
                return list(self._by_word.get(wanted, ()))
            return [request for request in self.requests if wanted in request.raw_head]

    def one(self, text: str, complete: bool = True, timeout: float = 5.0) -> Request:
        """The one request whose head contains the text, once it is there (and read whole)."""
        found = self.wait(
            lambda: [one for one in self.find(text) if one.complete or not complete],
            timeout,
            f"a request with {text!r}",
        )
        assert len(found) == 1, f"{len(found)} requests with {text!r}"
        return found[0]

    def connection_of(self, request: Request) -> Connection:
        return self.of_request[id(request)]

    def wait_closed(self, connection: Connection, timeout: float = 5.0) -> None:
        self.wait(
            lambda: connection.peer_closed or not connection.open,
            timeout,
            f"the end of upstream connection {connection.number}",
        )

    def open_connections(self) -> list[Connection]:
        with self._condition:
            return [one for one in self.connections if one.open and not one.peer_closed]

    def check(self) -> None:
        assert not self.errors, self.errors

    # --- one connection ---

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            connection = Connection(next(self._numbers), RecordingStream(sock, IDLE))
            connection.stream.record = connection.raw  # type: ignore[attr-defined]
            with self._condition:
                self.connections.append(connection)
                self._condition.notify_all()
            threading.Thread(target=self._serve, args=(connection,), daemon=True, name="upstream").start()

    def _serve(self, connection: Connection) -> None:
        sock = connection.stream.sock
        try:
            if isinstance(sock, ssl.SSLSocket):
                sock.settimeout(IDLE)
                sock.do_handshake()
            while connection.open and self._serve_one(connection):
                pass
        except Cut:
            connection.peer_closed = True
        except TimedOut:
            pass
        except WireError as error:
            self.errors.append(f"{error}; the connection carried {bytes(connection.raw[-2000:])!r}")
        except OSError:
            connection.peer_closed = True
        finally:
            connection.close()
            self.changed()

    def _serve_one(self, connection: Connection) -> bool:
        stream = connection.stream
        if not stream.buffer and not stream.fill():
            connection.peer_closed = True
            return False
        request, length = read_request_head(stream)
        if request.framing == "none":
            request.complete = True
        with self._condition:
            self.requests.append(request)
            self._by_path.setdefault(request.target.split(b"?")[0], []).append(request)
            for word in set(WORD.findall(request.target)):
                self._by_word.setdefault(word, []).append(request)
            self.of_request[id(request)] = connection
            connection.requests.append(request)
            self._condition.notify_all()
        exchange = Exchange(self, connection, request, length)
        segment = request.target.split(b"?")[0].split(b"/")[1] if request.target.startswith(b"/") else b""
        self.scripts.get(segment, self.default)(exchange)
        if connection.open:
            exchange.read_body()
        return connection.open


class RecordingStream(Stream):
    """Keeps every byte that came (of large bodies: the first MiB)."""

    record: bytearray
    KEPT = 1 << 20

    def fill(self, timeout: float | None = None) -> bool:
        before = len(self.buffer)
        more = super().fill(timeout)
        if len(self.record) < self.KEPT:
            self.record += self.buffer[before:]
        return more

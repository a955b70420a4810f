"""A raw client: it sends exactly the bytes it is given and reads answers strictly."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence

from tests.support.consumed import ReceiveQueues
from tests.support.wire import Response, Stream, read_body, read_response, read_response_start

Address = tuple[str, int] | str


def connect(address: Address, timeout: float = 5.0, *, rcvbuf: int = 0, source: str = "") -> socket.socket:
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.settimeout(timeout)
    try:
        if source:
            sock.bind((source, 0))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def request(
    target: str | bytes = "/",
    *,
    method: str = "GET",
    host: str = "test.example",
    fields: Sequence[str] = (),
    body: bytes | None = None,
    version: str = "1.1",
) -> bytes:
    """The bytes of a plain request; `fields` are whole lines; a body gets its Content-Length."""
    target = target.encode("latin-1") if isinstance(target, str) else target
    lines = [f"Host: {host}", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    head = method.encode() + b" " + target + b" HTTP/" + version.encode() + b"\r\n"
    return head + "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + (body or b"")


class Client:
    """One connection to the gateway."""

    def __init__(self, address: Address, timeout: float = 5.0, *, rcvbuf: int = 0, source: str = "") -> None:
        self.sock = connect(address, timeout, rcvbuf=rcvbuf, source=source)
        self.stream = Stream(self.sock, timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Close with a reset instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def send(self, data: bytes) -> None:
        # On a duplicate: who reads at the same time in another thread sets time-outs of its own, and a socket has one.
        with self.sock.dup() as own:
            own.settimeout(self.stream.timeout)
            own.sendall(data)

    def try_send(self, data: bytes) -> bool:
        """Send; False when the peer no longer takes it (it may have answered and closed already)."""
        try:
            self.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def send_parts(self, parts: Sequence[bytes], queues: ReceiveQueues | None = None) -> None:
        """Send in separate writes; with `queues`, each only after the peer has read the one before."""
        for number, part in enumerate(parts):
            if number and queues is not None:
                queues.wait_read(self.sock)
            if not self.try_send(part):
                return

    def send_until_blocked(self, data: bytes, limit: int, patience: float = 0.5) -> int:
        """Send `data` again and again until the peer has taken nothing for `patience`; returns the bytes
        taken."""
        sent = 0
        view = memoryview(data)
        self.sock.settimeout(patience)
        while sent < limit:
            try:
                sent += self.sock.send(view[sent % len(data) :])
            except (TimeoutError, BlockingIOError):
                break
        return sent

    def read(self, method: str = "GET") -> Response:
        return read_response(self.stream, method.encode())

    def read_start(self, method: str = "GET") -> tuple[Response, int]:
        return read_response_start(self.stream, method.encode())

    def read_rest(self, response: Response, length: int) -> Response:
        read_body(self.stream, response, length)
        return response

    def get(self, target: str | bytes = "/", **options: object) -> Response:
        self.send(request(target, **options))  # type: ignore[arg-type]
        return self.read(str(options.get("method", "GET")))

    def closed(self, timeout: float | None = None) -> bool:
        return self.stream.closed(timeout)

    def timed_close(self, timeout: float) -> float:
        """Seconds until the peer closes."""
        start = time.monotonic()
        assert self.closed(timeout), f"still open after {timeout} s"
        return time.monotonic() - start

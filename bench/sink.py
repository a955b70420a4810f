"""An upstream that reads a request body to its end, then says how much it got (and its SHA-256 if asked).

`python -m bench.sink PORT`. Threads and blocking reads: nginx's `return` would answer before it has read all.
"""

from __future__ import annotations

import hashlib
import json
import socket
import sys
import threading
from email.utils import formatdate

BUFFER = 256 << 10


class BadRequest(Exception):
    """The request is not one that the sides under test should have forwarded."""


def head_of(data: bytes) -> tuple[str, int]:
    """Target and Content-Length.

    The load always declares its length: a side that does not pass it on is at fault.
    """
    lines = data.decode("latin-1").split("\r\n")
    target = lines[0].split(" ")[1]
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return target, int(value)
    raise BadRequest("no Content-Length")


def answer(status: str, document: dict[str, object]) -> bytes:
    body = json.dumps(document).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status}\r\nDate: {formatdate(usegmt=True)}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def exchanges(sock: socket.socket) -> None:
    """Requests of one connection until it ends."""
    buffer = memoryview(bytearray(BUFFER))
    pending = b""
    with sock:
        while True:
            while b"\r\n\r\n" not in pending:
                piece = sock.recv(65536)
                if not piece:
                    return
                pending += piece
            head, _, rest = pending.partition(b"\r\n\r\n")
            try:
                target, length = head_of(head)
            except (BadRequest, ValueError, IndexError) as error:
                sock.sendall(answer("400 Bad Request", {"error": str(error)}))
                return
            digest = hashlib.sha256() if "digest" in target else None
            got, pending = min(len(rest), length), rest[length:]
            if digest:
                digest.update(rest[:length])
            while got < length:
                count = sock.recv_into(buffer, min(BUFFER, length - got))
                if not count:
                    return
                if digest:
                    digest.update(buffer[:count])
                got += count
            sock.sendall(
                answer("200 OK", {"received": got, "sha256": digest.hexdigest() if digest else None})
            )


def _connection(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        exchanges(sock)
    except ConnectionError:
        return  # the side went away: its own figures say so


def main(port: int) -> None:
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=_connection, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))

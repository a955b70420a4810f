from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from bench import sink


@pytest.fixture
def client() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    # socketpair is AF_UNIX: TCP_NODELAY does not exist there, so the loop behind it is what is driven
    thread = threading.Thread(target=sink.exchanges, args=(theirs,))
    thread.start()
    with ours:
        yield ours
    thread.join(10)


def ask(client: socket.socket, head: str, body: bytes) -> dict[str, object]:
    client.sendall(head.encode() + b"\r\n" + body)
    data = b""
    while not data.endswith(b"}\n"):
        data += client.recv(65536)
    found: dict[str, object] = json.loads(data.partition(b"\r\n\r\n")[2])
    return found


def test_every_byte_is_counted_and_hashed_if_asked(client: socket.socket) -> None:
    body = bytes(range(256)) * 2000
    head = f"POST /upload/body?digest HTTP/1.1\r\nContent-Length: {len(body)}\r\n"
    assert ask(client, head, body) == {"received": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    assert ask(client, "POST /upload/body HTTP/1.1\r\ncontent-length: 3\r\n", b"abc") == {
        "received": 3,
        "sha256": None,
    }


def test_a_request_without_length_is_refused(client: socket.socket) -> None:
    assert ask(client, "POST /upload/body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", b"") == {
        "error": "no Content-Length"
    }

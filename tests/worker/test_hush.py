"""A listening socket stops taking connections and keeps those that it has."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from fastgw.worker.hush import end_listening, keep_out, queued


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(16)
        sock.setblocking(False)
        yield sock


def test_new_connections_are_kept_out_and_nothing_is_reset(listener):
    early = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    assert queued(listener) == 3
    keep_out(listener)
    with socket.socket() as late:
        late.settimeout(0.2)
        with pytest.raises(TimeoutError):
            late.connect(listener.getsockname())
    for client in early:
        client.send(b"request")
        accepted, _ = listener.accept()
        assert accepted.recv(99) == b"request"
        accepted.send(b"answer")
        assert client.recv(99) == b"answer"
        accepted.close()
        client.close()
    assert queued(listener) == 0
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_listening_ends_for_every_holder(listener):
    with listener.dup():
        end_listening(listener)
        with pytest.raises(ConnectionRefusedError), socket.create_connection(listener.getsockname()):
            pass
        end_listening(listener)


def test_what_cannot_be_hushed_is_left_alone(tmp_path):
    with socket.socket() as plain:
        assert queued(plain) == 0
        end_listening(plain)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "x"))
        listener.listen()
        keep_out(listener)
        assert queued(listener) == 0
        end_listening(listener)
        # A sibling still accepts.
        client.connect(str(tmp_path / "x"))
        listener.accept()[0].close()

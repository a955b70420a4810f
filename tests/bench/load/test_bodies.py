from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.errors import BenchError, VoidError
from bench.load import bodies
from bench.load.bodies import Job

JOB = Job(1, "/files/1m", 4, 2, 10)


def test_result_of_complete_transfers() -> None:
    found = bodies.parse(json.dumps({"bytes": 40, "done": 4, "seconds": 0.5, "errors": []}), JOB)
    assert (found.bytes, found.seconds) == (40, 0.5)


def test_an_error_voids_the_run() -> None:
    with pytest.raises(VoidError, match="cut after"):
        bodies.parse(json.dumps({"bytes": 40, "done": 4, "seconds": 1, "errors": ["cut after 3"]}), JOB)


@pytest.mark.parametrize(("moved", "done"), [(39, 4), (40, 3)])
def test_missing_bytes_or_transfers_are_refused(moved: int, done: int) -> None:
    with pytest.raises(BenchError, match="wanted 4 of 10"):
        bodies.parse(json.dumps({"bytes": moved, "done": done, "seconds": 1, "errors": []}), JOB)


@contextmanager
def answered(data: bytes) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        yield ours


def test_download_counts_every_byte() -> None:
    with answered(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789") as sock:
        assert bodies.download(sock, JOB, memoryview(bytearray(64))) == 10


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012345678", "cut after 9"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789x", "11 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n012345678", "length 9"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 10\r\n\r\n0123456789", "status 502"),
        (b"HTTP/1.1 200", "closed"),
    ],
)
def test_a_download_that_is_not_the_file_voids_the_run(data: bytes, says: str) -> None:
    with answered(data) as sock, pytest.raises(VoidError, match=says):
        bodies.download(sock, JOB, memoryview(bytearray(64)))


def test_file_is_made_once(tmp_path: Path) -> None:
    file = bodies.make_file(tmp_path / "1m", 1 << 20)
    content = file.read_bytes()
    assert len(content) == 1 << 20
    assert bodies.make_file(file, 1 << 20).read_bytes() == content

"""Documents, channels and a log that can be read, for the tests of control."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastgw.control.operator_log import OperatorLog
from fastgw.control.published import Published
from fastgw.gateway.document import model
from fastgw.gateway.document.model import Document

Make = Callable[..., Document]


class ReadableLog(OperatorLog):
    """The log, and what was said into it."""

    def __init__(self) -> None:
        self._read, write = os.pipe2(os.O_NONBLOCK)
        self.write_fd = write
        super().__init__(write)

    def lines(self) -> list[str]:
        try:
            data = os.read(self._read, 1 << 16).decode()
        except BlockingIOError:
            return []
        assert all(line.startswith("!") for line in data.splitlines())
        return [line[1:] for line in data.splitlines()]

    def close(self) -> None:
        os.close(self._read)
        os.close(self.write_fd)


def make_document(**more: Any) -> Document:
    plain: dict[str, Any] = {
        "listeners": [{"address": "127.0.0.1:8080"}],
        "upstreams": {"orders": {"targets": ["http://127.0.0.1:9001"]}},
        "routes": [{"name": "orders", "match": {"path": "/orders/*"}, "upstream": "orders"}],
        **more,
    }
    parts = model.split(plain)
    hashes = {key: model.part_hash(part) for key, part in parts.items()}
    steps = model.apply_parts(None, parts.items(), model.document_hash(hashes))
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            document: Document = finished.value
            return document


@pytest.fixture
def document() -> Make:
    return make_document


@pytest.fixture
def published() -> Callable[..., Published]:
    def make(version: int = 1, **more: Any) -> Published:
        made = make_document(**more)
        return Published(version, made, made.parts())

    return make


@pytest.fixture
def log() -> Iterator[ReadableLog]:
    one = ReadableLog()
    yield one
    one.close()


@pytest.fixture
def admin_socket() -> Iterator[socket.socket]:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    yield sock
    sock.close()

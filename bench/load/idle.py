"""Keep-alive connections that have been used once and then hold still."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from bench.errors import VoidError
from bench.load import traffic
from bench.load.bodies import read_head


class IdleConnections(AbstractContextManager["IdleConnections"]):
    """Opens `count` connections one after the other; each has had one answer. Closes all at the end."""

    def __init__(self, port: int, count: int, paths: Sequence[str]) -> None:
        self._port = port
        self._count = count
        self._paths = paths
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> IdleConnections:
        try:
            for index in range(self._count):
                self._sockets.append(self._open(index))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _open(self, index: int) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        path = self._paths[index % len(self._paths)]
        sock.sendall((traffic.head("GET", path, traffic.headers(index)) + "\r\n").encode())
        status, length, rest = read_head(sock)
        while len(rest) < length:
            rest += sock.recv(65536)
        if status != 200:
            sock.close()
            raise VoidError(f"connection {index}: status {status}")
        return sock

    def still_open(self) -> int:
        """A side that closes idle connections early would look thrifty: count those that still stand."""
        alive = 0
        for sock in self._sockets:
            sock.setblocking(False)
            try:
                alive += bool(sock.recv(1, socket.MSG_PEEK))
            except BlockingIOError:
                alive += 1
            except OSError:
                continue
        return alive

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

"""A listening port that can be open, shut (who connects is reset) or black (SYNs are dropped), and back, without
losing its number. Knows nothing of what is spoken behind it. Linux: a full queue of connections drops SYNs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

BACKLOG = 4096
# As many as one turn of the loop accepts before the others have theirs.
BURST = 64
# Connections that fill a queue of length 0: one fits, the second makes sure of it.
FILLERS = 2


class Door:
    def __init__(self, host: str, port: int, make: Callable[[], asyncio.Protocol]) -> None:
        self._make = make
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Bound, never listening: it keeps the number ours while nobody listens, and then the kernel itself refuses.
        self._holder = self._bound((host, port))
        self.address: tuple[str, int] = self._holder.getsockname()[:2]
        self._listener: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._tasks: set[asyncio.Task[object]] = set()
        self.state = "shut"

    def open(self) -> None:
        if self.state != "open":
            self._shut()
            self._listener = self._bound(self.address, beside=True)
            self._listener.listen(BACKLOG)
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)
            self.state = "open"

    def shut(self) -> None:
        self._shut()
        self.state = "shut"

    def blacken(self) -> None:
        """A listener that nobody accepts from, with its queue full."""
        if self.state != "black":
            self._shut()
            self._listener = self._bound(self.address, beside=True)
            self._listener.listen(0)
            for _ in range(FILLERS):
                filler = socket.socket(self._family, socket.SOCK_STREAM)
                filler.setblocking(False)
                filler.connect_ex(self.address)
                self._fillers.append(filler)
            self.state = "black"

    def close(self) -> None:
        self.shut()
        self._holder.close()

    def _shut(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _bound(self, address: tuple[str, int], *, beside: bool = False) -> socket.socket:
        """`beside` the holder. The holder itself is not bound beside anybody's: a port in use is an error."""
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, beside)
        sock.setblocking(False)
        try:
            sock.bind(address)
        except OSError:
            sock.close()
            raise
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return sock

    def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(BURST):
            try:
                sock, _ = listener.accept()
            except OSError:
                return  # no more; or it was gone before it was its turn
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(loop.connect_accepted_socket(self._make, sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

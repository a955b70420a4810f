"""The fixed set of listening sockets: made once at boot, closed once at the end, borrowed by the workers
between.

One SO_REUSEPORT socket per worker and TCP listener; one shared socket per Unix listener (the kernel has no
SO_REUSEPORT there); the admin socket without it. Closing one of a set while the gateway runs would reset the
connections in its queue, so nothing here closes a single one.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from fastgw.supervisor.addresses import (
    ADMIN_MODE,
    BACKLOG,
    LISTENER_MODE,
    bind_tcp,
    bind_unix,
    cannot_bind,
    refuse_if_taken,
)
from fastgw.supervisor.exits import BootError
from fastgw.worker.birth import Borrowed

if TYPE_CHECKING:
    from fastgw.config.address import Address
    from fastgw.gateway.document.model import BaseOptions


class SocketSet:
    """Bound by `bind`, listening after `listen`."""

    def __init__(self, workers: int) -> None:
        self._sets: list[list[Borrowed]] = [[] for _ in range(workers)]
        self._shared: list[Borrowed] = []
        self._admin: list[socket.socket] = []
        self._paths: list[tuple[str, int]] = []  # Unix paths with their inodes, to be removed at the end
        self.admin_name = ""
        self.names: list[str] = []  # of the listeners, as they were bound

    @property
    def admin(self) -> socket.socket:
        return self._admin[0]

    def of_worker(self, index: int) -> list[Borrowed]:
        """The TCP sockets of one worker: its own, or those of a sibling for which it must accept."""
        return self._sets[index]

    def shared(self) -> list[Borrowed]:
        return self._shared

    def listener_fds(self) -> list[int]:
        return [
            borrowed.sock.fileno() for borrowed in (*self._shared, *(b for own in self._sets for b in own))
        ]

    def bind(self, base: BaseOptions) -> None:
        """The admin address first, and it listens at once: of two gateways started with one configuration,
        one ends here with a clear error. Raises BootError; then nothing stays bound."""
        try:
            self._bind_admin(base.admin.address)
            for number, listener in enumerate(base.listeners):
                self._bind_listener(number, listener.address)
        except BootError:
            self.close()
            self.close_admin()
            raise

    def listen(self) -> None:
        """From now on connections queue: only after the first snapshot is compiled."""
        for borrowed in (*self._shared, *(b for own in self._sets for b in own)):
            borrowed.sock.listen(BACKLOG)

    def close(self) -> None:
        """The listeners, all of them. What is in their queues is reset."""
        for borrowed in (*self._shared, *(b for own in self._sets for b in own)):
            borrowed.sock.close()
        self._sets = [[] for _ in self._sets]
        self._shared = []
        self._unlink()

    def close_admin(self) -> None:
        for sock in self._admin:
            sock.close()
        self._admin = []
        self._unlink()

    def _bind_admin(self, address: Address) -> None:
        if address.kind == "unix":
            sock = bind_unix(address.path, ADMIN_MODE, "admin.address")
            self._remember(address.path)
        else:
            sock = bind_tcp(address, "admin.address", shared=False)
        self._admin.append(sock)
        self.admin_name = name_of(sock)
        try:
            sock.listen(BACKLOG)
        except OSError as error:
            # Two gateways may both have bound before either listened (SO_REUSEADDR); only one gets past this.
            raise cannot_bind(error, self.admin_name, "admin.address") from error

    def _bind_listener(self, number: int, address: Address) -> None:
        what = f"listeners[{number}]"
        if address.kind == "unix":
            sock = bind_unix(address.path, LISTENER_MODE, what)
            self._remember(address.path)
            self._shared.append(Borrowed(number, sock))
            self.names.append(name_of(sock))
            return
        refuse_if_taken(address, what)
        for own in self._sets:
            own.append(Borrowed(number, bind_tcp(address, what, shared=True)))
        self.names.append(name_of(self._sets[0][-1].sock))

    def _remember(self, path: str) -> None:
        self._paths.append((path, os.stat(path).st_ino))

    def _unlink(self) -> None:
        for path, inode in self._paths:
            try:
                # Only what is still ours: a successor may have replaced it.
                if os.stat(path).st_ino == inode:
                    os.unlink(path)
            except OSError:
                pass
        self._paths = []


def name_of(sock: socket.socket) -> str:
    """As an operator would type it."""
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

"""Whether a peer on this machine has read everything that was sent to it.

A split is a split only if the first part was read before the second was sent. The kernel tells: the
receive queue of the peer's socket, over NETLINK_SOCK_DIAG (about 20 us a question). Where that is not
available a short pause stands in for it.
"""

from __future__ import annotations

import socket
import struct
import time

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
FALLBACK_PAUSE = 0.002


class ReceiveQueues:
    """One netlink socket that answers for any TCP connection over IPv4 loopback."""

    def __init__(self) -> None:
        try:
            self._netlink: socket.socket | None = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG
            )
        except OSError:
            self._netlink = None

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()

    def unread(self, sock: socket.socket) -> int | None:
        """Bytes sent over `sock` that its peer has not read; None when the peer's socket is gone or
        unknown."""
        if self._netlink is None or sock.family != socket.AF_INET:
            return None
        try:
            here, there = sock.getsockname(), sock.getpeername()
        except OSError:
            return None
        ask = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
        ask += struct.pack(
            "!HH16s16sI8s",
            there[1],
            here[1],
            socket.inet_aton(there[0]),
            socket.inet_aton(here[0]),
            0,
            b"\xff" * 8,
        )
        self._netlink.send(struct.pack("=IHHII", 16 + len(ask), SOCK_DIAG_BY_FAMILY, 1, 1, 0) + ask)
        answer = self._netlink.recv(8192)
        if struct.unpack_from("=H", answer, 4)[0] != SOCK_DIAG_BY_FAMILY:
            return None
        return int(struct.unpack_from("=I", answer, 16 + 4 + 48 + 4)[0])

    def wait_read(self, sock: socket.socket, timeout: float = 1.0) -> None:
        """Return when the peer has read all; at the latest after `timeout`: a peer may have stopped
        reading."""
        deadline = time.monotonic() + timeout
        pause = 0.00005
        while True:
            unread = self.unread(sock)
            if unread is None:
                time.sleep(FALLBACK_PAUSE)
                return
            if unread == 0 or time.monotonic() > deadline:
                return
            time.sleep(pause)
            pause = min(pause * 2, 0.002)

"""One end of a channel between two processes: whole JSON messages over a SOCK_SEQPACKET pair, descriptors
beside them.

Non-blocking and without an event loop: the owner watches `fileno()` and calls `receive` and `flush`. The
queue of what could not be sent yet is bounded: a peer that stops reading is reported (`ChannelFull`), never
waited for.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fastgw.ipc import memfd

# Linux bounds a packet by the send buffer (208 KiB by default); what is larger than this belongs in a
# payload.
MAX_PACKET = 64 * 1024

# Messages that wait for a peer. Ten reloads a second for a minute are 600; a peer that is further behind is
# gone.
MAX_QUEUE = 1024

# A reader takes at most this many packets in one turn, so that a chatty peer does not starve its loop.
_TURN = 64


class ChannelClosed(Exception):
    """The peer has closed its end, or died."""


class ChannelFull(Exception):
    """The peer does not read; the message was not queued."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message, with the payload or the descriptor that came beside it. Whoever receives a descriptor owns
    it."""

    message: dict[str, Any]
    payload: bytes | None = None
    fd: int | None = None

    @property
    def type(self) -> str:
        return str(self.message.get("type", ""))


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, non-blocking, not inherited by exec."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.setblocking(False)
    right.setblocking(False)
    return left, right


class Channel:
    """Sends and receives messages on one socket, which it owns."""

    __slots__ = ("_queue", "_sock", "closed")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._queue: deque[tuple[bytes, int | None]] = deque()
        self.closed = False

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def backlog(self) -> int:
        """Messages that wait for the peer to read."""
        return len(self._queue)

    @property
    def wants_write(self) -> bool:
        """Whether the owner should watch for writability and then call `flush`."""
        return bool(self._queue)

    def send(
        self, message: Mapping[str, object], *, payload: bytes | None = None, fd: int | None = None
    ) -> None:
        """Send or queue. `fd` is duplicated, so the caller may close its own at once; `payload` and `fd`
        exclude each other. Raises ChannelClosed or ChannelFull, and then nothing of this message is sent."""
        if self.closed:
            raise ChannelClosed
        if len(self._queue) >= MAX_QUEUE:
            raise ChannelFull
        if payload is not None:
            if fd is not None:
                raise ValueError("a message carries a payload or a descriptor, not both")
            message = {**message, "payload": len(payload)}
        packet = orjson.dumps(message)
        if len(packet) > MAX_PACKET:
            raise ValueError(f"a message of {len(packet)} bytes is over the bound of {MAX_PACKET}")
        carried = None
        if payload is not None:
            carried = memfd.seal(payload)
        elif fd is not None:
            carried = os.dup(fd)
        self._queue.append((packet, carried))
        self.flush()

    def flush(self) -> None:
        """Send what the kernel takes now. Raises ChannelClosed when the peer is gone."""
        while self._queue:
            packet, fd = self._queue[0]
            try:
                if fd is None:
                    self._sock.send(packet)
                else:
                    socket.send_fds(self._sock, [packet], [fd])
            except BlockingIOError:
                return
            except OSError as error:
                # EPIPE or ECONNRESET: the peer died. What it sent before can still be received, so the socket
                # stays.
                self._forget()
                raise ChannelClosed from error
            self._queue.popleft()
            if fd is not None:
                os.close(fd)

    def receive(self) -> list[Received]:
        """What has arrived, at most a turn's worth; an empty list when nothing has. ChannelClosed at the
        end."""
        received: list[Received] = []
        while len(received) < _TURN and not self.closed:
            try:
                packet, fds, _, _ = socket.recv_fds(self._sock, MAX_PACKET, 4, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                break
            except OSError:
                packet, fds = b"", []
            if not packet:
                if received:
                    break  # the end is reported by the next call
                raise ChannelClosed
            received.append(_decode(packet, list(fds)))
        if self.closed and not received:
            raise ChannelClosed
        return received

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._forget()
            self._sock.close()

    def _forget(self) -> None:
        while self._queue:
            _, fd = self._queue.popleft()
            if fd is not None:
                os.close(fd)


def _decode(packet: bytes, fds: list[int]) -> Received:
    """Both ends are ours, so a packet that cannot be read is a defect: ValueError, with no descriptor left
    open."""
    try:
        message = orjson.loads(packet)
        if not isinstance(message, dict):
            raise ValueError("a message is a JSON object")
        if "payload" not in message:
            fd = fds.pop(0) if fds else None
            return Received(message, None, fd)
        if not fds:
            raise ValueError("a message announced a payload and brought none")
        data = memfd.unseal(fds[0])
        if len(data) != message["payload"]:
            raise ValueError(f"a payload of {len(data)} bytes was announced as {message['payload']}")
        return Received(message, data, None)
    finally:
        for fd in fds:
            os.close(fd)

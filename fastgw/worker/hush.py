"""How a listening socket stops taking connections without resetting those that it has taken.

Closing it (or shutdown) resets whatever is in its accept queue: connections that the client believes open, with a
request already sent. So first new connections are kept out, then the queue is accepted empty, then it is closed. A
client that is kept out has sent nothing: its kernel tries once more a second later, and is refused.
"""

from __future__ import annotations

import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26  # asm-generic; the socket module does not name it

# Classic BPF over the TCP header: drop a packet whose SYN bit is set, pass all others, so that handshakes that have
# begun are finished. (code, jump if true, jump if false, operand)
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte of flags
    (0x45, 0, 1, 0x02),  # SYN?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # pass
)

_TCP_INFO_SIZE = 32
_UNACKED = 24  # offset of tcpi_unacked, which for a listening socket is the length of its accept queue


def keep_out(sock: socket.socket) -> None:
    """Take no new connections from now on. Where the kernel does not allow that, nothing happens."""
    try:
        if sock.family == socket.AF_UNIX:
            # One may still come in; others wait in connect() and are refused when the socket is closed.
            sock.listen(0)
            return
        program = b"".join(struct.pack("=HBBI", *step) for step in _DROP_SYN)
        buffer = ctypes.create_string_buffer(program, len(program))
        fprog = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(buffer))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
    except OSError:
        pass


def queued(sock: socket.socket) -> int:
    """Connections that wait to be accepted; 0 where the kernel does not say."""
    if sock.family == socket.AF_UNIX:
        return 0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return 0
    waiting: int = struct.unpack_from("=I", info, _UNACKED)[0]
    return waiting


def end_listening(sock: socket.socket) -> None:
    """For all holders of the socket: it listens until the last one has closed it otherwise, which with two workers
    on busy cores takes 30 ms in which connections come in and are reset. Only TCP: a Unix socket is shared by
    workers that still accept what is in its queue."""
    if sock.family == socket.AF_UNIX:
        return
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it does not listen any more: a sibling was faster

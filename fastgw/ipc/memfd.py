"""Sealed memory files: how a large payload crosses from one process to another without being copied through a
socket.

A receiver accepts only a file whose size and content can no longer change (all seals set).
"""

from __future__ import annotations

import fcntl
import os

# Linux's F_ADD_SEALS family; the fcntl module of Python 3.11 names only some of them on every platform.
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

# The largest document in the house (10,000 full-policy routes) is 5.4 MB; this only bounds what a defect
# could cost.
MAX_PAYLOAD = 256 * 1024 * 1024


def seal(data: bytes) -> int:
    """A new sealed file with this content; the caller owns the descriptor."""
    if len(data) > MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(data)} bytes is over the bound of {MAX_PAYLOAD}")
    fd = os.memfd_create("fastgw", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def unseal(fd: int) -> bytes:
    """The content of a sealed file. ValueError where it is none, or too large. Does not close `fd`."""
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as error:
        raise ValueError("the descriptor that came with a message is not a memory file") from error
    if seals & _SEALS != _SEALS:
        raise ValueError("the memory file that came with a message is not sealed")
    size = os.fstat(fd).st_size
    if size > MAX_PAYLOAD:
        raise ValueError(f"a payload of {size} bytes is over the bound of {MAX_PAYLOAD}")
    parts = []
    offset = 0
    while offset < size:
        part = os.pread(fd, size - offset, offset)
        parts.append(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)

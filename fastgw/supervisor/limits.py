"""What the process asks of the machine before the first fork: descriptors, and an allocator that keeps its
memory.
"""

from __future__ import annotations

import ctypes
import resource

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

# Descriptors that a worker needs beside its connections: sockets of the set, channels, pipes, the event loop.
_BESIDE = 64


def raise_open_files() -> int:
    """Raise the limit of open files to its hard limit; returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass  # a sandbox may forbid it; the warning below tells
    return soft


def open_files_warning(limit: int, max_connections: int) -> str | None:
    """A sentence for the operator where the limit cannot hold what the configuration promises. A forwarded
    connection needs two descriptors, one on each side."""
    if limit == resource.RLIM_INFINITY or limit >= 2 * max_connections + _BESIDE:
        return None
    wanted = 2 * max_connections + _BESIDE
    return (
        f"warning: a worker may open at most {limit} files, and server.max_connections is {max_connections}: "
        f"raise the limit (ulimit -n, LimitNOFILE=) to {wanted} or lower max_connections"
    )


def keep_freed_memory() -> None:
    """Large bodies are read into buffers that glibc would give back to the kernel and fetch again each time:
    0.68 GB of body per CPU second with its own thresholds, 2.1 to 2.2 with these. Inherited by every fork."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # not glibc
    mallopt(_M_TRIM_THRESHOLD, 64 * 1024 * 1024)
    mallopt(_M_MMAP_THRESHOLD, 32 * 1024 * 1024)

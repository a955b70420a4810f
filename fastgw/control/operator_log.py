"""Lines for the operator: through the log pipe to the logger, which writes them to stderr.

Never waits: what a full pipe does not take is dropped, as an access-log line would be.
"""

from __future__ import annotations

import os
from collections.abc import Callable

# POSIX keeps writes of up to PIPE_BUF bytes whole, also when two processes share the pipe across a restart.
_LONGEST = 4096 - len("!\n") - 1


class OperatorLog:
    """`also` gets every line, for whoever looks on."""

    __slots__ = ("_fd", "also", "dropped")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.also: Callable[[str], None] | None = None
        self.dropped = 0

    def say(self, text: str) -> None:
        """One line per line of text."""
        for line in text.splitlines():
            if self.also is not None:
                self.also(line)
            data = line.encode("utf-8", "replace")[:_LONGEST]
            try:
                os.write(self._fd, b"!" + data + b"\n")
            except OSError:
                self.dropped += 1

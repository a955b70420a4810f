"""Lines for the operator: through the log pipe to the logger, which writes them to stderr.

Never waits: what a full pipe does not take is dropped, as an access-log line would be.
"""

from __future__ import annotations

import os

# POSIX keeps writes of up to PIPE_BUF bytes whole, also when two processes share the pipe across a restart.
_LONGEST = 4096 - len("!\n") - 1


class OperatorLog:
    __slots__ = ("_fd", "dropped")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.dropped = 0

    def say(self, text: str) -> None:
        """One line per line of text."""
        for line in text.splitlines():
            data = line.encode("utf-8", "replace")[:_LONGEST]
            try:
                os.write(self._fd, b"!" + data + b"\n")
            except OSError:
                self.dropped += 1

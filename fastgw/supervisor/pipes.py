"""The log pipes: one per worker, one for control, one for the supervisor itself, one for an embedded Valkey. They
outlive whoever holds their ends.

Only the writing end is non-blocking: a full pipe costs lines, never time.
"""

from __future__ import annotations

import fcntl
import os

# The kernel's largest pipe without privileges; 64 KiB would hold 3 ms of a busy worker's lines.
_PIPE_SIZE = 1024 * 1024


class LogPipes:
    def __init__(self, workers: int, *, valkey: bool = False) -> None:
        self.reading: list[int] = []
        self.writing: list[int] = []
        for _ in range(workers + 2 + valkey):
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(write, False)
            try:
                fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
            except OSError:
                pass  # the user's share of pipe memory is used up: a smaller pipe drops earlier
            self.reading.append(read)
            self.writing.append(write)
        self._control = workers
        self._own = workers + 1
        self._valkey = workers + 2

    def of_worker(self, index: int) -> int:
        return self.writing[index]

    @property
    def of_control(self) -> int:
        return self.writing[self._control]

    @property
    def of_valkey(self) -> int:
        return self.writing[self._valkey]

    @property
    def foreign(self) -> list[int]:
        """The reading ends of those whose lines are not ours in form."""
        return self.reading[self._valkey :]

    def say(self, text: str) -> None:
        """A line for the operator, through the logger: a blocked terminal does not block the supervisor."""
        if not self.writing:
            return  # the logger has been told to end
        try:
            os.write(self.writing[self._own], f"!{text}\n".encode())
        except OSError:
            pass  # full: the terminal is blocked, or there is no logger

    def close_writers(self) -> None:
        """Nobody but the children that still live can write now; the logger ends when they are gone."""
        for fd in self.writing:
            os.close(fd)
        self.writing = []

    def close_readers(self) -> None:
        for fd in self.reading:
            os.close(fd)
        self.reading = []

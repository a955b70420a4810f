"""Where access-log lines end: a file or stdout. Writing may block or fail here, in the logger, and nowhere
else.
"""

from __future__ import annotations

import os
from collections.abc import Callable

# An operator learns of a full disk once in so many seconds, not once per line.
_COMPLAIN_EVERY = 60.0

_MODE = 0o640


class Sink:
    """`path` None: stdout. A write that fails drops its lines and counts them; the next one is tried
    again."""

    def __init__(
        self,
        path: str | None,
        complain: Callable[[str], None],
        count: Callable[[int], None],
        now: Callable[[], float],
        *,
        stdout: int = 1,
    ) -> None:
        self._path = path
        self._complain = complain
        self._count = count  # told the number of lines lost so far
        self._now = now
        self._fd = stdout if path is None else -1
        self._torn = False  # the last write ended inside a line
        self._quiet_until = 0.0
        self.dropped = 0
        if path is not None:
            self.reopen()

    def reopen(self) -> None:
        """USR1, after the file was renamed. Where the new one cannot be opened the old one stays."""
        if self._path is None:
            return
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        except OSError as error:
            self._complain(f"access log {self._path}: {error.strerror}")
            return
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        self._torn = _ends_torn(self._path)

    def write(self, lines: bytes) -> None:
        """Whole lines, each with its newline."""
        if self._fd < 0:
            # It could not be opened so far: a folder that is made later, a disk that is mounted later.
            self.reopen()
            if self._fd < 0:
                self._drop(lines)
                return
        view = memoryview(b"\n" + lines if self._torn else lines)
        while view:
            try:
                written = os.write(self._fd, view)
            except OSError as error:
                self._lost(view, error)
                return
            self._torn = bytes(view[written - 1 : written]) != b"\n"
            view = view[written:]

    def _lost(self, rest: memoryview, error: OSError) -> None:
        self._drop(bytes(rest))
        now = self._now()
        if now >= self._quiet_until:
            self._quiet_until = now + _COMPLAIN_EVERY
            where = self._path or "stdout"
            self._complain(f"access log {where}: {error.strerror}; {self.dropped} lines lost so far")

    def _drop(self, lines: bytes) -> None:
        self.dropped += lines.count(b"\n")
        self._count(self.dropped)


def _ends_torn(path: str) -> bool:
    """Whether a logger that was killed left half a line at the end of the file."""
    if not os.path.isfile(path):
        return False  # opening a FIFO could wait for ever
    try:
        with open(path, "rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return False  # not readable

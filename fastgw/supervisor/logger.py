"""The logger process: reads every worker's log pipe, and owns the sink. It ends when no writer is left.

A pipe carries whole lines: access-log objects, and lines that start with `!`, which are for the operator
(stderr). A worker that was killed inside a line leaves a torn one; its successor starts with an empty
note, which ends that line and marks it, and what is neither kind of line is dropped. The pipe of an embedded
Valkey carries the lines of its own log, which are for the operator too.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Sequence
from types import FrameType

from fastgw.supervisor.sink import Sink

# One read. Workers flush every 10 ms, so a busy pipe holds a few hundred lines of 400 bytes by then.
_READ = 1024 * 1024

# A line without an end is a defect of its writer; this bounds what it can cost here.
_LONGEST_LINE = 256 * 1024


# The server's advice for writing snapshots to disk, at each start; it writes none.
_MOOT = b"overcommit"


class PipeReader:
    """The lines of one pipe; keeps the part of a line that has not ended yet."""

    __slots__ = ("_first", "_rest")

    def __init__(self) -> None:
        self._first = True  # a logger that was killed may have taken the beginning of the first line with it
        self._rest = b""

    def feed(self, data: bytes) -> tuple[bytes, list[bytes]]:
        """Access-log lines as one block, ready to be written, and the operator's lines."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._rest = self._rest + data if len(self._rest) < _LONGEST_LINE else b""
            return b"", []
        block = self._rest + data[:end]
        self._rest = data[end:]
        # The usual block holds nothing but objects. Notes begin with `!`, and whatever was torn ends with a `!`: one
        # memchr instead of two counts, which were a third of this process's time.
        if b"!" not in block and not self._first:
            return block, []
        self._first = False
        return _sort(block)


class ForeignReader:
    """The same for the log of a server that is not ours: every line is for the operator."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> tuple[bytes, list[bytes]]:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()[-_LONGEST_LINE:]
        return b"", [b"fastgw: valkey: " + line for line in map(bytes.strip, lines) if line and _MOOT not in line]


def _sort(block: bytes) -> tuple[bytes, list[bytes]]:
    objects: list[bytes] = []
    notes: list[bytes] = []
    for line in block.split(b"\n"):
        if line.startswith(b"!"):
            if len(line) > 1:
                notes.append(line[1:])
        elif line.startswith(b"{") and line.endswith(b"}"):
            objects.append(line + b"\n")
    return b"".join(objects), notes


class LoggerProcess:
    """`pipes`: the reading ends; `foreign`: those of them that carry another server's log. `orphan_limit`: seconds
    after the supervisor's death by which this one is over, even if a terminal blocks it for ever."""

    def __init__(
        self, pipes: Sequence[int], orphan_limit: float, stderr: int = 2, *, foreign: Sequence[int] = ()
    ) -> None:
        self.sink: Sink | None = None  # none: only the operator's lines are wanted
        self._readers: dict[int, PipeReader | ForeignReader] = {
            fd: ForeignReader() if fd in foreign else PipeReader() for fd in pipes
        }
        self._orphan_limit = orphan_limit
        self._stderr = stderr
        self._reopen = False
        self._wakeup = -1

    def run(self) -> int:
        self._install()
        poll = select.poll()
        for fd in self._readers:
            os.set_blocking(fd, False)
            poll.register(fd, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        while self._readers:
            for fd, _ in poll.poll():
                if fd == self._wakeup:
                    self._heed()
                elif not self._drain(fd):
                    poll.unregister(fd)
                    os.close(fd)
                    del self._readers[fd]
        return 0

    def _install(self) -> None:
        self._wakeup, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGUSR1, self._on_reopen)
        signal.signal(signal.SIGUSR2, self._on_orphaned)

    def _on_reopen(self, number: int, frame: FrameType | None) -> None:
        self._reopen = True

    def _on_orphaned(self, number: int, frame: FrameType | None) -> None:
        # The workers finish first, and their lines are still wanted. SIGALRM's default action ends this
        # process whatever it does then: a write to a blocked terminal is restarted by Python and would never
        # return.
        signal.alarm(max(1, round(self._orphan_limit)))

    def _heed(self) -> None:
        os.read(self._wakeup, 4096)
        if self._reopen:
            self._reopen = False
            if self.sink is not None:
                self.sink.reopen()

    def _drain(self, fd: int) -> bool:
        """False at the end of file: nobody is left who could write."""
        try:
            data = os.read(fd, _READ)
        except BlockingIOError:
            return True
        if not data:
            return False
        objects, notes = self._readers[fd].feed(data)
        for note in notes:
            self._write(note)
        if objects and self.sink is not None:
            self.sink.write(objects)
        return True

    def note(self, text: str) -> None:
        """One line for the operator, of the logger's own."""
        self._write(f"fastgw: logger: {text}".encode())

    def _write(self, text: bytes) -> None:
        try:
            os.write(self._stderr, text + b"\n")
        except OSError:
            pass  # stderr is closed: there is nobody to tell

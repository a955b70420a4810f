"""Signals become entries in a queue, and a byte in a pipe that wakes the loop. Nothing is done in a
handler."""

from __future__ import annotations

import os
import signal
from collections import deque
from types import FrameType

HANDLED = (
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGCHLD,
)


class SignalQueue:
    """Installed once, before the first fork; a child resets all of it (forking.py)."""

    __slots__ = ("_pending", "_read", "_write")

    def __init__(self) -> None:
        self._pending: deque[signal.Signals] = deque()
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def install(self) -> None:
        # The wakeup byte is written in C at the moment of the signal: a signal that arrives just before the
        # loop starts to wait cannot be slept through.
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for each in HANDLED:
            signal.signal(each, self._enqueue)

    def uninstall(self) -> None:
        signal.set_wakeup_fd(-1)
        for each in HANDLED:
            signal.signal(each, signal.SIG_DFL)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        return self._read

    def take(self) -> list[signal.Signals]:
        """What has come since the last call, in order."""
        try:
            while os.read(self._read, 4096):
                pass
        except BlockingIOError:
            pass
        taken = []
        while self._pending:
            taken.append(self._pending.popleft())
        return taken

    def _enqueue(self, number: int, frame: FrameType | None) -> None:
        self._pending.append(signal.Signals(number))

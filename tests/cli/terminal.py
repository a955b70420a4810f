"""A verb in a terminal of its own: what it shows, and keys for it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 10.0
MEDDLING = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
# The terminal becomes the one that controls the process: so Ctrl-C and a change of size arrive as they do in a real one.
PROGRAM = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from fastgw.__main__ import main
main()
"""
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>][A-Z0-9]?")


class Terminal:
    """`shown` is all that came so far, with its escape sequences."""

    def __init__(self, arguments: list[str], size: tuple[int, int], env: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        self.resize(*size)
        clean = {key: value for key, value in os.environ.items() if key not in MEDDLING}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, start_new_session=True,
            env={**clean, "TERM": "xterm-256color", **env},
        )  # fmt: skip
        os.close(slave)
        self.shown = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def wait_for(self, text: str) -> str:
        """Until `text` is among what was shown since the last wait, without its escape sequences; returns all of that."""
        start = len(self.shown)
        deadline = time.monotonic() + PATIENCE
        while text not in (seen := CONTROLS.sub("", self.shown[start:])):
            assert time.monotonic() < deadline, f"no {text!r} in:\n{seen}"
            assert self._read(deadline), f"ended without {text!r}:\n{seen}"
        return seen

    def end(self) -> int:
        """The exit code, once it has ended by itself."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(PATIENCE)
        os.close(self.master)


@contextmanager
def terminal(
    *arguments: str, size: tuple[int, int] = (30, 120), env: dict[str, str] | None = None
) -> Iterator[Terminal]:
    one = Terminal(list(arguments), size, env or {})
    try:
        yield one
    finally:
        one.close()

"""Keys of a terminal as they are pressed, without waiting for Enter; the terminal is given back as it was."""

from __future__ import annotations

import os
import re
import termios
from types import TracebackType
from typing import Any, Final, Self

KEYS: Final = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down", b"\x1b[5~": "page up",
    b"\x1b[6~": "page down", b"\x1b[H": "home", b"\x1bOH": "home", b"\x1b[F": "end", b"\x1bOF": "end",
    b"\x1b[1~": "home", b"\x1b[4~": "end", b"\x1b": "escape",
}  # fmt: skip
_KEY: Final = re.compile(rb"\x1b(?:\[[0-9;]*[~A-Za-z]|O[A-Z])?|[^\x1b]")
_LFLAGS, _CC = 3, 6  # places in what tcgetattr returns


class Keyboard:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] = []

    def fileno(self) -> int:
        return self._fd

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._fd)
        attributes = termios.tcgetattr(self._fd)
        attributes[_LFLAGS] &= ~(termios.ICANON | termios.ECHO)
        # Ctrl-Z would leave the shell with a terminal that shows no keys.
        attributes[_CC][termios.VSUSP] = b"\0"
        termios.tcsetattr(self._fd, termios.TCSADRAIN, attributes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def read(self) -> list[str] | None:
        """What was pressed; None: the terminal is gone. Only when there is something to read."""
        try:
            data = os.read(self._fd, 1024)
        except OSError:
            data = b""
        return keys(data) if data else None


def keys(data: bytes) -> list[str]:
    """Names of keys, or their characters; sequences that mean nothing here are left out."""
    found = [each for each in _KEY.findall(data) if each in KEYS or not each.startswith(b"\x1b")]
    return [KEYS.get(each) or each.decode("latin-1") for each in found]

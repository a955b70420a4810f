"""Whether a worker's heartbeat moves, in ticks of the supervisor."""

from __future__ import annotations


class Pulse:
    """`beat` once per tick with the worker's heartbeat word."""

    __slots__ = ("_last", "missed")

    def __init__(self) -> None:
        self._last = -1
        self.missed = 0

    def beat(self, value: int) -> int:
        """Ticks since the word last changed."""
        if value == self._last:
            self.missed += 1
        else:
            self._last = value
            self.missed = 0
        return self.missed

    def reset(self) -> None:
        self._last = -1
        self.missed = 0

"""What came out of the attempts of the last seconds: successes and failures, in a ring of ten slots. Pure arithmetic.

May not live here: what follows from it (breaker.py).
"""

from __future__ import annotations

from typing import Final

SLOTS: Final = 10  # what is counted is between nine and ten tenths of the window
SHORTEST: Final = 0.01  # seconds of a slot: a window of nothing must not divide by it


class Window:
    """Counts of one window; the slot that ends it is forgotten whole."""

    __slots__ = ("_failures", "_oks", "_origin", "_seconds", "_slot", "ends", "failures", "oks")

    def __init__(self, seconds: float, now: float) -> None:
        self._seconds = max(seconds / SLOTS, SHORTEST)  # of one slot
        self._origin = now
        self._oks = [0] * SLOTS
        self._failures = [0] * SLOTS
        self._slot = 0  # counted from the origin, not wrapped
        self.ends = now + self._seconds  # the present slot's end
        self.oks = 0
        self.failures = 0

    def add(self, oks: int, failures: int) -> None:
        """To the present slot: whoever adds has rolled first."""
        place = self._slot % SLOTS
        self._oks[place] += oks
        self._failures[place] += failures
        self.oks += oks
        self.failures += failures

    def roll(self, now: float) -> None:
        """Forget the slots that are older than the window."""
        if now < self.ends:
            return
        slot = int((now - self._origin) / self._seconds)
        for gone in range(max(self._slot + 1, slot - SLOTS + 1), slot + 1):
            place = gone % SLOTS
            self.oks -= self._oks[place]
            self.failures -= self._failures[place]
            self._oks[place] = self._failures[place] = 0
        self._slot = max(self._slot, slot)
        self.ends = self._origin + (self._slot + 1) * self._seconds

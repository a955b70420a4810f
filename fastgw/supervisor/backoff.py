"""When a dead process is started again: at once, unless it dies again and again."""

from __future__ import annotations

# A death counts one, and two seconds of life forgive one. So a single kill is answered at once, and so are
# three in a row; a process that dies at birth is started after 0, 0, 0, 100, 200, 400 ms ... up to the
# longest wait.
_FORGIVEN_PER_SECOND = 0.5
_FREE_DEATHS = 3.0
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 10.0


class Backoff:
    """The memory of one place in the process table; outlives the processes that fill it."""

    __slots__ = ("_score", "deaths")

    def __init__(self) -> None:
        self._score = 0.0
        self.deaths = 0

    def died(self, lived: float) -> float:
        """Seconds to wait before the next one is started, after one that lived so long."""
        self.deaths += 1
        self._score = max(0.0, self._score - lived * _FORGIVEN_PER_SECOND) + 1.0
        over = self._score - _FREE_DEATHS
        if over <= 0.0:
            return 0.0
        # The exponent is bounded first: 2.0 ** 1025 raises.
        wait: float = _FIRST_WAIT * 2.0 ** min(over - 1.0, 16.0)
        return min(wait, _LONGEST_WAIT)

"""What a worker lends to its policies: state that outlives a snapshot, and the way back into the pipeline.

One per worker, made by edge/dataplane.py. What may not live here: decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from fastgw.clock import Clock
from fastgw.limiter.limiter import Limiter
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Reply
from fastgw.policy.auth.authenticator import Authenticator

MODES: Final = ("redis", "lease", "local", "allow", "deny")  # who decided; see limiter.limit.Verdict


class Decisions:
    """What limits decided, since it was last taken: (route, limits, outcome, mode of the store) -> how often."""

    __slots__ = ("_admitted", "_counts")

    def __init__(self) -> None:
        self._counts: dict[tuple[str, tuple[str, ...], str, str], int] = {}
        self._admitted: dict[tuple[str, tuple[str, ...]], dict[str, int]] = {}

    def admitted(self, route: str, limits: tuple[str, ...]) -> dict[str, int]:
        """The counts of what these limits admit, by mode: the caller keeps and increments them."""
        return self._admitted.setdefault((route, limits), dict.fromkeys(MODES, 0))

    def count(self, route: str, limits: tuple[str, ...], outcome: str, mode: str) -> None:
        key = (route, limits, outcome, mode)
        self._counts[key] = self._counts.get(key, 0) + 1

    def take(self) -> Iterator[tuple[str, tuple[str, ...], str, str, int]]:
        for (route, limits), modes in self._admitted.items():
            for mode, count in modes.items():
                if count:
                    modes[mode] = 0
                    yield route, limits, "admitted", mode, count
        counts, self._counts = self._counts, {}
        for key, count in counts.items():
            yield *key, count


class Runtime:
    __slots__ = ("auth", "clock", "decisions", "limiter", "now", "resume")

    def __init__(
        self, limiter: Limiter, auth: Authenticator, clock: Clock, resume: Callable[[Exchange, Reply | None], None]
    ) -> None:  # fmt: skip
        self.limiter = limiter
        self.auth = auth
        self.clock = clock
        self.now = clock.now
        self.decisions = Decisions()
        # For an exchange whose policy said WAIT: its outcome. Never called from within `check`; an exchange that
        # ended meanwhile (`exchange.closed`) is ignored.
        self.resume = resume

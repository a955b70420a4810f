"""How many retries an upstream may be given, so that they cannot multiply an outage. Pure counting.

May not live here: whether an exchange can be retried at all, and on which target (gateway/).
"""

from __future__ import annotations

from typing import Final

# Retries at the same time, and failed ones saved up, that are always allowed. (Three, as the least one could allow, would
# refuse one of ten requests in flight while one of two targets is dead; ten are less than 20 % of 64.)
FLOOR: Final = 10


class RetryBudget:
    """A retry is let through while fewer than `share` of the requests in flight are retries, and while those that failed
    are fewer than `share` of all first attempts; in both, `floor` are always allowed.

    - In flight alone bounds retries only as long as they take as long as first attempts. After attempts that time out,
      retries that are refused at once would pass without end, as would failures that never wait at all.
    - So a retry costs 1 of a credit that each first attempt adds `share` to, at most `floor` of it. One that succeeds
      gives it back: while one of two targets is dead, half of all attempts are retries, every one is well spent, and none
      is refused. In an outage none succeeds: attempts <= (1 + share) * requests + floor.
    - A retry on a target that is steady (see Breaker.steady) is never refused: when one of two targets dies with half of
      the requests in flight on it, these are more than `share` at once, and safe on the other. They cost too, if need be
      on credit: should all targets have died in that moment, what was spent is saved again before anything else.
    """

    __slots__ = ("_credit", "_floor", "_seen", "_share", "firsts", "in_use")

    def __init__(self, share: float, floor: int = FLOOR) -> None:
        self._share = share
        self._floor = floor
        self._credit = float(floor)
        self._seen = 0  # how many of `firsts` were paid in
        self.firsts = 0  # hot: the caller adds 1 for each first attempt
        self.in_use = 0

    def take(self, in_flight: int, steady: bool = False) -> bool:
        """Whether a retry may begin; `in_flight` are the upstream's exchanges, the one that asks included."""
        self._pay_in()
        if not steady and (self._credit < 1.0 or self._busy(in_flight)):
            return False
        self._credit -= 1.0
        self.in_use += 1
        return True

    def give(self, succeeded: bool) -> None:
        """The retry is over. One that ended without a verdict did not succeed."""
        self.in_use -= 1
        if succeeded:
            self._credit = min(self._credit + 1.0, float(self._floor))

    def configure(self, share: float) -> None:
        self._pay_in()
        self._share = share

    def _busy(self, in_flight: int) -> bool:
        # With this one it must not be above the share: 13 of 64 would be a retry to every 3.9 first attempts.
        return self.in_use >= self._floor and self.in_use + 1 > self._share * in_flight

    def _pay_in(self) -> None:
        fresh = self.firsts - self._seen
        self._seen = self.firsts
        self._credit = min(self._credit + fresh * self._share, float(self._floor))

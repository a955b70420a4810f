"""A target at run time: one address of an upstream in this worker, with its pool and what choosing knows about it.

Written by its Upstream and by the attempts that it served. May not live here: which of several targets is chosen.
"""

from __future__ import annotations

from typing import Final

from fastgw.http1.memo import Streak
from fastgw.model.keys import seed_of
from fastgw.upstream.breaker import CLOSED, Breaker
from fastgw.upstream.pool import Pool, PoolLimits
from fastgw.upstream.slow_start import warm_share
from fastgw.upstream.tls import TlsTarget
from fastgw.upstream.wire import Shared

# Weight of one sample in the moving average of the time to the first byte: about the last ten answers.
EWMA_SHARE = 0.1
# A failed attempt makes it look so many times slower, at least and at most so slow: `p2c` looks elsewhere for a while,
# seconds after one failure and the longer the more there are. (Straight to a second, one reset kept a target that
# answers in 2 ms out for 53 s.)
FAILURE_FACTOR: Final = 4.0
LEAST_FAILURE: Final = 0.01
FAILURE_SECONDS: Final = 1.0
# Per second without news an average fades by this factor: a target that failed is tried again.
FADE = 0.9

# Attempts without any answer since the last one, after which others are preferred: a target that accepts and says
# nothing would get its share of a whole response timeout otherwise (nginx: 256 of 4,000 requests, HAProxy and Envoy 510).
MAX_UNHEARD: Final = 8
# Failures in a row after which a target rests where there are others. One is enough where nothing came back at all.
RESTS_AFTER: Final = 3
# Seconds of a rest: doubled with each trial that fails. Afterwards one attempt at a time tries it.
FIRST_REST: Final = 1.0
LONGEST_REST: Final = 10.0


class Target:
    """Identity is (host, port, address) or the unix path; it survives reloads that keep it."""

    __slots__ = (
        "address", "breaker", "current", "ewma", "healthy", "host_field", "in_flight", "label", "misses",
        "overdue_at", "pool", "port", "rest_until", "resting", "rests", "seed", "share", "slow_start", "tls",
        "unheard", "unix_path", "warm_from", "weight",
    )  # fmt: skip

    def __init__(
        self, label: str, address: str, port: int, unix_path: str, host_field: bytes, weight: int,
        limits: PoolLimits, shared: Shared, streak: Streak, tls: TlsTarget | None = None,
    ) -> None:  # fmt: skip
        self.label = label  # as in logs and metrics
        self.address = address
        self.port = port
        self.unix_path = unix_path
        self.host_field = host_field  # Host where the route does not preserve the client's
        self.weight = weight
        self.share = 1.0  # of the choices that it takes part in: less while it warms up
        self.in_flight = 0
        self.ewma = 0.0
        self.current = 0.0  # scratch of smooth weighted round robin
        self.breaker: Breaker | None = None  # where its upstream has one, and other targets
        self.healthy = True  # what the active checks say; without any, always
        self.unheard = 0  # attempts begun since it last answered
        self.misses = 0  # failed attempts in a row
        self.resting = False  # it failed: avoided where there are others, tried with one attempt at a time
        self.rest_until = 0.0
        self.rests = 0  # in a row
        self.overdue_at = 0.0  # when its next trial may be any request; 0.0: none has been passed over
        self.slow_start = 0.0
        self.warm_from = 0.0  # 0: it is warm
        self.tls = tls  # None: plain
        self.seed = seed_of(label)  # for the choice by key: every worker and gateway makes the same
        self.pool = Pool(self, limits, shared, streak)

    def secure(self, tls: TlsTarget | None, host_field: bytes) -> None:
        """A reload may change how the same address is spoken to: connections made otherwise serve nobody any more."""
        self.host_field = host_field
        if tls != self.tls:
            self.tls = tls
            self.pool.renew()

    def fit(self) -> bool:
        """Nothing speaks against its getting its share."""
        return self.unheard < MAX_UNHEARD and self.trusted()

    def trusted(self) -> bool:
        """The same but for its silence, which may be that of a burst."""
        breaker = self.breaker
        return self.healthy and not self.resting and (breaker is None or breaker.state is CLOSED)

    def wants_trial(self, now: float) -> bool:
        """It was taken out by its failures, and one attempt may see whether it is back."""
        breaker = self.breaker
        if breaker is not None and breaker.state is not CLOSED:
            return breaker.probing(now)
        return self.resting and now >= self.rest_until and not self.unheard

    def is_overdue(self, now: float) -> bool:
        """A trial is due, and only requests that cannot be repeated have come for as long as the longest rest."""
        if not self.overdue_at:
            self.overdue_at = now + LONGEST_REST
        return now >= self.overdue_at

    def steady(self) -> bool:
        """It answers: an attempt here is no gamble (see RetryBudget)."""
        if self.breaker is not None:
            return self.breaker.steady and not self.misses
        return self.ewma > 0.0 and not self.misses

    def admits(self, now: float) -> bool:
        return self.breaker is None or self.breaker.would_admit(now)

    def sample(self, seconds: float, now: float) -> None:
        """Hot. It answered after so many seconds, whatever it said."""
        self.ewma += (seconds - self.ewma) * EWMA_SHARE if self.ewma else seconds
        self.unheard = 0
        if self.misses and not (self.resting and now < self.rest_until):  # else an attempt from before the rest
            self.misses = 0
            if self.resting:
                self.returned(now)

    def failed(self, now: float, silent: bool = False, heard: bool = False) -> None:
        """An attempt failed. `silent`: there was no connection, or no answer in time; `heard`: it is not, or no longer,
        among those without any answer."""
        worse = FAILURE_SECONDS if silent else max(self.ewma * FAILURE_FACTOR, LEAST_FAILURE)
        self.ewma = max(self.ewma, min(worse, FAILURE_SECONDS))
        self.misses += 1
        if self.unheard and not heard:
            self.unheard -= 1
        if self.resting and now < self.rest_until:
            return  # attempts from before the rest
        if silent or self.misses >= RESTS_AFTER or self.resting:
            self.rest(now, min(FIRST_REST * 2.0**self.rests, LONGEST_REST))
            self.rests += 1

    def rest(self, now: float, seconds: float) -> None:
        self.resting = True
        self.misses = max(self.misses, 1)  # an answer ends it
        self.rest_until = now + seconds

    def returned(self, now: float) -> None:
        """Back after failures: what was measured before means nothing, and its share grows from little."""
        self.resting = False
        self.misses = self.rests = self.unheard = 0
        self.ewma = self.overdue_at = 0.0
        if self.slow_start:
            self.warm_from = now
            self.warm(now)

    def warm(self, now: float) -> None:
        """Once a tick while it warms up: its share of this moment."""
        self.share = warm_share(now - self.warm_from, self.slow_start)
        if self.share >= 1.0:
            self.warm_from = 0.0

    def fade(self) -> None:
        self.ewma *= FADE

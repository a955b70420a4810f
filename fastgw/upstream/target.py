"""A target at run time: one address of an upstream in this worker, with its pool and what balancing knows about it."""

from __future__ import annotations

from fastgw.http1.memo import Streak
from fastgw.model.keys import seed_of
from fastgw.upstream.pool import Pool, PoolLimits
from fastgw.upstream.tls import TlsTarget
from fastgw.upstream.wire import Shared

# Weight of one sample in the moving average of the time to the first byte: about the last ten answers.
EWMA_SHARE = 0.1
# A failed attempt counts like an answer that took this long, so that `p2c` looks elsewhere for a while.
FAILURE_SECONDS = 1.0
# Per second without news an average fades by this factor: a target that failed is tried again.
FADE = 0.9


class Target:
    """Identity is (host, port, address) or the unix path; it survives reloads that keep it."""

    __slots__ = (
        "address", "current", "ewma", "host_field", "in_flight", "label", "pool", "port", "seed", "tls", "unix_path",
        "weight",
    )  # fmt: skip

    def __init__(
        self, label: str, address: str, port: int, unix_path: str, host_field: bytes, weight: int,
        limits: PoolLimits, shared: Shared, streak: Streak, tls: TlsTarget | None = None,
    ) -> None:  # fmt: skip
        self.label = label  # as in logs and metrics
        self.seed = seed_of(label)  # for the choice by key: every worker and gateway makes the same
        self.address = address
        self.port = port
        self.unix_path = unix_path
        self.host_field = host_field  # Host where the route does not preserve the client's
        self.weight = weight
        self.in_flight = 0
        self.ewma = 0.0
        self.current = 0.0  # scratch of smooth weighted round robin
        self.tls = tls  # None: plain
        self.pool = Pool(self, limits, shared, streak)

    def secure(self, tls: TlsTarget | None, host_field: bytes) -> None:
        """A reload may change how the same address is spoken to: connections made otherwise serve nobody any more."""
        self.host_field = host_field
        if tls != self.tls:
            self.tls = tls
            self.pool.renew()

    def sample(self, seconds: float) -> None:
        self.ewma += (seconds - self.ewma) * EWMA_SHARE if self.ewma else seconds

    def failed(self) -> None:
        self.ewma = max(self.ewma, FAILURE_SECONDS)

    def fade(self) -> None:
        self.ewma *= FADE

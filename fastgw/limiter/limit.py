"""A limit as the snapshot holds it, and what a decision says. Immutable but for the binding; no buckets here."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastgw.limiter.memory import Table


class Limit:
    """One configured limit; for each tier one more with the same `id` and another rate."""

    __slots__ = ("burst", "id", "leases", "name", "on_error", "rate", "shadow", "state")

    def __init__(
        self, id: bytes, name: str, rate: float, burst: float, on_error: str, leases: bool, shadow: bool
    ) -> None:
        if not (isfinite(rate) and rate > 0.0 and isfinite(burst) and burst >= 1.0):
            raise ValueError(f"limit {name!r}: a rate above 0 and a burst of at least 1, not {rate}, {burst}")
        self.id = (
            id  # b"<route>/<name>", b"/<name>" for the whole gateway: with it ends each key in the store
        )
        self.name = name
        self.rate = rate  # tokens a second
        self.burst = burst
        self.on_error = on_error  # local, allow, deny
        self.leases = leases
        self.shadow = shadow
        # What this worker knows of its buckets, bound on first use as Route.bound is: outlives the snapshot.
        self.state: Table | None = None


class Verdict:
    """Immutable: one may be given to many requests."""

    __slots__ = ("admitted", "lines", "mode", "refused", "retry_after", "shadowed")

    def __init__(
        self,
        admitted: bool,
        refused: tuple[Limit, ...],
        shadowed: tuple[Limit, ...],
        lines: bytes,
        retry_after: int,
        mode: str,
    ) -> None:
        self.admitted = admitted
        self.refused = refused  # enforced limits that refused; empty where admitted
        self.shadowed = shadowed  # shadow limits that would have
        self.lines = lines  # a RateLimit line of each enforced limit that is known, CRLF-ended
        self.retry_after = (
            retry_after  # whole seconds, at least 1, until what refused has a token again; 0 if admitted
        )
        # Who decided: redis (the store, now), lease (in process, by what the store granted or said before), local (a
        # bucket in process), allow, deny.
        self.mode = mode

"""Whether the gateway is ready for traffic, from what the workers show in shared memory.

Neither a respawn (some 100 ms without a worker) nor a reload (some ms with the old version) flaps it. Time is
counted in observations, each of 0.6 s at most, so that a paused machine does not make everybody stale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastgw.account.series import Slot, Word, WorkerState
from fastgw.clock import Clock

# Design section 11: a worker may be stale for this long.
STALE_AFTER = 5.0
# A worker is replaced within 200 ms; a gateway with a single one must not flap meanwhile.
WITHOUT_WORKER = 1.0
# Observed twice a second; below WITHOUT_WORKER, so that one step alone proves nothing.
_LONGEST_STEP = 0.6


def _nobody_refused(index: int, version: int) -> str | None:
    return None


@dataclass(slots=True)
class _Seen:
    heartbeat: int = -1
    version: int = -1
    silent_for: float = 0.0
    behind_for: float = 0.0


class Readiness:
    """`observe` regularly; `reason` at any time. `draining` is set once the gateway is going down. `refusal` says what
    a worker said of a version that it did not take."""

    __slots__ = ("_clock", "_last", "_refusal", "_seen", "_slots", "_without_worker_for", "draining")

    def __init__(
        self, slots: Sequence[Slot], clock: Clock, refusal: Callable[[int, int], str | None] = _nobody_refused
    ) -> None:
        self._slots = slots
        self._clock = clock
        self._refusal = refusal
        self._seen = [_Seen() for _ in slots]
        self._last = clock.now()
        # No credit before the first worker has served.
        self._without_worker_for = WITHOUT_WORKER
        self.draining = False

    def observe(self, version: int) -> None:
        """`version` is the one that the workers should serve."""
        now = self._clock.now()
        step = min(now - self._last, _LONGEST_STEP)
        self._last = now
        serving = False
        for slot, seen in zip(self._slots, self._seen, strict=True):
            heartbeat = slot.get(Word.HEARTBEAT)
            seen.silent_for = 0.0 if heartbeat != seen.heartbeat else seen.silent_for + step
            seen.heartbeat = heartbeat
            serves = slot.get(Word.VERSION)
            # One that takes a version after the other is not stale, even if there is always a newer one.
            keeps_up = serves == version or serves != seen.version
            seen.behind_for = 0.0 if keeps_up else seen.behind_for + step
            seen.version = serves
            # One that was killed still says SERVING until its successor is born.
            alive = seen.silent_for < WITHOUT_WORKER
            serving = serving or (alive and slot.get(Word.STATE) == WorkerState.SERVING)
        self._without_worker_for = 0.0 if serving else self._without_worker_for + step

    def reason(self, version: int) -> str | None:
        """Why the gateway is not ready; None: it is."""
        self.observe(version)
        if self.draining:
            return "draining"
        if self._without_worker_for >= WITHOUT_WORKER:
            return "no worker is serving"
        for index, seen in enumerate(self._seen):
            if seen.silent_for > STALE_AFTER:
                return f"worker {index} has been silent for {seen.silent_for:.0f} s"
            if seen.behind_for > STALE_AFTER:
                why = self._refusal(index, version)
                late = f"worker {index} has not taken version {version} for {seen.behind_for:.0f} s"
                return late if why is None else f"{late}: it refused it ({why}); publish another, or roll back"
        return None

"""Bounds that take more than one run of k6, or more than k6 knows, to judge. Figures in, verdicts out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isinf

from bench import stats
from k6 import modes
from k6.guards import STORE_TIMEOUT_MS, TICK_MS
from k6.timeline import SLOT_SECONDS, Slot, Timeline

SETTLE_SECONDS = 0.5  # until the limiter's breaker must have opened
BACK_SECONDS = 2.0  # until limits must be exact again
NOISE_MS = 25  # what k6, its neighbours on the core and the kernel may add to the longest wait
STORE_DECISIONS = frozenset({"redis", "lease"})
AWAY_DECISIONS = frozenset({"local"})  # what the configuration of the scenarios states
MEDIAN_BOUND = 1.25
MEDIAN_NOISE_MS = 0.2
TAIL_BOUND = 2.0
TAIL_NOISE_MS = 2.0
FLOOD_BOUND = 1.3
GROWTH_BOUND_MB = (
    1.0  # the heads that come in a quarter of the time, as parsed, weigh more than ten times that
)


@dataclass(frozen=True)
class Verdict:
    what: str
    value: float
    bound: float
    unit: str

    @property
    def held(self) -> bool:
        return self.value <= self.bound

    @property
    def text(self) -> str:
        word = "holds" if self.held else "DOES NOT HOLD"
        return f"{self.what}: {self.value:.2f} {self.unit} (at most {self.bound:.2f}): {word}"

    def plain(self) -> dict[str, object]:
        return {**asdict(self), "held": self.held}


def _busy(slots: Sequence[Slot]) -> list[Slot]:
    return [slot for slot in slots if slot.requests]


def _middle(slots: Sequence[Slot], figure: str) -> float:
    """Median over the slots of one of their figures; a stretch in which nothing began is no good sign."""
    busy = _busy(slots)
    return stats.median([getattr(slot, figure) for slot in busy]) if busy else float("inf")


@dataclass(frozen=True)
class Stretch:
    """Slots between two moments."""

    what: str
    slots: tuple[Slot, ...]


def stretches(timeline: Timeline) -> list[Stretch]:
    """The one before the first moment is called `before`, each other one by the moment that began it."""
    begins = [("before", 10), *timeline.moments]  # k6's own start takes a second
    ends = [slot for _, slot in timeline.moments] + [len(timeline.slots)]
    return [Stretch(what, timeline.slots[begin:end]) for (what, begin), end in zip(begins, ends, strict=True)]


def away(before: Stretch, gone: Stretch) -> list[Verdict]:
    """While the store is not to be had: only the stated mode, and waiting only until the breaker opened."""
    settled = gone.slots[round(SETTLE_SECONDS / SLOT_SECONDS) :]
    longest = max((slot.longest for slot in gone.slots), default=float("inf"))
    return [
        Verdict(
            f"{gone.what}: 100 ms in which a worker asked it, after {SETTLE_SECONDS} s",
            sum(slot.mode != modes.LOCAL for slot in settled) if settled else float("inf"),
            0,
            "",
        ),
        Verdict(f"{gone.what}: longest wait", longest, STORE_TIMEOUT_MS + TICK_MS + NOISE_MS, "ms"),
        Verdict(
            f"{gone.what}: median",
            _middle(settled, "p50"),
            _middle(before.slots, "p50") * MEDIAN_BOUND + MEDIAN_NOISE_MS,
            "ms",
        ),
        Verdict(
            f"{gone.what}: p99 of 100 ms after the breaker opened",
            _middle(settled, "p99"),
            _middle(before.slots, "p99") * TAIL_BOUND + TAIL_NOISE_MS,
            "ms",
        ),
    ]


def back(again: Stretch) -> Verdict:
    """Seconds from the return of the store to the last decision that was not its own."""
    away = [number for number, slot in enumerate(again.slots) if slot.mode != modes.STORE]
    last = away[-1] + 1 if away else 0
    seconds = last * SLOT_SECONDS if last < len(again.slots) else float("inf")
    return Verdict(f"{again.what}: all workers ask it again after", seconds, BACK_SECONDS, "s")


def late(slots: Stretch, delay_ms: float, before: Stretch) -> list[Verdict]:
    """Answers that are late, but in time: the store decides, and a request waits for that and no longer."""
    usual = _middle(before.slots, "p50")
    return [
        Verdict(
            f"{slots.what}: 100 ms in which a worker did not ask it",
            sum(slot.mode != modes.STORE for slot in slots.slots),
            0,
            "",
        ),
        Verdict(
            f"{slots.what}: median",
            _middle(slots.slots, "p50"),
            delay_ms + usual * MEDIAN_BOUND + TICK_MS,
            "ms",
        ),
    ]


def decided(what: str, decisions: Mapping[str, int] | None, allowed: Collection[str]) -> list[Verdict]:
    """What the metrics counted: nothing but the allowed. No verdict where there was not time enough to count."""
    if decisions is None:
        return []
    others = sum(count for mode, count in decisions.items() if mode not in allowed)
    name = f"{what}: decisions counted in another mode than {' and '.join(sorted(allowed))}"
    return [Verdict(name, others if decisions else float("inf"), 0, "")]


def flooded(p99: float, passing_by: float) -> Verdict:
    return Verdict(
        "p99 of honest clients beside the flood, to theirs", p99 / passing_by, FLOOD_BOUND, "times"
    )


def growth(sizes: Sequence[int]) -> Verdict:
    """Resident bytes in the second half of a flood: medians of its third and of its last quarter.

    The first half fills memories that are bounded.
    """
    quarter = len(sizes) // 4
    more = float("inf")
    if quarter:
        third, last = sizes[2 * quarter : 3 * quarter], sizes[-quarter:]
        more = (stats.median(last) - stats.median(third)) / 2**20
    return Verdict("growth of memory in the second half of the flood", more, GROWTH_BOUND_MB, "MB")


def over_rounds(rounds: Sequence[Sequence[Verdict]]) -> list[Verdict]:
    """One verdict of each kind: the middle of times and ratios (one round with a hiccup of the machine is not a
    verdict), the worst of counts; what never came about in one round did not come about."""
    found: dict[str, list[Verdict]] = {}
    for verdict in (one for verdicts in rounds for one in verdicts):
        found.setdefault(verdict.what, []).append(verdict)
    return [_middle_verdict(what, verdicts) for what, verdicts in found.items()]


def _middle_verdict(what: str, verdicts: Sequence[Verdict]) -> Verdict:
    unit = verdicts[0].unit
    if not unit or any(isinf(one.value) for one in verdicts):
        return max(verdicts, key=lambda one: one.value - one.bound)
    value = stats.median([one.value for one in verdicts])
    return Verdict(what, value, stats.median([one.bound for one in verdicts]), unit)

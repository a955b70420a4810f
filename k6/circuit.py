"""The states of a breaker while a load runs, and what clients got in each of them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench import admin, stats
from bench.errors import BenchError
from k6.outcome import Table
from k6.timeline import SLOT_SECONDS, Slot
from k6.verdicts import Verdict

LOOK_SECONDS = 0.025
CLOSED, FAILING, OPEN, HALF_OPEN, AGAIN = "closed", "closed, failing", "open", "half-open", "closed again"
STORY = (CLOSED, FAILING, OPEN, HALF_OPEN, AGAIN)
OPENS_WITHIN = 1.0  # seconds of failing answers
REFUSAL_NOISE_MS = 0.2
HEADER = (
    "state",
    "seconds",
    *("served", "p50 ms", "p99 ms", "failing", "p50 ms", "p99 ms", "refused", "p50 ms", "p99 ms"),
)


@dataclass(frozen=True)
class Look:
    at: float  # wall seconds
    state: str  # as the gateway calls it


@dataclass
class Watch:
    """A context. Looks at the state again and again; a look that fails is left out."""

    admin_port: int
    upstream: str
    looks: list[Look] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(5)

    def _watch(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(BenchError):
                self.looks.append(Look(time.time(), admin.breaker_state(self.admin_port, self.upstream)))
            self._over.wait(LOOK_SECONDS)


def chapters(looks: Sequence[Look], failed_at: float) -> list[tuple[float, str]]:
    """When each part of the story began. A closed circuit is another one while its upstream fails, and after."""
    found: list[tuple[float, str]] = []
    opened = False
    for look in looks:
        if look.state != "closed" and not opened:
            opened = True
            if found and found[-1][1] == CLOSED:  # it failed for less than the time between two looks
                found.append((failed_at, FAILING))
        if look.state != "closed":
            name = OPEN if look.state == "open" else HALF_OPEN
        elif opened:
            name = AGAIN
        else:
            name = FAILING if look.at >= failed_at else CLOSED
        if not found or found[-1][1] != name:
            found.append((failed_at if name == FAILING else look.at, name))
    return found


def _name_at(story: Sequence[tuple[float, str]], at: float) -> str:
    current = CLOSED
    for begin, name in story:
        if begin > at:
            break
        current = name
    return current


def _cells(slots: Sequence[Slot]) -> tuple[str, ...]:
    """Requests; the median of the medians; the worst p99 of 100 ms."""
    busy = [slot for slot in slots if slot.requests]
    if not busy:
        return "-", "", ""
    count = sum(slot.requests for slot in busy)
    middle, worst = stats.median([slot.p50 for slot in busy]), max(slot.p99 for slot in busy)
    return f"{count:,}", f"{middle:.2f}", f"{worst:.2f}"


def table(kinds: Sequence[Sequence[Slot]], story: Sequence[tuple[float, str]], began: float) -> Table:
    """`kinds`: slots of what was served, of what failed, of what was refused."""
    length = max((len(slots) for slots in kinds), default=0)
    names = [_name_at(story, began + (number + 0.5) * SLOT_SECONDS) for number in range(length)]
    lines = []
    for name in STORY:
        if name not in names:
            continue
        mine = [[slot for slot, one in zip(slots, names, strict=False) if one == name] for slots in kinds]
        cells = [cell for slots in mine for cell in _cells(slots)]
        lines.append((name, f"{names.count(name) * SLOT_SECONDS:.1f}", *cells))
    return Table("latency in each state (p99: of the worst 100 ms)", HEADER, tuple(lines))


def verdicts(
    story: Sequence[tuple[float, str]], failed_at: float, back_at: float, patience: float
) -> list[Verdict]:
    """`patience`: seconds until the next probe, at worst."""
    begins: Mapping[str, float] = dict(
        reversed([(name, begin) for begin, name in story])
    )  # the first of each
    missing = [name for name in STORY if name not in begins]
    opened, again = begins.get(OPEN, float("inf")), begins.get(AGAIN, float("inf"))
    return [
        Verdict("states of the circuit that were not seen", len(missing), 0, ""),
        Verdict("the circuit opens after", opened - failed_at, OPENS_WITHIN, "s"),
        Verdict("it closes, once the upstream is back, after", again - back_at, patience, "s"),
    ]


def quick_refusal(served: Sequence[Slot], refused: Sequence[Slot]) -> Verdict:
    usual = [slot.p50 for slot in served if slot.requests]
    found = [slot.p50 for slot in refused if slot.requests]
    return Verdict(
        "median of a refusal, to one served",
        stats.median(found) if found else float("inf"),
        (stats.median(usual) if usual else 0.0) + REFUSAL_NOISE_MS,
        "ms",
    )

"""On what the gateway's limits decide while a load runs: as it says itself, in its log and in /metrics.

The log has each worker's change of mind within some milliseconds; the metrics count decisions, a second late.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import admin
from bench.errors import BenchError

LOOK_SECONDS = 0.01
SCRAPE_SECONDS = (
    0.5  # more often, control's rendering would be seen in the latencies that it shares a core with
)
PUBLISH_SECONDS = 1.2  # how old a count may be
STORE, LOCAL, MIXED = "redis", "local", "redis+local"
DOWN, UP = " is not asked until it decides again ", " decides again, after "


@dataclass(frozen=True)
class Sample:
    at: float  # wall seconds
    decisions: Mapping[str, float]  # by mode, since the gateway started


@dataclass(frozen=True)
class Change:
    """A worker stopped asking the store (-1), or asks it again (+1)."""

    at: float
    by: int


def more(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, int]:
    """Decisions by mode from one look to the other; modes without any are left out."""
    found = {mode: round(total - before.get(mode, 0.0)) for mode, total in after.items()}
    return {mode: count for mode, count in found.items() if count > 0}


def shown(counts: Mapping[str, int]) -> str:
    return " ".join(f"{mode}:{count}" for mode, count in sorted(counts.items())) or "-"


def between(samples: Sequence[Sample], begin: float, end: float) -> dict[str, int] | None:
    """What was certainly decided within that time; None if it is too short to know of anything."""
    inside = [sample for sample in samples if begin + PUBLISH_SECONDS <= sample.at <= end]
    return more(inside[0].decisions, inside[-1].decisions) if len(inside) > 1 else None


def changes_in(line: str, at: float) -> list[Change]:
    if "limits: " not in line:
        return []
    return [Change(at, by) for mark, by in ((DOWN, -1), (UP, 1)) if mark in line]


def mode_of(workers: int, changes: Sequence[Change], begin: float, end: float) -> str:
    """In that time, of workers that all asked the store before the first change."""
    asking = workers + sum(change.by for change in changes if change.at < begin)
    seen = {asking}
    for change in changes:
        if begin <= change.at < end:
            asking += change.by
            seen.add(asking)
    if seen == {workers}:
        return STORE
    return LOCAL if seen == {0} else MIXED


@dataclass
class Watch:
    """A context. A scrape that fails is left out."""

    admin_port: int
    output: Path  # where the gateway's log goes
    samples: list[Sample] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Watch:
        position = self.output.stat().st_size
        for target in (lambda: self._follow(position), self._scrape):
            thread = threading.Thread(target=target, daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(5)

    def _scrape(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(BenchError):
                self.samples.append(Sample(time.time(), admin.limit_modes(self.admin_port)))
            self._over.wait(SCRAPE_SECONDS)

    def _follow(self, position: int) -> None:
        with self.output.open(errors="replace") as file:
            file.seek(position)
            started = ""
            while not self._over.wait(LOOK_SECONDS):
                now = time.time()
                *lines, started = (started + file.read()).split("\n")
                for line in lines:
                    self.changes += changes_in(line, now)

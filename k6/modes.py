"""On what the gateway's limits decided, ten times a second: from /metrics of its admin address, in a thread."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bench import admin
from bench.errors import BenchError

INTERVAL = 0.1


@dataclass(frozen=True)
class Sample:
    at: float  # wall seconds
    decisions: Mapping[str, float]  # by mode, since the gateway started


@dataclass(frozen=True)
class Interval:
    begin: float
    end: float
    decisions: Mapping[str, int]  # by mode; those without any are left out

    @property
    def middle(self) -> float:
        return (self.begin + self.end) / 2


def more(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, int]:
    """Decisions by mode from one look to the other; modes without any are left out."""
    found = {mode: round(total - before.get(mode, 0.0)) for mode, total in after.items()}
    return {mode: count for mode, count in found.items() if count > 0}


def shown(counts: Mapping[str, int]) -> str:
    return " ".join(f"{mode}:{count}" for mode, count in sorted(counts.items())) or "-"


def intervals(samples: Sequence[Sample]) -> list[Interval]:
    return [
        Interval(before.at, after.at, more(before.decisions, after.decisions))
        for before, after in pairwise(samples)
    ]


@dataclass
class Watch:
    """A context. A scrape that fails is left out: the interval is longer then."""

    admin_port: int
    samples: list[Sample] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            with contextlib.suppress(BenchError):
                self.samples.append(Sample(time.time(), admin.limit_modes(self.admin_port)))
            due = max(due + INTERVAL, time.monotonic())
            self._over.wait(due - time.monotonic())

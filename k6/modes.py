"""On what the gateway's limits decided, ten times a second: from /metrics of its admin address, in a thread."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

INTERVAL = 0.1
_DECISIONS = re.compile(r'^fastgw_limit_decisions_total\{.*\bmode="(\w+)".*\} (\S+)$', re.MULTILINE)


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


def parse(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for mode, value in _DECISIONS.findall(text):
        found[mode] = found.get(mode, 0.0) + float(value)
    return found


def intervals(samples: Sequence[Sample]) -> list[Interval]:
    found = []
    for before, after in pairwise(samples):
        more = {
            mode: round(total - before.decisions.get(mode, 0.0)) for mode, total in after.decisions.items()
        }
        found.append(
            Interval(before.at, after.at, {mode: count for mode, count in more.items() if count > 0})
        )
    return found


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
            try:
                url = f"http://127.0.0.1:{self.admin_port}/metrics"
                with urllib.request.urlopen(url, timeout=2) as answer:
                    self.samples.append(Sample(time.time(), parse(answer.read().decode())))
            except OSError:
                pass
            due = max(due + INTERVAL, time.monotonic())
            self._over.wait(due - time.monotonic())

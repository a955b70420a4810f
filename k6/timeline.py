"""What a load saw every 100 ms, beside what happened to the store and on what the limits decided then."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench import report
from k6.modes import Change, mode_of

SLOT_SECONDS = 0.1  # as in k6/js/load.js
SHOWN_BEFORE, SHOWN_AFTER = 2, 7  # slots around a moment that the terminal shows
HEADER = ["seconds", "requests", "p50 ms", "p99 ms", "longest ms", "mode", "moment"]


@dataclass(frozen=True)
class Moment:
    what: str
    at: float  # wall seconds


@dataclass(frozen=True)
class Slot:
    """What began in one stretch of 100 ms. Milliseconds; all zero where nothing did."""

    requests: int
    p50: float
    p99: float
    longest: float
    mode: str = ""  # redis, local, or both: of the workers together


@dataclass(frozen=True)
class Timeline:
    file: str
    slots: tuple[Slot, ...]
    moments: tuple[tuple[str, int], ...]  # what, slot

    def lines(self) -> list[list[str]]:
        happened: dict[int, list[str]] = {}
        for what, number in self.moments:
            happened.setdefault(number, []).append(what)
        return [
            [
                f"{number * SLOT_SECONDS:.1f}",
                str(slot.requests),
                *(f"{value:.2f}" for value in (slot.p50, slot.p99, slot.longest)),
                slot.mode,
                ", ".join(happened.get(number, ())),
            ]
            for number, slot in enumerate(self.slots)
        ]

    def render(self) -> str:
        """Only what is near a moment."""
        near = {
            number
            for _, moment in self.moments
            for number in range(moment - SHOWN_BEFORE, moment + SHOWN_AFTER + 1)
        }
        lines = self.lines()
        return report.grid(HEADER, [lines[number] for number in sorted(near) if 0 <= number < len(lines)])

    def csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(self.lines())
        return text.getvalue()


def slots_of(document: Mapping[str, Any], what: str = "took") -> list[Slot]:
    """From k6's summary: the values of that metric that carry the tag `slot`."""
    found: dict[int, Slot] = {}
    for name, metric in document["metrics"].items():
        if not name.startswith(f"{what}{{slot:"):
            continue
        values = metric["values"]
        count = int(values.get("count", 0))
        p50, p99, longest = (float(values[key]) if count else 0.0 for key in ("med", "p(99)", "max"))
        number = int(name.removeprefix(f"{what}{{slot:").removesuffix("}"))
        found[number] = Slot(count, p50, p99, longest)
    return [found.get(number, Slot(0, 0, 0, 0)) for number in range(max(found, default=-1) + 1)]


def build(
    file: str,
    slots: Sequence[Slot],
    began: float,
    moments: Sequence[Moment],
    workers: int,
    changes: Sequence[Change],
) -> Timeline:
    """`began`: wall seconds of the first slot. Before the first change all workers ask the store."""
    made = []
    for number, slot in enumerate(slots):
        begin = began + number * SLOT_SECONDS
        made.append(replace(slot, mode=mode_of(workers, changes, begin, begin + SLOT_SECONDS)))
    return Timeline(
        file, tuple(made), tuple((one.what, int((one.at - began) // SLOT_SECONDS)) for one in moments)
    )

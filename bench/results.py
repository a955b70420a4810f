"""What a case hands back: rows for the table, rounds for the JSON file, verdicts against the goals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.stats import Ratio


@dataclass(frozen=True)
class Goal:
    """`must` fails the case, `aim` is where the design wants to be; both are upper bounds."""

    must: float
    aim: float


@dataclass(frozen=True)
class Verdict:
    what: str
    value: float
    unit: str
    goal: Goal

    @property
    def word(self) -> str:
        if self.value <= self.goal.aim:
            return "goal reached"
        return "within" if self.value <= self.goal.must else "OVER"

    def plain(self) -> dict[str, object]:
        return {
            "what": self.what,
            "value": self.value,
            "unit": self.unit,
            "must": self.goal.must,
            "goal": self.goal.aim,
            "verdict": self.word,
        }


@dataclass(frozen=True)
class Row:
    label: str
    figures: Mapping[str, float]  # column -> median over the rounds
    ratio: Ratio | None
    rounds: tuple[Mapping[str, float], ...]

    def plain(self) -> dict[str, object]:
        return {
            "label": self.label,
            "median": dict(self.figures),
            "ratio": self.ratio.plain() if self.ratio else None,
            "rounds": [dict(one) for one in self.rounds],
        }


@dataclass
class CaseResult:
    case: str
    title: str
    ratio_of: str  # what the ratio column compares, with what
    rows: list[Row]
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(self, label: str) -> Row | None:
        return next((row for row in self.rows if row.label == label), None)

    def plain(self) -> dict[str, object]:
        return {
            "case": self.case,
            "title": self.title,
            "ratio_of": self.ratio_of,
            "rows": [row.plain() for row in self.rows],
            "verdicts": [verdict.plain() for verdict in self.verdicts],
            "notes": self.notes,
        }

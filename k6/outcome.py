"""What came out of a scenario, as text for the terminal and as plain values for the result file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from bench import report
from k6.scenario import Scenario
from k6.summary import Round, Row
from k6.timeline import Timeline
from k6.verdicts import Verdict


@dataclass(frozen=True)
class Table:
    """Of a scenario that has more to show than a row for each side."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    def render(self) -> str:
        return f"{self.title}\n{report.grid(self.header, self.lines)}"


@dataclass
class Outcome:
    scenario: Scenario
    rows: list[Row]
    rounds: dict[str, list[Round]]
    broken: list[tuple[str, str]]  # (side, threshold)
    notes: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    timelines: list[Timeline] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def plain(self) -> dict[str, object]:
        return {
            "scenario": self.scenario.name,
            "rate": self.scenario.rate,
            "rows": [row.plain() for row in self.rows],
            "rounds": {side: [one.plain() for one in found] for side, found in self.rounds.items()},
            "broken": self.broken,
            "notes": self.notes,
            "verdicts": [verdict.plain() for verdict in self.verdicts],
            "tables": [asdict(table) for table in self.tables],
        }

    def render(self) -> str:
        rows = [
            [
                row.side,
                *(f"{value:.2f}" for value in (row.p50, row.p95, row.p99)),
                *(f"{value:,}" for value in (row.failed, row.wrong, row.dropped, row.requests)),
            ]
            for row in self.rows
        ]
        header = ["side", "p50 ms", "p95 ms", "p99 ms", "failed", "wrong", "dropped", "requests"]
        lines = [f"\n{self.scenario.name}: {self.scenario.title}, {self.scenario.rate}/s"]
        lines.append(report.grid(header, rows))
        lines += self.notes
        if self.timelines:
            lines += [f"the first round around each moment (all in {self.timelines[0].file}):"]
            lines += [self.timelines[0].render()]
        lines += [table.render() for table in self.tables]
        lines += [verdict.text for verdict in self.verdicts]
        lines += [f"THRESHOLD of {side} not held: {text}" for side, text in self.broken]
        return "\n".join(lines)

"""The table on the terminal, the JSON file, and the comparison with an earlier file. Formatting only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.results import CaseResult, Row


def number(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def grid(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """First column to the left, the others to the right."""
    table = [list(header), *map(list, lines)]
    widths = [max(len(line[column]) for line in table) for column in range(len(header))]
    rendered = []
    for line in table:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        rendered.append("  ".join(cells).rstrip())
    rendered.insert(1, "-" * max(map(len, rendered)))
    return "\n".join(rendered)


def _cells(row: Row, columns: Sequence[str]) -> list[str]:
    cells = [row.label, *(number(row.figures[column]) for column in columns)]
    if row.ratio is None:
        return [*cells, "", ""]
    return [*cells, f"{row.ratio.median:.2f}", f"{row.ratio.low:.2f}-{row.ratio.high:.2f}"]


def render(result: CaseResult) -> str:
    columns = list(result.rows[0].figures)
    text = (
        f"\n{result.title}\nratio = {result.ratio_of}; median of {len(result.rows[0].rounds)} paired rounds\n"
    )
    text += grid(["side", *columns, "ratio", "spread"], [_cells(row, columns) for row in result.rows])
    for verdict in result.verdicts:
        text += (
            f"\n{verdict.what}: {number(verdict.value)} {verdict.unit}"
            f" (must {verdict.goal.must:g}, goal {verdict.goal.aim:g}): {verdict.word}"
        )
    for note in result.notes:
        text += f"\nnote: {note}"
    return text


def document(
    about: Mapping[str, object], results: Sequence[CaseResult], void: str | None
) -> dict[str, object]:
    return {**about, "void": void, "cases": [result.plain() for result in results]}


def save(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")


def against(results: Sequence[CaseResult], earlier: Mapping[str, object]) -> str:
    """Ratios now and then, side by side: absolute figures of two runs are never comparable, ratios are."""
    then: dict[tuple[str, str], float] = {}
    cases = earlier["cases"]
    if not isinstance(cases, list):
        raise ValueError("not a result of this bench")
    for case in cases:
        for row in case["rows"]:
            if row["ratio"]:
                then[case["case"], row["label"]] = row["ratio"]["median"]
    lines = []
    for result in results:
        for row in result.rows:
            before = then.get((result.case, row.label))
            if before is None or row.ratio is None:
                continue
            change = (row.ratio.median / before - 1) * 100
            name = f"{result.case} {row.label}"
            lines.append([name, f"{before:.2f}", f"{row.ratio.median:.2f}", f"{change:+.0f} %"])
    return grid(["ratio of", "then", "now", "change"], lines)

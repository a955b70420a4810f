"""A frame of `fastgw top`, for rich: the gateway in three lines, what is wrong with it, and the table of the view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from fastgw.cli.figures import milliseconds, rate, span, visible
from fastgw.cli.status import troubles
from fastgw.cli.view import TABLES, Column, Facts, Row, View

BLOCKS: Final = "▁▂▃▄▅▆▇█"
MOST_TROUBLES: Final = 4  # lines; `fastgw status` has all of them
KEYS: Final = (
    *((table.key, table.name) for table in TABLES),
    ("s", "sort"), ("space", "pause"), ("↑↓", "scroll"), ("?", "help"), ("q", "quit"),
)  # fmt: skip
HELP: Final = """\
r u w e l   routes, upstreams, workers, reasons of refusals and failures, limits
s, S        sort by the next column, or the one before
space       pause, and go on
↑ ↓         scroll; also Page Up, Page Down, Home, End
q, Ctrl-C   quit

Rates and percentiles are of the last ten seconds, the first line of blocks is of the last two minutes.
OURS is the time that the gateway took itself. LAG is how late a worker's loop is.
Why a single request ended as it did: fastgw tail. What would become of one: fastgw explain.

Any key goes back."""


def frame(facts: Facts, view: View, height: int | None, width: int) -> RenderableType:
    """`height` None: not for a terminal, so there are all rows and no keys."""
    head = [_first(facts, view), *_traffic(facts, width)]
    wrong = [Text(line, "yellow") for line in _wrong(facts)]
    if len(wrong) > MOST_TROUBLES and height is not None:
        wrong = [*wrong[: MOST_TROUBLES - 1], Text(f"and {len(wrong) - MOST_TROUBLES + 1} more: fastgw status", "yellow")]
    if facts.error:
        wrong.insert(0, Text(facts.error, "bold red"))
    for line in (*head, *wrong):
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    top = [*head, *wrong, Text()]
    if view.helping:
        return Group(*top, Text(HELP))
    rows = view.rows(facts)
    if height is None:
        return Group(*top, _table(view, rows))
    view.fit(len(rows), height - len(top) - 2)  # the heads of the columns, and the keys
    shown = rows[view.offset : view.offset + view.page]
    empty = [Text()] * (view.page - max(len(shown), 0 if rows else 1))
    return Group(*top, _table(view, shown), *empty, _keys(view, len(rows), width))


def _first(facts: Facts, view: View) -> Text:
    status = facts.status
    line = Text("ready", "green") if facts.why_not is None else Text(f"not ready: {visible(facts.why_not)}", "red")
    count = len(status["workers"])
    line.append(
        f"  version {status['version']} ({status['hash'][:12]})  up {span(max(0.0, facts.at - status['started_at']))}"
        f"  {count} worker{'' if count == 1 else 's'}",
        "default",
    )
    if view.paused:
        line.append("  paused", "bold yellow")
    return line


def _traffic(facts: Facts, width: int) -> Iterator[Text]:
    points: Sequence[Mapping[str, Any]] = facts.overview.get("points") or ()
    if not points:
        yield Text("no figures yet: the gateway has just started", "dim")
        return
    last = points[-1]
    yield Text(
        f"requests {rate(last['requests_s'])}/s  refused {rate(last['refused_s'])}/s  5xx {rate(last['errors_s'])}/s"
        f"  in flight {last['in_flight']}  connections {last['connections']}  "
    ).append(blocks([point["requests_s"] for point in points[-60:]], width - 90), "cyan")
    yield Text(
        "  ".join(
            f"{name} p50 {milliseconds(last[f'{key}p50_ms'])} p99 {milliseconds(last[f'{key}p99_ms'])}"
            for name, key in (("all", ""), ("ours", "own_"), ("upstream", "upstream_"))
        )
    )


def blocks(values: Sequence[float], most: int) -> str:
    """The latest of `values` as one line of blocks, the highest of them being full."""
    values = values[-most:] if most > 0 else ()
    highest = max(values, default=0.0)
    if highest <= 0:
        return BLOCKS[0] * len(values)
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int(value / highest * len(BLOCKS)))] for value in values)


def _wrong(facts: Facts) -> Iterator[str]:
    yield from troubles(facts.status, facts.at)
    served = facts.status["version"]
    late = [str(each["index"]) for each in facts.status["workers"] if each["version"] != served]
    if late:
        yield f"worker{'' if len(late) == 1 else 's'} {', '.join(late)} yet to serve version {served}"
    if facts.overview.get("truncated"):
        yield "only the busiest rows are shown"


def _table(view: View, rows: Sequence[Row]) -> RenderableType:
    table = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    for number, column in enumerate(view.table.columns):
        sorted_by = number == view.sort
        table.add_column(
            Text(column.head + (" ▾" if sorted_by else ""), "bold" if sorted_by else ""),
            justify="right" if column.number else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(_cell(column, row.get(column.key)) for column in view.table.columns))
    return Group(table, Text(view.table.empty, "dim")) if not rows else table


def _cell(column: Column, value: object) -> Text:
    bad = column.bad and isinstance(value, int | float) and value > 0
    return Text("-" if value is None else column.text(value), column.bad if bad else "")


def _keys(view: View, count: int, width: int) -> Text:
    line = Text(no_wrap=True)
    for key, what in KEYS:
        chosen = what == view.table.name
        line.append(key, "bold").append(f" {what}  ", "reverse" if chosen else "dim")
    if count > view.page:
        line.append(f"{view.offset + 1}-{min(count, view.offset + view.page)} of {count}", "dim")
    line.truncate(width, overflow="ellipsis")
    return line

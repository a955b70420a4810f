"""What `fastgw top` shows of all that there is: which table, in which order, from which row on; and what a key changes.
Nothing here draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastgw.cli.figures import milliseconds, rate, size, span, visible

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """The gateway at a moment. `error` says why there is no later one."""

    overview: Mapping[str, Any]
    status: Mapping[str, Any]
    why_not: str | None  # it is not ready
    at: float  # wall clock
    error: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """`bad` colours a value above nothing."""

    head: str
    key: str
    text: Callable[[Any], str] = visible
    number: bool = True
    bad: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    key: str  # that brings it up
    name: str
    columns: tuple[Column, ...]
    sort: int  # the column that it begins with
    empty: str  # what is said instead of rows

    def rows(self, facts: Facts) -> list[Row]:
        source = facts.status if self.name == "workers" else facts.overview
        return list(source.get(self.name) or ())


def _modes(value: Mapping[str, float] | None) -> str:
    return ", ".join(f"{visible(mode)} {share:g}" for mode, share in (value or {}).items()) or "-"


TABLES: Final = (
    Table(
        "r",
        "routes",
        (
            Column("ROUTE", "route", number=False),
            Column("REQ/S", "requests_s", rate),
            Column("REFUSED/S", "refused_s", rate, bad="yellow"),
            Column("5XX/S", "errors_s", rate, bad="red"),
            Column("P50", "p50_ms", milliseconds),
            Column("P99", "p99_ms", milliseconds),
            Column("OURS P99", "own_p99_ms", milliseconds),
        ),
        1,
        "No route had a request in the last ten minutes.",
    ),
    Table(
        "u",
        "upstreams",
        (
            Column("UPSTREAM", "upstream", number=False),
            Column("REQ/S", "requests_s", rate),
            Column("P50", "p50_ms", milliseconds),
            Column("P99", "p99_ms", milliseconds),
            Column("RETRIES/S", "retries_s", rate, bad="yellow"),
            Column("IN FLIGHT", "in_flight"),
        ),
        1,
        "No upstream had a request in the last ten minutes.",
    ),
    Table(
        "w",
        "workers",
        (
            Column("WORKER", "index", number=False),
            Column("STATE", "state", number=False),
            Column("VERSION", "version"),
            Column("SINCE", "age_s", span),
            Column("CONNECTIONS", "connections"),
            Column("IN FLIGHT", "in_flight"),
            Column("LAG", "loop_lag_ms", milliseconds),
            Column("MEMORY", "rss_bytes", size),
            Column("RESPAWNS", "respawns", bad="yellow"),
        ),
        0,
        "There is no worker.",
    ),
    Table(
        "e",
        "reasons",
        (
            Column("REASON", "reason", number=False),
            Column("ROUTE", "route", number=False),
            Column("PER S", "per_s", rate),
            Column("TOTAL", "total"),
        ),
        2,
        "Nothing was refused, and nothing failed, in the last ten minutes.",
    ),
    Table(
        "l",
        "limits",
        (
            Column("ROUTE", "route", number=False),
            Column("LIMIT", "limit", number=False),
            Column("ADMITTED/S", "admitted_s", rate),
            Column("REFUSED/S", "refused_s", rate, bad="yellow"),
            Column("SHADOW/S", "shadow_s", rate),
            Column("COUNTED BY", "mode", _modes, number=False),
        ),
        2,
        "No limit decided anything in the last ten minutes.",
    ),
)
NAMES: Final = tuple(table.name for table in TABLES)


@dataclass(slots=True)
class View:
    table: Table = TABLES[0]
    paused: bool = False
    over: bool = False
    helping: bool = False
    offset: int = 0  # rows above the first that is shown
    page: int = 1  # rows that fit, as the last frame found
    sorts: dict[str, int] = field(default_factory=dict)  # by table

    @property
    def sort(self) -> int:
        return self.sorts.get(self.table.name, self.table.sort)

    def press(self, key: str) -> None:
        if self.helping:
            self.helping = False
            if key in ("?", "escape"):
                return
        for table in TABLES:
            if key == table.key:
                self.table, self.offset = table, 0
                return
        match key:
            case "q":
                self.over = True
            case "s":
                self.sorts[self.table.name] = (self.sort + 1) % len(self.table.columns)
            case "S":
                self.sorts[self.table.name] = (self.sort - 1) % len(self.table.columns)
            case " ":
                self.paused = not self.paused
            case "?" | "h":
                self.helping = True
            case "up" | "down" | "page up" | "page down" | "home" | "end":
                self._scroll(key)

    def _scroll(self, key: str) -> None:
        by = {"up": -1, "down": 1, "page up": -self.page, "page down": self.page}
        self.offset = 0 if key == "home" else 10**6 if key == "end" else max(0, self.offset + by[key])

    def rows(self, facts: Facts) -> list[Row]:
        """All of the table, in order: the largest number first, names from A; what was not measured last."""
        column = self.table.columns[self.sort]
        rows = self.table.rows(facts)
        known = [row for row in rows if isinstance(row.get(column.key), int | float)]
        if column.number and known:
            rest = [row for row in rows if row not in known]
            return sorted(known, key=lambda row: float(row[column.key]), reverse=True) + rest
        # A worker's number is its name, but 10 comes after 9.
        return sorted(rows, key=lambda row: (len(str(row[column.key])) if known else 0, str(row.get(column.key))))

    def fit(self, count: int, page: int) -> None:
        """`count` rows there are, and `page` of them fit."""
        self.page = max(1, page)
        self.offset = min(self.offset, max(0, count - self.page))

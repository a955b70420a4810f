from __future__ import annotations

import copy
import dataclasses
import io
from typing import Any

import pytest
from rich.console import Console

from fastgw.cli.screen import HELP, blocks, frame
from fastgw.cli.view import TABLES, Facts, View
from tests.cli.overviews import OVERVIEW, route
from tests.cli.test_status import NOW, STATUS, worker

FACTS = Facts(OVERVIEW, STATUS, None, NOW)


def shown(facts: Facts, view: View, height: int | None = 20, width: int = 120) -> list[str]:
    """The frame as text, its lines without the blanks at their ends."""
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None, highlight=False)
    console.print(frame(facts, view, height, width))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def changed(facts: Facts = FACTS, **fields: Any) -> Facts:
    return dataclasses.replace(facts, **fields)


def test_a_frame_fills_the_screen_and_no_more() -> None:
    lines = shown(FACTS, View())
    assert len(lines) == 20
    assert lines[0] == "ready  version 7 (a1b2c3d4e5f6)  up 2 h 5 min  2 workers"
    assert lines[1].startswith("requests 1,234/s  refused 2.5/s  5xx 0.25/s  in flight 40  connections 300  ")
    assert lines[1].endswith("▁▁█")
    assert lines[2] == (
        "all p50 12.0 ms p99 80.0 ms  ours p50 0.20 ms p99 0.90 ms  upstream p50 11.8 ms p99 -"
    )
    assert lines[4].split() == ["ROUTE", "REQ/S", "▾", "REFUSED/S", "5XX/S", "P50", "P99", "OURS", "P99"]
    assert lines[5].split() == ["orders", "1,000", "0", "10.0", "10.0", "ms", "250", "ms", "0.80", "ms"]
    assert lines[6].startswith("catalog")
    assert lines[-1].startswith("r routes  u upstreams  w workers  e reasons  l limits  s sort")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_is_drawn_and_says_when_it_is_empty(table: Any) -> None:
    first = shown(FACTS, View(table))[5].split()
    assert first[0] in ("orders", "app", "0", "rate_limited")
    empty = changed(overview={}, status={**STATUS, "workers": []})
    lines = shown(empty, View(table))
    assert table.empty in lines
    assert len(lines) == 20


def test_hostile_names_are_shown_and_do_nothing() -> None:
    facts = changed(overview={**OVERVIEW, "routes": [route("[red]\x1b[2J[/red]", 1.0)]})
    assert shown(facts, View())[5].startswith("[red]\\x1b[2J[/red]")


def test_what_is_wrong_is_said_at_the_top() -> None:
    status = {**copy.deepcopy(STATUS), "upstreams": [f"u{n}: bad" for n in range(6)], "workers": [worker(0, version=6)]}
    facts = changed(status=status, why_not="worker 0 is late", error="no gateway answers at x")
    lines = shown(facts, View(paused=True))
    assert lines[0].startswith("not ready: worker 0 is late  version 7")
    assert lines[0].endswith("1 worker  paused")
    assert lines[3:8] == [
        "no gateway answers at x", "upstream u0: bad", "upstream u1: bad", "upstream u2: bad",
        "and 4 more: fastgw status",
    ]  # fmt: skip
    assert len(lines) == 20
    assert "worker 0 yet to serve version 7" in shown(facts, View(), height=None)


def test_rows_are_cut_to_the_screen_and_scroll() -> None:
    facts = changed(overview={**OVERVIEW, "routes": [route(f"r{n:03}", 1000.0 - n) for n in range(100)]})
    view = View()
    lines = shown(facts, view)
    assert lines[5].startswith("r000") and lines[-2].startswith("r013") and lines[-1].endswith("1-14 of 100")
    view.press("page down")
    assert shown(facts, view)[5].startswith("r014")
    view.press("end")
    lines = shown(facts, view)
    assert lines[-2].startswith("r099") and lines[-1].endswith("87-100 of 100")


def test_without_a_terminal_there_are_all_rows_and_no_keys() -> None:
    facts = changed(overview={**OVERVIEW, "routes": [route(f"r{n:03}", 1.0) for n in range(100)]})
    lines = shown(facts, View(), height=None)
    assert len(lines) == 105
    assert lines[-1].startswith("r099")


@pytest.mark.parametrize("size", [(24, 80), (10, 40), (3, 20)])
def test_a_small_screen_shows_what_fits(size: tuple[int, int]) -> None:
    lines = shown(FACTS, View(), *size)
    assert all(len(line) <= size[1] for line in lines)
    assert len(lines) == max(size[0], 7)


def test_help_and_a_gateway_that_has_just_started() -> None:
    assert HELP.splitlines()[0] in shown(FACTS, View(helping=True))
    assert "no figures yet: the gateway has just started" in shown(changed(overview={}), View())


@pytest.mark.parametrize(
    ("values", "most", "text"),
    [([], 5, ""), ([0, 0], 5, "▁▁"), ([0, 1, 2, 4, 8], 5, "▁▂▃▅█"), ([1, 8], 1, "█"), ([1], 0, ""), ([1], -9, "")],
)
def test_blocks(values: list[float], most: int, text: str) -> None:
    assert blocks(values, most) == text

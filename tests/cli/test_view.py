from __future__ import annotations

from typing import Any

import pytest

from fastgw.cli.view import NAMES, TABLES, Facts, View

ROUTES = [
    {"route": "b", "requests_s": 1.0, "p50_ms": None},
    {"route": "c", "requests_s": 30.0, "p50_ms": 5.0},
    {"route": "a", "requests_s": 2.0, "p50_ms": 7.0},
]
WORKERS = [{"index": index, "version": 7} for index in (10, 2, 1)]
FACTS = Facts({"routes": ROUTES}, {"workers": WORKERS}, None, 0.0)


def shown(view: View) -> list[Any]:
    return [row[view.table.columns[0].key] for row in view.rows(FACTS)]


def test_the_busiest_comes_first() -> None:
    assert shown(View()) == ["c", "a", "b"]


def test_s_goes_through_the_columns_and_back() -> None:
    view = View()
    orders = []
    for _ in view.table.columns:
        view.press("s")
        orders.append((view.table.columns[view.sort].head, shown(view)))
    assert orders[2] == ("P50", ["a", "c", "b"])  # what was not measured is last
    assert orders[5] == ("ROUTE", ["a", "b", "c"])
    assert view.sort == 1
    view.press("S")
    assert view.sort == 0


def test_each_table_keeps_its_order() -> None:
    view = View()
    view.press("S")
    view.press("w")
    assert (view.table.name, shown(view)) == ("workers", [1, 2, 10])
    view.press("r")
    assert shown(view) == ["a", "b", "c"]


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_a_key_brings_up_each_table(table: Any) -> None:
    view = View(offset=3)
    view.press(table.key)
    assert (view.table, view.offset) == (table, 0)
    assert view.rows(FACTS) is not None and table.empty


def test_scrolling_stays_within_the_rows() -> None:
    view = View()
    view.fit(10, 4)
    offsets = []
    for key in ("up", "down", "down", "page down", "page down", "end", "up", "page up", "home"):
        view.press(key)
        view.fit(10, 4)
        offsets.append(view.offset)
    assert offsets == [0, 1, 2, 6, 6, 6, 5, 1, 0]
    view.fit(0, 0)
    assert (view.offset, view.page) == (0, 1)


def test_pause_help_and_quit() -> None:
    view = View()
    view.press(" ")
    assert view.paused
    view.press(" ")
    assert not view.paused
    view.press("?")
    assert view.helping
    view.press("?")
    assert not view.helping
    view.press("h")
    view.press("u")
    assert (view.helping, view.table.name) == (False, "upstreams")
    view.press("x")
    view.press("escape")
    assert not view.over
    view.press("q")
    assert view.over

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.sides import fastgw, nginx
from bench.sides.side import Plan
from fastgw.gateway.document.load import load_file, load_plain
from k6 import trouble

PLAN = Plan(Path("/nowhere"), 4001, 4002, 4003, 4004)


def test_nginx_gets_a_location_inside_its_server() -> None:
    original = nginx.render(PLAN)
    changed = trouble.changed_config("nginx", original, 7)
    assert changed.index("/extra-7/") < changed.rindex("  }\n}")
    assert len(changed.splitlines()) == len(original.splitlines()) + 1


def test_the_gateway_accepts_its_change(tmp_path: Path) -> None:
    file = tmp_path / "changed.yaml"
    file.write_text(trouble.changed_config("fastgw", fastgw.render(PLAN), 7))
    assert load_file(file, {}).routes["extra"].match.path == "/extra-7/*"


def test_a_published_change_is_the_one_that_a_reload_makes(tmp_path: Path) -> None:
    file = tmp_path / "changed.yaml"
    file.write_text(trouble.changed_config("fastgw", fastgw.render(PLAN), 7))
    extra = load_plain({**load_file(file, {}).plain, "routes": [{"name": "extra", **trouble.changed_route(7)}]}, "x")
    assert extra.routes["extra"] == load_file(file, {}).routes["extra"]


def test_events_are_counted_and_spread_over_the_time() -> None:
    begin = time.monotonic()
    assert trouble.evenly(3, 0.06, lambda number: number * 1.0) == [1.0, 2.0, 3.0]
    assert time.monotonic() - begin >= 0.04


def test_an_event_that_does_not_happen_is_an_error() -> None:
    with pytest.raises(BenchError, match="never"):
        trouble.wait_for("never", lambda: False, within=0.01)

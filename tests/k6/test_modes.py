from __future__ import annotations

from pathlib import Path

import pytest

from k6 import modes
from k6.modes import Change, Sample
from tests.support.wire import wait_for

DOWN = "limits: unix:///s is not asked until it decides again (no answer in time); each limit does as its on_error says"
UP = "limits: unix:///s decides again, after 2.1 s"
SAMPLES = [
    Sample(10.0, {"redis": 5.0}),
    Sample(11.3, {"redis": 9.0, "local": 2.0}),
    Sample(11.8, {"redis": 9.0, "local": 4.0}),
    Sample(12.3, {"redis": 9.0, "local": 7.0}),
]


def test_only_what_was_counted_within_the_time_is_known() -> None:
    assert modes.between(SAMPLES, 10.0, 12.0) == {"local": 2}
    assert modes.between(SAMPLES, 10.0, 12.5) == {"local": 5}
    assert modes.between(SAMPLES, 10.5, 12.0) is None
    assert modes.between([], 0, 1) is None


def test_modes_are_shown_in_order() -> None:
    assert modes.shown({"redis": 2, "local": 1}) == "local:1 redis:2"
    assert modes.shown({}) == "-"


@pytest.mark.parametrize(
    "line, by", [(DOWN, [-1]), (UP, [1]), ("limits: are kept in unix:///s", []), ("", [])]
)
def test_a_worker_says_when_it_changes_its_mind(line: str, by: list[int]) -> None:
    assert [change.by for change in modes.changes_in(f"fastgw: worker 0: {line}", 1.0)] == by


def test_these_are_the_gateways_own_words() -> None:
    source = (Path(__file__).parents[2] / "fastgw" / "limiter" / "store.py").read_text()
    assert modes.DOWN.strip() in source
    assert modes.UP.partition(",")[0].strip() in source


@pytest.mark.parametrize(
    "begin, mode",
    [(0.0, modes.STORE), (1.0, modes.MIXED), (1.1, modes.LOCAL), (3.0, modes.MIXED), (3.2, modes.STORE)],
)
def test_the_mode_is_that_of_all_workers(begin: float, mode: str) -> None:
    changes = [Change(1.01, -1), Change(1.02, -1), Change(3.05, 1), Change(3.15, 1)]
    assert modes.mode_of(2, changes, begin, begin + 0.1) == mode


def test_a_watch_reads_what_is_written_from_now_on(tmp_path: Path) -> None:
    output = tmp_path / "output.log"
    output.write_text(DOWN + "\n")
    with modes.Watch(9, output) as watch, output.open("a") as file:
        file.write(UP[:20])
        file.flush()
        file.write(UP[20:] + "\n" + DOWN)
        file.flush()
        wait_for(lambda: watch.changes, what="the change")
    assert [change.by for change in watch.changes] == [1]
    assert watch.samples == []

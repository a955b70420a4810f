from __future__ import annotations

from k6 import modes
from k6.modes import Sample


def test_an_interval_has_what_was_decided_in_it() -> None:
    samples = [
        Sample(1.0, {"redis": 5.0}),
        Sample(1.1, {"redis": 9.0, "local": 2.0}),
        Sample(1.2, {"redis": 9.0, "local": 4.0}),
    ]
    first, second = modes.intervals(samples)
    assert first.decisions == {"redis": 4, "local": 2}
    assert second.decisions == {"local": 2}
    assert abs(first.middle - 1.05) < 1e-9


def test_modes_are_shown_in_order() -> None:
    assert modes.shown({"redis": 2, "local": 1}) == "local:1 redis:2"
    assert modes.shown({}) == "-"


def test_nothing_follows_from_one_sample() -> None:
    assert modes.intervals([Sample(1.0, {})]) == []


def test_a_gateway_that_does_not_answer_leaves_no_samples() -> None:
    with modes.Watch(9) as watch:
        pass
    assert watch.samples == []

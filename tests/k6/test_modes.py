from __future__ import annotations

from k6 import modes
from k6.modes import Sample

TEXT = """# TYPE fastgw_limit_decisions_total counter
fastgw_limit_decisions_total{route="all",limit="per-address",outcome="admitted",mode="redis"} 10.0
fastgw_limit_decisions_total{route="all",limit="per-consumer",outcome="admitted",mode="redis"} 10.0
fastgw_limit_decisions_total{route="all",limit="per-consumer",outcome="refused",mode="local"} 3.0
fastgw_limit_store_up 1.0
"""


def test_decisions_are_summed_by_mode() -> None:
    assert modes.parse(TEXT) == {"redis": 20.0, "local": 3.0}
    assert modes.parse("fastgw_requests_total 1") == {}


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


def test_nothing_follows_from_one_sample() -> None:
    assert modes.intervals([Sample(1.0, {})]) == []


def test_a_gateway_that_does_not_answer_leaves_no_samples() -> None:
    with modes.Watch(9) as watch:
        pass
    assert watch.samples == []

from __future__ import annotations

import pytest

from bench import admin, process
from bench.errors import BenchError


@pytest.mark.parametrize(
    ("version", "workers", "served"),
    [(4, [4, 4], True), (4, [4, 3], False), (3, [3, 3], False), (4, [], False)],
)
def test_served_means_newer_and_everywhere(version: int, workers: list[int], served: bool) -> None:
    found = {"version": version, "workers": [{"version": worker} for worker in workers]}
    assert admin.served_by_all(found, 3) is served


def test_no_admin_address_is_said() -> None:
    with pytest.raises(BenchError, match="/api/status"):
        admin.status(process.free_port())


def test_decisions_of_limits_are_summed_by_store() -> None:
    text = (
        "# TYPE fastgw_limit_decisions_total counter\n"
        'fastgw_limit_decisions_total{route="a",limit="x",outcome="admitted",mode="lease"} 10.0\n'
        'fastgw_limit_decisions_total{limit="y",mode="lease",outcome="refused",route="b"} 2.0\n'
        'fastgw_limit_decisions_total{route="a",limit="x",outcome="admitted",mode="redis"} 3.0\n'
        'fastgw_requests_total{route="a"} 99.0\n'
    )
    assert admin.parse_limit_modes(text) == {"lease": 12.0, "redis": 3.0}
    assert admin.parse_limit_modes("") == {}


def breaker(*states: str) -> list[dict[str, str]]:
    return [{"state": state} for state in states]


@pytest.mark.parametrize(
    ("own", "target", "state"),
    [
        ("closed", "closed", "closed"),
        ("closed", "half_open", "half_open"),
        ("half_open", "open", "open"),
        ("open", "closed", "open"),
    ],
)
def test_a_circuit_is_as_open_as_the_least_closed_of_its_breakers(own: str, target: str, state: str) -> None:
    other = {"name": "other", "breaker": breaker("open"), "targets": []}
    bare = {"name": "bare", "breaker": None, "targets": [{"breaker": None}]}
    shop = {"name": "shop", "breaker": breaker(own), "targets": [{"breaker": breaker(target)}]}
    assert admin.circuit_of({"upstreams": [other, bare, shop]}, "shop") == state
    assert admin.circuit_of({"upstreams": [bare]}, "bare") == "closed"
    with pytest.raises(BenchError, match="no upstream shop"):
        admin.circuit_of({"upstreams": [other]}, "shop")

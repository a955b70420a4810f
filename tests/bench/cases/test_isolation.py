from __future__ import annotations

from bench.cases import isolation
from bench.cases.isolation import SETUPS, TROUBLES, WELL
from fastgw.cli.faults.orders import order_of


def test_every_trouble_is_understood_and_one_is_none() -> None:
    assert [name for name, order in TROUBLES.items() if order_of(dict(order)).mode == "ok"] == [WELL]


def test_the_worst_trouble_of_each_of_ours_counts() -> None:
    labels = [setup.label for setup in SETUPS]
    rounds = {f"{label}, {name}": [{"p99 ms": 1.0}] * 3 for label in labels for name in TROUBLES}
    rounds[f"{labels[0]}, dripping"] = [{"p99 ms": 9.0}] * 3
    rounds[f"{labels[1]}, dripping"] = [{"p99 ms": 1.2}] * 3
    rounds[f"{labels[2]}, stalled"] = [{"p99 ms": 1.6}, {"p99 ms": 1.5}, {"p99 ms": 1.0}]
    found = isolation.judged(rounds, labels).verdicts
    assert [(verdict.value, verdict.word) for verdict in found] == [(1.2, "within"), (1.5, "OVER")]

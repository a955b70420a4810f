from __future__ import annotations

from pathlib import Path

from bench.cases import outage
from bench.cases.outage import BARE, BROKEN, OUTAGES, TARGETS
from bench.setting import Setting
from fastgw.cli.faults.orders import order_of


def test_every_target_is_told_something_that_it_understands() -> None:
    for orders in OUTAGES.values():
        assert tuple(orders) == TARGETS
        for order in orders.values():
            assert order_of(dict(order)).mode != "ok"


def test_ours_runs_with_a_breaker_and_without() -> None:
    setting = Setting(Path("/nowhere"), (0, 1), 2, 1.0, True, ("nginx", "fastgw"))
    found = outage.setups(setting, ("x:1", "y:2"))
    assert [bool(one.behind.breaker) for one in found if one.kind == "fastgw"] == [False, True]
    assert {one.behind.attempts for one in found} == {outage.ATTEMPTS}
    peers = Setting(Path("/nowhere"), (0, 1), 2, 1.0, True, ("nginx",))
    assert [one.kind for one in outage.setups(peers, ())] == ["nginx"]


def test_the_worst_outage_and_the_worst_round_count() -> None:
    rounds = {
        "nginx: no answer": [{"attempts/req": 2.0}],
        f"fastgw, {BARE}: no answer": [{"attempts/req": 1.1}, {"attempts/req": 1.3}],
        f"fastgw, {BARE}: 503 at once": [{"attempts/req": 1.2}, {"attempts/req": 1.2}],
        f"fastgw, {BROKEN}: no answer": [{"attempts/req": 0.2}, {"attempts/req": 0.3}],
    }
    found = outage.judged(rounds).verdicts
    assert [(verdict.value, verdict.word) for verdict in found] == [(1.3, "OVER"), (0.3, "goal reached")]

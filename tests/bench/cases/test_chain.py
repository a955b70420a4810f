from __future__ import annotations

from pathlib import Path

import pytest

from bench.cases import chain
from bench.machine import pinning
from bench.results import CaseResult
from bench.rounds import Measured, rows_of
from bench.setting import BASE, OURS, Setting


def setting(*sides: str) -> Setting:
    return Setting(Path("/nowhere"), (0, 1), 2, 1.0, True, sides)


def figures(total: float, stored: float, commands: float) -> dict[str, float]:
    return {
        "total us": total,
        "store us": stored,
        "with store us": total + stored,
        "commands/1000": commands,
        "requests": 10,
    }


def measured() -> Measured:
    table = {
        BASE: (20.0, 0.0, 0.0),
        OURS: (16.0, 0.0, 0.0),
        f"{OURS}-address": (17.0, 0.1, 1.0),
        f"{OURS}-jwt": (18.5, 0.1, 1.0),
        chain.CHAIN: (20.0, 2.0, 4.0),
        chain.SMALL: (21.0, 3.0, 40.0),
        chain.ASKED: (30.0, 10.0, 60.0),
        chain.ENVOY: (50.0, 0.0, 0.0),
    }
    return Measured({label: [figures(*row), figures(*row)] for label, row in table.items()}, {})


def test_each_step_has_one_policy_more() -> None:
    counts = [bool(step.address) + step.jwt + bool(step.consumer) for step in chain.STEPS.values()]
    assert counts == [0, 1, 2, 3]


def test_only_wanted_sides_run() -> None:
    labels = [one.label for one in chain.wanted(setting(BASE, OURS, "haproxy", "envoy"))]
    assert labels == [BASE, *chain.STEPS, chain.SMALL, chain.ASKED, chain.ENVOY]
    assert [one.label for one in chain.wanted(setting(BASE))] == [BASE]
    assert pinning(1, (0, 1)).load == (1,)


def test_what_each_policy_adds() -> None:
    assert chain._added(measured()) == (
        "each policy adds: address +1.00 us, jwt +1.50 us, consumer limit +1.50 us"
    )


def judged(found: Measured) -> CaseResult:
    chain._add_ratio_with_store(found)
    rows = rows_of(found.rounds, "total us", dict.fromkeys(found.rounds, BASE))
    result = CaseResult("chain", "", "", rows)
    chain._judge(result, found)
    return result


def test_ratios_without_and_with_the_store_and_to_envoy() -> None:
    result = judged(measured())
    assert [verdict.value for verdict in result.verdicts] == pytest.approx([1.0, 1.1, 0.4, 4.0, 60.0])
    assert [verdict.word for verdict in result.verdicts] == [
        "within",
        "within",
        *["goal reached"] * 1,
        "within",
        "goal reached",
    ]
    base = result.row(BASE)
    assert base is not None
    assert base.figures[chain.WITH_STORE] == 1.0


def test_too_many_commands_are_over() -> None:
    found = measured()
    for one in found.rounds[chain.ASKED]:
        one["commands/1000"] = 101.0
    assert judged(found).verdicts[-1].word == "OVER"


def test_peers_alone_have_no_store_and_no_verdict() -> None:
    found = Measured({BASE: [{"total us": 20.0}], chain.ENVOY: [{"total us": 60.0}]}, {})
    result = judged(found)
    assert result.verdicts == []
    envoy = result.row(chain.ENVOY)
    assert envoy is not None
    assert envoy.figures[chain.WITH_STORE] == 3.0


def test_decisions_without_the_store_are_told_from_leases_of_it() -> None:
    assert chain.off_store({"redis": 1.0, "lease": 2.0}) == 0
    assert chain.off_store({"lease": 2.0, "local": 1.0, "deny": 1.0}) == 0.5
    assert chain.off_store({}) == 0

from __future__ import annotations

import pytest

from bench.cases import circuit
from bench.rounds import Rounds


def rounds(cpu: float, median: float) -> Rounds:
    forwarded = {"total us": 50.0, "open p50 ms": 0.3}
    return {
        f"nginx, {circuit.FORWARDED}": [forwarded],
        f"nginx, {circuit.IN_OPEN}": [forwarded],
        f"fastgw, {circuit.FORWARDED}": [forwarded],
        f"fastgw, {circuit.IN_OPEN}": [{"total us": cpu, "open p50 ms": median}],
    }


@pytest.mark.parametrize(
    ("cpu", "median", "words"),
    [
        (20.0, 0.1, ["goal reached", "goal reached"]),
        (45.0, 0.4, ["within", "within"]),
        (51.0, 0.6, ["OVER", "OVER"]),
    ],
)
def test_a_refusal_is_held_against_a_request_that_is_forwarded(
    cpu: float, median: float, words: list[str]
) -> None:
    assert [verdict.word for verdict in circuit.judged(rounds(cpu, median)).verdicts] == words


def test_peers_alone_are_not_judged() -> None:
    found = {label: one for label, one in rounds(1, 1).items() if label.startswith("nginx")}
    assert circuit.judged(found).verdicts == []

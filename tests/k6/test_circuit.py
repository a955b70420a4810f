from __future__ import annotations

from k6 import circuit
from k6.circuit import AGAIN, CLOSED, FAILING, HALF_OPEN, OPEN, STORY, Look
from k6.timeline import Slot

CALLED = ["closed", "closed", "closed", "open", "open", "half_open", "open", "half_open", "closed"]
LOOKS = [Look(100.0 + second, state) for second, state in enumerate(CALLED)]
TOLD = [
    (100.0, CLOSED),
    (101.5, FAILING),
    (103.0, OPEN),
    (105.0, HALF_OPEN),
    (106.0, OPEN),
    (107.0, HALF_OPEN),
    (108.0, AGAIN),
]


def test_a_closed_circuit_has_three_parts_in_the_story() -> None:
    assert circuit.chapters(LOOKS, 101.5) == TOLD


def test_one_that_opens_between_two_looks_has_failed_before() -> None:
    looks = [Look(100.0, "closed"), Look(101.0, "open")]
    assert circuit.chapters(looks, 100.9) == [(100.0, CLOSED), (100.9, FAILING), (101.0, OPEN)]


def test_a_good_story_holds() -> None:
    found = circuit.verdicts(TOLD, 102.5, 106.5, 2.0)
    assert [(verdict.value, verdict.held) for verdict in found] == [(0, True), (0.5, True), (1.5, True)]


def test_what_never_came_about_does_not_hold() -> None:
    found = circuit.verdicts([(100.0, CLOSED)], 102.5, 106.5, 2.0)
    assert [verdict.held for verdict in found] == [False, False, False]
    assert found[0].value == len(STORY) - 1


def test_late_is_not_held() -> None:
    assert [one.held for one in circuit.verdicts(TOLD, 101.5, 105.5, 2.0)] == [True, False, False]


def test_the_table_has_a_line_for_each_state_that_was_seen() -> None:
    story = [(0.0, CLOSED), (0.2, OPEN), (0.4, AGAIN)]
    served = [Slot(50, 1.0, 2.0, 3.0)] * 2 + [Slot(0, 0, 0, 0)] * 2 + [Slot(50, 3.0, 9.0, 9.0)]
    refused = [Slot(0, 0, 0, 0)] * 2 + [Slot(40, 0.2, 0.5, 1.0)] * 2
    found = circuit.table([served, [], refused], story, 0.0)
    assert found.lines == (
        (CLOSED, "0.2", "100", "1.00", "2.00", "-", "", "", "-", "", ""),
        (OPEN, "0.2", "-", "", "", "-", "", "", "80", "0.20", "0.50"),
        (AGAIN, "0.1", "50", "3.00", "9.00", "-", "", "", "-", "", ""),
    )
    assert found.render().startswith("latency in each state")


def test_a_refusal_must_not_be_slower_than_an_answer() -> None:
    served = [Slot(50, 1.0, 2.0, 3.0)]
    assert circuit.quick_refusal(served, [Slot(5, 0.5, 1, 1)]).held
    assert not circuit.quick_refusal(served, [Slot(5, 1.5, 2, 2)]).held
    assert not circuit.quick_refusal(served, [Slot(0, 0, 0, 0)]).held

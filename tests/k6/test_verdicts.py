from __future__ import annotations

from dataclasses import replace

import pytest

from k6 import verdicts
from k6.timeline import Slot, Timeline
from k6.verdicts import Stretch, Verdict

GOOD = Slot(100, 0.5, 1.5, 2.0, "redis")
LOCAL = replace(GOOD, mode="local")
MIXED = replace(GOOD, mode="redis+local")
WAITED = replace(LOCAL, p99=31.0, longest=32.0)
BEFORE = Stretch("before", (GOOD,) * 10)


def held(found: list[Verdict]) -> dict[str, bool]:
    return {verdict.what.partition(": ")[2]: verdict.held for verdict in found}


def away(*slots: Slot) -> dict[str, bool]:
    return held(verdicts.away(BEFORE, Stretch("killed", slots)))


def test_stretches_go_from_moment_to_moment_and_leave_out_the_start() -> None:
    line = Timeline("x", (GOOD,) * 40, (("stopped", 20), ("continued", 30)))
    assert [(one.what, len(one.slots)) for one in verdicts.stretches(line)] == [
        ("before", 10),
        ("stopped", 10),
        ("continued", 10),
    ]


def test_an_outage_in_which_only_the_first_waited_holds() -> None:
    assert all(away(WAITED, *[LOCAL] * 20).values())


@pytest.mark.parametrize(
    "slots, what",
    [
        ([LOCAL] * 10 + [MIXED] + [LOCAL] * 5, "100 ms in which a worker asked it, after 0.5 s"),
        ([GOOD] * 20, "100 ms in which a worker asked it, after 0.5 s"),
        ([LOCAL] * 5, "100 ms in which a worker asked it, after 0.5 s"),
        ([replace(WAITED, longest=80.0), *[LOCAL] * 20], "longest wait"),
        ([replace(LOCAL, p50=5.0)] * 20, "median"),
        ([replace(LOCAL, requests=0)] * 20, "median"),
        ([WAITED] * 20, "p99 of 100 ms after the breaker opened"),
        ([], "longest wait"),
    ],
)
def test_each_bound_of_an_outage_refuses(slots: list[Slot], what: str) -> None:
    assert not away(*slots)[what]


def test_back_is_the_end_of_the_last_without_the_store() -> None:
    found = verdicts.back(Stretch("continued", (LOCAL, GOOD, MIXED, *[GOOD] * 20)))
    assert (round(found.value, 3), found.held) == (0.3, True)
    assert verdicts.back(Stretch("continued", (GOOD,) * 5)).value == 0


@pytest.mark.parametrize(
    "slots",
    [
        [LOCAL] * 21 + [GOOD] * 20,
        [GOOD] * 20 + [LOCAL],
        [LOCAL] * 30,
        [],
    ],
)
def test_a_return_that_is_late_or_never_is_refused(slots: list[Slot]) -> None:
    assert not verdicts.back(Stretch("continued", tuple(slots))).held


def test_late_answers_are_waited_for_and_no_longer() -> None:
    late = replace(GOOD, p50=11.0)
    assert all(held(verdicts.late(Stretch("10 ms late", (late,) * 9), 10, BEFORE)).values())
    slow = replace(GOOD, p50=22.0, mode="local")
    assert not any(held(verdicts.late(Stretch("10 ms late", (slow,) * 9), 10, BEFORE)).values())


def test_counts_allow_one_mode_and_do_not_pass_for_nothing() -> None:
    (only,) = verdicts.decided("killed", {"local": 9}, {"local"})
    (other,) = verdicts.decided("killed", {"local": 9, "deny": 1}, {"local"})
    (nothing,) = verdicts.decided("killed", {}, {"local"})
    assert (only.held, other.held, nothing.held) == (True, False, False)
    assert verdicts.decided("killed", None, {"local"}) == []


def test_the_flood_is_judged_by_ratio_and_by_memory() -> None:
    assert verdicts.flooded(1.29, 1.0).held
    assert not verdicts.flooded(1.31, 1.0).held
    mega = 1 << 20
    assert verdicts.growth([90 * mega, 100 * mega, 100 * mega, 101 * mega]).held
    assert not verdicts.growth([90 * mega, 90 * mega, 100 * mega, 102 * mega]).held
    assert not verdicts.growth([]).held


def test_rounds_make_the_middle_of_times_and_the_worst_of_counts() -> None:
    rounds = [[Verdict("wait", value, 2, "ms"), Verdict("odd", value == 9, 0, "")] for value in (1, 9, 1.5)]
    wait, odd = verdicts.over_rounds(rounds)
    assert (wait.value, wait.held, odd.held) == (1.5, True, False)
    assert "holds" in wait.text
    assert "DOES NOT HOLD" in odd.text


def test_what_never_came_back_in_one_round_did_not_come_back() -> None:
    rounds = [[Verdict("back", value, 2, "s")] for value in (0.5, float("inf"), 0.5)]
    assert not verdicts.over_rounds(rounds)[0].held

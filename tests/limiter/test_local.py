"""Decisions without the store, on a clock of our own."""

from __future__ import annotations

import pytest

from fastgw.limiter.limit import Limit, Verdict
from fastgw.limiter.local import Share, decide, refresh
from fastgw.limiter.memory import Memory, Record
from tests.limiter.fakes import limit

FULL = Share(1, 1, full=True)  # there is no store
AWAY = Share(1, 1, full=False)  # there is one, and it does not answer


def made(*limits: Limit) -> tuple[tuple[Limit, ...], list[Record]]:
    memory = Memory(b"")
    return limits, [memory.record(each, b"v") for each in limits]


def admitted(limits: tuple[Limit, ...], records: list[Record], share: Share, now: float, times: int) -> int:
    return sum(decide(limits, records, share, now).admitted for _ in range(times))


def test_without_any_store_it_is_a_token_bucket() -> None:
    limits, records = made(limit("x", rate=10.0, burst=5))
    assert admitted(limits, records, FULL, 100.0, 9) == 5
    assert admitted(limits, records, FULL, 100.25, 9) == 2
    assert admitted(limits, records, FULL, 200.0, 9) == 5


def test_what_it_says() -> None:
    limits, records = made(limit("x", rate=0.5, burst=2))
    first = decide(limits, records, FULL, 100.0)
    assert (first.lines, first.retry_after, first.mode) == (b'RateLimit: "x";r=1;t=2\r\n', 0, "local")
    decide(limits, records, FULL, 100.0)
    last = decide(limits, records, FULL, 100.5)
    assert (last.admitted, last.refused, last.retry_after) == (False, limits, 2)
    assert last.lines == b'RateLimit: "x";r=0;t=4\r\n'


@pytest.mark.parametrize(("workers", "instances", "each"), [(1, 1, 100), (4, 1, 25), (4, 5, 5), (50, 10, 1)])
def test_a_worker_has_its_share(workers: int, instances: int, each: int) -> None:
    limits, records = made(limit("x", rate=100.0, burst=100))
    share = Share(workers, instances, full=True)
    assert admitted(limits, records, share, 100.0, 200) == each
    # The share of the rate, too: in ten seconds, asked often.
    more = sum(decide(limits, records, share, 100.0 + turn / 200).admitted for turn in range(1, 2001))
    assert more == pytest.approx(1000 / workers / instances, abs=1)


def test_an_outage_begins_with_the_share_of_what_the_store_said_last() -> None:
    share = Share(4, 1, full=False)
    limits, records = made(limit("x", rate=10.0, burst=100))
    records[0].learn(40_000_000, 0, 100.0, 100.0)
    assert admitted(limits, records, share, 100.0, 100) == 10
    # The store speaks again, and goes again two seconds later: 60 tokens then.
    records[0].learn(40_000_000, 0, 110.0, 110.0)
    assert admitted(limits, records, share, 112.0, 100) == 15


def test_an_outage_is_no_gift_for_who_had_nothing_left() -> None:
    share = Share(4, 1, full=False)
    limits, records = made(limit("x", rate=1.0, burst=100))
    records[0].learn(200_000, 0, 100.0, 100.0)
    assert admitted(limits, records, share, 100.0, 50) == 0
    assert admitted(limits, records, share, 104.0, 50) == 1


@pytest.mark.parametrize(
    ("rate", "burst", "first"), [(100.0, 1000, 25), (100.0, 40, 10), (2.0, 1000, 1), (0.001, 1000, 1)]
)
def test_an_outage_gives_who_was_not_seen_one_second_of_its_share(
    rate: float, burst: float, first: int
) -> None:
    limits, records = made(limit("x", rate, burst))
    assert admitted(limits, records, Share(4, 1, full=False), 100.0, 2000) == first


def test_all_or_nothing() -> None:
    limits, records = made(limit("wide", 0.001, 9), limit("narrow", 0.001, 2))
    assert admitted(limits, records, FULL, 100.0, 6) == 2
    assert records[0].local == pytest.approx(7.0)


def test_a_shadow_never_refuses_and_is_charged_only_where_it_has_a_token() -> None:
    limits, records = made(limit("real", 0.001, 3), limit("shadow", 0.001, 1, shadow=True))
    verdicts = [decide(limits, records, FULL, 100.0) for _ in range(4)]
    assert [verdict.admitted for verdict in verdicts] == [True, True, True, False]
    assert [verdict.shadowed for verdict in verdicts] == [(), (limits[1],), (limits[1],), (limits[1],)]
    assert b"shadow" not in verdicts[0].lines


def outcome(verdict: Verdict) -> tuple[bool, str, list[str]]:
    return verdict.admitted, verdict.mode, [each.name for each in verdict.refused]


@pytest.mark.parametrize(
    ("on_errors", "expected"),
    [
        (("local",), (True, "local", [])),
        (("allow",), (True, "allow", [])),
        (("deny",), (False, "deny", ["0"])),
        (("local", "allow"), (True, "local", [])),
        (("local", "deny", "deny"), (False, "deny", ["1", "2"])),
    ],
)
def test_each_limit_does_as_its_on_error_says(
    on_errors: tuple[str, ...], expected: tuple[bool, str, list[str]]
) -> None:
    limits, records = made(*[limit(str(number), on_error=each) for number, each in enumerate(on_errors)])
    assert outcome(decide(limits, records, AWAY, 100.0)) == expected


def test_without_any_store_there_is_no_error_to_do_anything_about() -> None:
    for on_error in ("local", "allow", "deny"):
        limits, records = made(limit("x", burst=1, on_error=on_error))
        assert outcome(decide(limits, records, FULL, 100.0)) == (True, "local", [])
        assert outcome(decide(limits, records, FULL, 100.0)) == (False, "local", ["x"])


def test_a_shadow_that_denies_refuses_nobody() -> None:
    limits, records = made(limit("x", on_error="deny", shadow=True))
    assert outcome(decide(limits, records, AWAY, 100.0)) == (True, "allow", [])


def test_a_denial_charges_nothing() -> None:
    limits, records = made(limit("x"), limit("y", on_error="deny"))
    before = decide(limits[:1], records[:1], AWAY, 100.0).admitted and records[0].local
    decide(limits, records, AWAY, 100.0)
    assert records[0].local == before


def test_tokens_in_hand_are_used_first() -> None:
    limits, records = made(limit("x", 2000.0, 4000, leases=True, on_error="deny"))
    records[0].learn(0, 3, 100.0, 100.0)
    verdicts = [decide(limits, records, AWAY, 100.0) for _ in range(4)]
    assert [verdict.admitted for verdict in verdicts] == [True, True, True, False]
    records[0].learn(0, 3, 100.0, 100.0)
    assert not decide(limits, records, AWAY, 101.5).admitted  # the lease has expired


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    _, records = made(limit("x", rate=10.0, burst=5))
    records[0].local, records[0].local_at = 1.0, 100.0
    assert refresh(records[0], FULL, 100.0) == 1.0
    assert refresh(records[0], FULL, 99.0) == 1.0

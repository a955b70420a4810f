"""What a worker remembers: bounded, the busy last, and shared by the snapshots."""

from __future__ import annotations

import gc

import pytest

from fastgw.limiter.memory import LEASE_LIFE, NEVER, SECOND_CHANCES, Memory, lease_of
from tests.limiter.fakes import limit


def test_bounded_and_first_come_first_gone() -> None:
    memory, one = Memory(b"p:", most=4), limit("one")
    records = [memory.record(one, b"%d" % number) for number in range(10)]
    assert len(memory) == 4
    assert one.state is not None
    assert list(one.state) == [b"6", b"7", b"8", b"9"]
    assert memory.record(one, b"9") is records[9]


def test_who_comes_again_outlives_a_flood() -> None:
    memory, one = Memory(b"", most=8), limit("one")
    regular = memory.record(one, b"regular")
    for number in range(1000):
        memory.record(one, b"%d" % number)
        if number % 4 == 0:
            assert memory.record(one, b"regular") is regular
    assert len(memory) == 8


def test_an_eviction_looks_at_a_few_records_only() -> None:
    memory, one = Memory(b"", most=100), limit("one")
    for number in range(100):
        memory.record(one, b"%d" % number).touched = True
    memory.record(one, b"new")
    assert one.state is not None
    assert len(one.state) == 100
    assert sum(not record.touched for record in one.state.values()) == SECOND_CHANCES + 1


def test_limits_of_two_snapshots_share_a_table_and_other_rates_do_not() -> None:
    memory = Memory(b"")
    before, after, gold = limit("one"), limit("one"), limit("one", rate=99.0)
    assert memory.record(before, b"v") is memory.record(after, b"v")
    assert memory.record(gold, b"v") is not memory.record(before, b"v")
    assert before.state is not None
    assert before.state.family.tables == 2


def test_a_shadow_shares_nothing_with_its_enforced_twin() -> None:
    memory = Memory(b"")
    one, shadow = limit("one"), limit("one", shadow=True)
    assert memory.record(one, b"v") is not memory.record(shadow, b"v")


def test_a_table_that_nothing_refers_to_is_gone() -> None:
    memory = Memory(b"", most=1)
    memory.record(limit("one"), b"v")
    memory.record(limit("two"), b"v")
    gc.collect()
    assert len(memory._tables) == 1
    assert len(memory._families) == 1


def test_clear_forgets_all_buckets_but_keeps_the_bindings() -> None:
    memory, one = Memory(b"a:"), limit("one")
    assert memory.record(one, b"v").key == b"$10\r\na:{v}r/one\r\n"
    memory.clear(b"bb:")
    assert len(memory) == 0
    assert memory.record(one, b"v").key == b"$11\r\nbb:{v}r/one\r\n"


@pytest.mark.parametrize(
    ("rate", "burst", "leases", "most"),
    [
        (2000.0, 4000.0, True, 20),  # 10 ms of the rate
        (2000.0, 1000.0, True, 10),  # 1 % of the burst
        (2000.0, 4000.0, False, 0),
        (1000.0, 100.0, True, 0),  # one at a time is no lease
        (1e6, 1e6, True, 10_000),
    ],
)
def test_the_most_tokens_at_a_time(rate: float, burst: float, leases: bool, most: int) -> None:
    assert lease_of(limit("x", rate, burst, leases=leases)) == most


def test_what_is_wanted_follows_the_pace() -> None:
    record = Memory(b"").record(limit("x", 20_000.0, 20_000, leases=True), b"v")
    assert record.lease_wanted(10.0) == 0  # the first time ever
    record.used = 1
    assert record.lease_wanted(10.001) == 4  # fast: four times as much
    record.learn(9_000_000_000, 4, 10.001, 10.001)
    record.stash = 1
    assert record.lease_wanted(10.002) == 12 - 1
    record.learn(9_000_000_000, 11, 10.002, 10.002)
    record.stash = 0
    assert record.lease_wanted(10.102) == 12  # as much as in the last 0.1 s
    record.learn(9_000_000_000, 12, 10.102, 10.102)
    record.stash = 10
    assert record.lease_wanted(11.0) <= 0  # two in 0.9 s: what is in hand is enough
    record.used = 10_000
    record.stash = 0
    assert record.lease_wanted(11.001) == 200  # never more than the most
    record.learn(9_000_000_000, 200, 11.001, 11.001)
    assert record.lease_wanted(11.001 + LEASE_LIFE) <= 0
    assert record.stash == 0  # expired


def test_a_refusal_holds_until_the_next_token_and_a_second_at_most() -> None:
    memory = Memory(b"")
    record = memory.record(limit("x", 10.0, 5), b"v")
    record.learn(250_000, 0, 100.0, 100.3)
    assert record.refuse_until == pytest.approx(100.075)
    assert record.next_token_in(100.0) == pytest.approx(0.075)
    record.learn(1_000_000, 0, 101.0, 101.0)
    assert record.refuse_until == NEVER
    slow = memory.record(limit("slow", 0.01, 5), b"v")
    slow.learn(0, 0, 100.0, 100.0)
    assert slow.refuse_until == 101.0
    assert slow.next_token_in(101.0) == pytest.approx(99.0)


@pytest.mark.parametrize(
    ("rate", "burst", "workers", "wait"),
    [
        (2000.0, 4000, 1, 0.005),  # half a lease of 20
        (2000.0, 4000, 8, 0.010),  # never longer than a lease is worth
        (1e6, 200, 8, 8 / 1e6),  # leases of 2
        (1e6, 200, 1000, 100 / 1e6),  # never so long that the bucket could run over
    ],
)
def test_a_leased_bucket_is_asked_again_when_it_is_worth_it(
    rate: float, burst: float, workers: int, wait: float
) -> None:
    record = Memory(b"", workers).record(limit("x", rate, burst, leases=True), b"v")
    record.learn(0, 0, 100.0, 100.0)
    assert record.refuse_until - 100.0 == pytest.approx(wait, abs=1e-9)

"""Decisions with a real store in good health: batches, leases, memory, shadows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from fastgw.clock import ManualClock
from fastgw.limiter.limiter import Limit, LimiterOptions, Verdict
from tests.limiter.fakes import Asker, Desk, ScriptedStore, eventually, limit
from tests.support.valkey import Valkey


@pytest.fixture
async def desk(valkey: Valkey) -> AsyncIterator[Desk]:
    desk = Desk(valkey.url)
    await desk.live()
    yield desk
    desk.close()


async def test_admits_the_burst_then_refuses(desk: Desk) -> None:
    slow = limit("slow", rate=0.5, burst=3)
    verdicts = [await desk.get((slow, b"10.0.0.1")) for _ in range(5)]
    assert [verdict.admitted for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.lines for verdict in verdicts[:3]] == [
        b'RateLimit: "slow";r=2;t=2\r\n',
        b'RateLimit: "slow";r=1;t=4\r\n',
        b'RateLimit: "slow";r=0;t=6\r\n',
    ]
    refused = verdicts[3]
    assert refused.refused == (slow,)
    assert refused.retry_after == 2
    assert refused.lines == b'RateLimit: "slow";r=0;t=6\r\n'
    assert (await desk.get((slow, b"10.0.0.2"))).admitted


async def test_a_decision_of_the_store_comes_in_a_later_turn(desk: Desk) -> None:
    asked = desk.ask((limit("a"), b"1"))
    assert not asked.done()
    assert desk.limiter.pending() == 1
    assert (await asked).mode == "redis"
    assert desk.limiter.pending() == 0


async def test_an_empty_bucket_is_refused_without_asking_until_it_has_a_token(
    desk: Desk, valkey: Valkey
) -> None:
    one = limit("one", rate=20.0, burst=1)
    assert (await desk.get((one, b"1"))).admitted
    before, began = desk.limiter.commands, desk.loop.time()
    refused = admitted = 0
    while not admitted:
        verdict = await desk.get((one, b"1"))
        if verdict.admitted:
            admitted += 1
        else:
            assert verdict.mode == "lease"
            refused += 1
        await asyncio.sleep(0)
    took = desk.loop.time() - began
    assert refused > 10
    assert desk.limiter.commands - before == 1, "only the one that admitted was asked"
    assert took < 0.5


async def test_all_or_nothing(desk: Desk) -> None:
    wide, narrow = limit("wide", rate=0.01, burst=10), limit("narrow", rate=0.01, burst=2)
    verdicts = [await desk.get((wide, b"1"), (narrow, b"2")) for _ in range(4)]
    assert [verdict.admitted for verdict in verdicts] == [True, True, False, False]
    assert verdicts[2].refused == (narrow,)
    assert (await desk.get((wide, b"1"))).lines.startswith(b'RateLimit: "wide";r=7;')


async def test_a_shadow_limit_never_refuses_and_has_no_line(desk: Desk) -> None:
    real, shadow = limit("real", rate=0.01, burst=5), limit("shadow", rate=0.01, burst=1, shadow=True)
    first = await desk.get((real, b"1"), (shadow, b"1"))
    second = await desk.get((real, b"1"), (shadow, b"1"))
    assert first.admitted and second.admitted
    assert first.shadowed == ()
    assert second.shadowed == (shadow,)
    assert second.lines == b'RateLimit: "real";r=3;t=200\r\n'
    third = await desk.get((shadow, b"1"))
    assert third.admitted and third.shadowed == (shadow,)


async def test_one_command_for_all_decisions_of_a_turn(desk: Desk) -> None:
    limits = [limit(f"l{number}", burst=100) for number in range(10)]
    before = desk.limiter.commands
    asked = [desk.ask((one, b"v"), (limits[0], b"w")) for one in limits[1:] for _ in range(7)]
    verdicts = await asyncio.gather(*asked)
    assert all(verdict.admitted for verdict in verdicts)
    assert len(verdicts) == 63
    assert desk.limiter.commands - before == 1


async def test_at_most_128_decisions_a_command(desk: Desk) -> None:
    one = limit("one", burst=1000)
    before = desk.limiter.commands
    verdicts = await asyncio.gather(*[desk.ask((one, b"v")) for _ in range(300)])
    assert sum(verdict.admitted for verdict in verdicts) == 300
    assert desk.limiter.commands - before == 3


async def test_many_different_callers_in_one_turn(desk: Desk) -> None:
    one, two = limit("one", burst=1), limit("two", burst=1)
    before = desk.limiter.commands
    verdicts = await asyncio.gather(*[desk.ask((one, b"%d" % n), (two, b"%d" % n)) for n in range(400)])
    assert all(verdict.admitted for verdict in verdicts)
    assert desk.limiter.commands - before == 4  # of 254 buckets at most


async def test_one_batch_counts_a_bucket_once_for_each_decision(desk: Desk) -> None:
    one = limit("one", rate=0.01, burst=5)
    verdicts = await asyncio.gather(*[desk.ask((one, b"v")) for _ in range(8)])
    assert [verdict.admitted for verdict in verdicts] == [True] * 5 + [False] * 3


async def test_two_tiers_share_a_bucket_also_within_a_turn(desk: Desk) -> None:
    base, gold = limit("one", rate=0.01, burst=4), limit("one", rate=0.1, burst=4)
    asked = [desk.ask((each, b"v")) for each in (base, gold, base, gold, base, gold)]
    assert [verdict.admitted for verdict in await asyncio.gather(*asked)] == [True] * 4 + [False] * 2
    assert (await desk.get((gold, b"v"))).retry_after > 5


async def test_whoever_left_hears_nothing(desk: Desk) -> None:
    asker, one = Asker(), limit("one")
    assert desk.limiter.decide((one,), [b"v"], asker, desk.clock.now()) is None
    asker.closed = True
    await desk.get((limit("other"), b"v"))
    assert not asker.verdict.done()
    assert desk.limiter.pending() == 0


async def test_a_waiter_that_raises_harms_no_other(desk: Desk) -> None:
    class Broken(Asker):
        def on_verdict(self, verdict: Verdict) -> None:
            raise ValueError("no")

    reported: list[dict[str, object]] = []
    desk.loop.set_exception_handler(lambda loop, context: reported.append(context))
    one = limit("one")
    assert desk.limiter.decide((one,), [b"v"], Broken(), desk.clock.now()) is None
    assert (await desk.get((one, b"v"))).admitted
    assert [str(context["exception"]) for context in reported] == ["no"]


# --- leases ----------------------------------------------------------------------------------------------------------


def leased(name: str, rate: float = 20_000.0, burst: float = 20_000) -> Limit:
    return limit(name, rate, burst, leases=True)


async def test_a_busy_caller_is_served_from_leases(desk: Desk) -> None:
    one, two = leased("one"), leased("two")
    before, modes = desk.limiter.commands, {"redis": 0, "lease": 0}
    for _ in range(3000):
        verdict = await desk.get((one, b"v"), (two, b"w"))
        assert verdict.admitted
        assert verdict.lines.count(b"RateLimit: ") == 2
        modes[verdict.mode] += 1
        await asyncio.sleep(0)
    assert modes["lease"] > 2900
    assert desk.limiter.commands - before < 60


async def test_leases_never_grant_more_than_the_bucket_has(desk: Desk, valkey: Valkey) -> None:
    """Four workers on one bucket that hardly refills during the test."""
    others = [Desk(valkey.url) for _ in range(3)]
    desks = [desk, *others]
    bucket = [leased("one", rate=1000.0, burst=5000) for _ in desks]
    for each in others:
        await each.live()
    began, admitted, before = desk.loop.time(), 0, 0.0
    for _ in range(400):
        before = desk.loop.time() - began
        asked = [each.ask((one, b"v")) for each, one in zip(desks, bucket, strict=True) for _ in range(7)]
        admitted += sum(verdict.admitted for verdict in await asyncio.gather(*asked))
        assert admitted <= 5000 + 1000 * (desk.loop.time() - began) + 1
    stranded = 4 * 10
    assert admitted >= min(11_200, 5000 + 1000 * (before - 0.05) - stranded)
    for each in others:
        each.close()


async def test_who_comes_seldom_takes_no_lease(desk: Desk, valkey: Valkey) -> None:
    one = leased("one", rate=1000.0, burst=10_000)
    clock = ManualClock()
    seldom = Desk(valkey.url, clock=clock)
    for turn in range(4):
        verdict = await seldom.get((one, b"v"))
        assert verdict.mode == "redis"
        # Nothing but the one token of each request is gone (what came back meanwhile fills it up).
        assert int(verdict.lines.partition(b"r=")[2].partition(b";")[0]) >= 9999 - turn
        clock.advance(0.7)
    seldom.close()


async def test_a_lease_that_is_not_used_expires() -> None:
    store = await ScriptedStore().start()
    clock = ManualClock()
    desk = Desk(store.url, clock=clock)
    one = leased("one")
    assert (await desk.get((one, b"v"))).mode == "redis"
    assert one.state is not None
    record = one.state[b"v"]
    record.stash, record.expires = 5, clock.now() + 1.0
    assert (await desk.get((one, b"v"))).mode == "lease"
    clock.advance(1.01)
    assert (await desk.get((one, b"v"))).mode == "redis"
    desk.close()
    await store.stop()


async def test_a_refusal_gives_the_leased_token_back(desk: Desk) -> None:
    rich, poor = leased("rich"), limit("poor", rate=0.01, burst=1)
    for _ in range(10):
        await desk.get((rich, b"v"))
    assert rich.state is not None
    record = rich.state[b"v"]
    await eventually(lambda: not record.refilling)
    assert record.stash > 1
    assert (await desk.get((rich, b"v"), (poor, b"w"))).admitted
    stash = record.stash
    # Not known to be empty: another worker took its token.
    assert poor.state is not None
    poor.state[b"w"].refuse_until = 0.0
    verdict = await desk.get((rich, b"v"), (poor, b"w"))
    assert not verdict.admitted
    assert verdict.refused == (poor,)
    assert verdict.lines.startswith(b'RateLimit: "rich";')
    assert record.stash == stash


async def test_lease_off_asks_each_time(desk: Desk) -> None:
    one = limit("one", rate=20_000.0, burst=20_000)
    before = desk.limiter.commands
    for _ in range(50):
        assert (await desk.get((one, b"v"))).mode == "redis"
    assert desk.limiter.commands - before == 50


async def test_verdicts_of_a_lease_are_made_once_for_each_refill(desk: Desk) -> None:
    one, two = leased("one"), leased("two")
    seen: set[int] = set()
    kept = []
    for _ in range(1000):
        verdict = await desk.get((one, b"v"), (two, b"w"))
        if verdict.mode == "lease":
            seen.add(id(verdict))
            kept.append(verdict)
    assert len(kept) > 900
    assert len(seen) < 50


# --- reloads and bounds ----------------------------------------------------------------------------------------------


async def test_buckets_outlive_the_snapshot(desk: Desk) -> None:
    before, after = limit("one", rate=0.01, burst=2), limit("one", rate=0.01, burst=2)
    for _ in range(3):
        await desk.get((before, b"v"))
    asked = desk.limiter.commands
    assert not (await desk.get((after, b"v"))).admitted
    assert desk.limiter.commands == asked
    assert after.state is before.state


async def test_another_store_is_another_count(desk: Desk, valkey: Valkey) -> None:
    one = limit("one", rate=0.01, burst=1)
    assert (await desk.get((one, b"v"))).admitted
    waiting = desk.ask((limit("two"), b"v"))
    desk.limiter.configure(LimiterOptions(url=valkey.url, prefix=b"other:", timeout=0.025))
    assert (await waiting).admitted, "what waited is not lost"
    assert (await desk.get((one, b"v"))).mode == "redis"
    assert not (await desk.get((one, b"v"))).admitted
    commands = desk.limiter.commands
    desk.limiter.configure(LimiterOptions(url=valkey.url, prefix=b"other:", timeout=1.0))
    assert not (await desk.get((one, b"v"))).admitted
    desk.limiter.configure(None)
    assert desk.limiter.mode == "local"
    assert (await desk.get((one, b"v"))).mode == "local"
    assert desk.limiter.commands >= commands
    desk.limiter.configure(LimiterOptions(url=valkey.url, prefix=b"other:", timeout=1.0))
    assert not (await desk.get((one, b"v"))).admitted
    assert desk.limiter.mode == "redis"


async def test_after_close_it_decides_without_the_store(desk: Desk) -> None:
    waiting = desk.ask((limit("one"), b"v"))
    desk.close()
    assert (await waiting).mode == "local"
    assert (await desk.get((limit("one"), b"v"))).mode == "local"
    desk.close()


async def test_keys_carry_the_prefix_and_the_values_hash_tag(desk: Desk, valkey: Valkey) -> None:
    await desk.get((limit("per-address"), b"10.0.0.1"))
    assert b"t:{10.0.0.1}r/per-address" in valkey.client().keys("*")  # type: ignore[operator]

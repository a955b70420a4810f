"""A refusal that stands is repeated without a question, never longer than it is true."""

from __future__ import annotations

import pytest

from fastgw.clock import ManualClock
from tests.limiter.fakes import Answer, Desk, ScriptedStore, is_probe, limit, well


def empty(micro: int = 0) -> Answer:
    """Every bucket has less than a token."""

    def answer(words: list[bytes]) -> bytes:
        if words[0] != b"EVALSHA" or is_probe(words):
            return well(words)
        count = int(words[2])
        return b"*%d\r\n$%d\r\n%b\r\n" % (1 + count, count, b"0" * count) + b":%d\r\n" % micro * count

    return answer


async def test_of_the_store_until_the_next_token() -> None:
    store, clock = await ScriptedStore(empty()).start(), ManualClock()
    desk, one = Desk(store.url, clock=clock), limit("one", rate=10.0, burst=10)
    assert (await desk.get((one, b"v"))).mode == "redis"
    first = await desk.get((one, b"v"))
    assert (first.admitted, first.mode, first.refused) == (False, "lease", (one,))
    clock.advance(0.099)
    assert await desk.get((one, b"v")) is first
    store.answer = well
    clock.advance(0.002)
    assert (await desk.get((one, b"v"))).admitted
    assert (await desk.get((one, b"v"))).mode == "redis"
    desk.close()
    await store.stop()


async def test_retry_after_stays_true_and_a_second_is_the_longest() -> None:
    store, clock = await ScriptedStore(empty(400_000)).start(), ManualClock()
    desk, slow = Desk(store.url, clock=clock), limit("slow", rate=0.25, burst=1)  # a token in 2.4 s
    assert (await desk.get((slow, b"v"))).retry_after == 3
    assert (await desk.get((slow, b"v"))).retry_after == 3
    clock.advance(0.45)
    verdict = await desk.get((slow, b"v"))
    assert (verdict.retry_after, verdict.mode) == (2, "lease")
    assert (await desk.get((slow, b"v"))) is verdict
    clock.advance(0.6)
    assert (await desk.get((slow, b"v"))).mode == "redis"
    desk.close()
    await store.stop()


async def test_of_one_of_two_limits_without_charging_the_other() -> None:
    clock = ManualClock()
    desk = Desk(None, clock=clock)
    wide, narrow = limit("wide", rate=0.1, burst=9), limit("narrow", rate=10.0, burst=1)
    assert (await desk.get((wide, b"v"), (narrow, b"v"))).admitted
    for order in ((wide, narrow), (narrow, wide)):
        for _ in range(3):
            verdict = await desk.get(*[(each, b"v") for each in order])
            assert verdict.refused == (narrow,)
    clock.advance(0.11)
    verdict = await desk.get((wide, b"v"), (narrow, b"v"))
    assert verdict.lines.startswith(b'RateLimit: "wide";r=7;')


async def test_of_a_bucket_in_process_until_its_next_token() -> None:
    clock = ManualClock()
    desk, one = Desk(None, clock=clock), limit("one", rate=20.0, burst=1)
    assert (await desk.get((one, b"v"))).admitted
    first = await desk.get((one, b"v"))
    assert (first.admitted, first.mode) == (False, "local")
    clock.advance(0.049)
    assert await desk.get((one, b"v")) is first
    assert (await desk.get((one, b"w"))).admitted, "another caller"
    clock.advance(0.002)
    assert (await desk.get((one, b"v"))).admitted


async def test_of_a_bucket_in_process_no_longer_than_the_store_may_be_away() -> None:
    clock = ManualClock()
    desk, slow = Desk(None, clock=clock), limit("slow", rate=0.4, burst=1)
    assert (await desk.get((slow, b"v"))).admitted
    first = await desk.get((slow, b"v"))
    assert first.retry_after == 3
    clock.advance(0.09)
    assert await desk.get((slow, b"v")) is first
    clock.advance(0.02)
    assert await desk.get((slow, b"v")) is not first


@pytest.mark.parametrize("alone_first", [True, False])
async def test_alone_and_in_company_are_not_mixed_up(alone_first: bool) -> None:
    desk = Desk(None, clock=ManualClock())
    one, two = limit("one", rate=0.1, burst=1), limit("two", rate=0.1, burst=9)
    await desk.get((one, b"v"))
    questions = [((one, b"v"),), ((one, b"v"), (two, b"v"))]
    for question in questions if alone_first else reversed(questions):
        for _ in range(2):
            verdict = await desk.get(*question)
            assert verdict.lines.count(b"RateLimit") == len(question)

"""Traffic goes on while the store is stalled, killed, emptied and slowed: every question is answered once, in time."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator

import pytest

from fastgw.limiter.command import Command, Decision
from fastgw.limiter.limiter import Limit, Verdict
from fastgw.limiter.wire import Link
from tests.limiter.fakes import SLACK, TIMEOUT, Desk, eventually, limit
from tests.support.valkey import Valkey


@pytest.fixture
async def desk(own_valkey: Valkey) -> AsyncIterator[Desk]:
    desk = Desk(own_valkey.url)
    await desk.live()
    yield desk
    desk.close()


class Caller:
    """Counts what it hears."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.closed = False
        self.loop = loop
        self.asked_at = loop.time()
        self.heard: list[Verdict] = []
        self.waited = 0.0

    def on_verdict(self, verdict: Verdict) -> None:
        self.heard.append(verdict)
        self.waited = self.loop.time() - self.asked_at


def ask(desk: Desk, limits: tuple[Limit, ...], value: bytes) -> Caller:
    caller = Caller(desk.loop)
    verdict = desk.limiter.decide(limits, [value] * len(limits), caller, desk.clock.now())
    if verdict is not None:
        caller.on_verdict(verdict)
    return caller


def alive(*kinds: type) -> int:
    gc.collect()
    return sum(isinstance(one, kinds) for one in gc.get_objects())


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_question_is_answered_once_and_in_time(own_valkey: Valkey, desk: Desk, seed: int) -> None:
    chance = random.Random(seed)
    kinds = [
        (limit("one", 50.0, 10),),
        (limit("leased", 5000.0, 2000, leases=True), limit("two", 2000.0, 500)),
        (limit("leased", 5000.0, 2000, leases=True), limit("also", 9000.0, 5000, leases=True)),
        (limit("open", on_error="allow"), limit("shadow", 1.0, 1, shadow=True, on_error="allow")),
        (limit("shut", on_error="deny"),),
    ]
    faults = ["stall", "resume", "kill", "restart", "flush", "resume"] * 2
    callers: list[Caller] = []
    stood_still = 0.0  # the longest that this loop itself did: the machine is not the limiter's to answer for
    for fault in faults:
        if fault in ("restart", "flush"):
            work = own_valkey.restart if fault == "restart" else own_valkey.client().script_flush
            await asyncio.to_thread(work)  # they block, and this loop is the worker's
        else:
            getattr(own_valkey, fault)()
        end = desk.loop.time() + chance.uniform(0.05, 0.25)
        while desk.loop.time() < end:
            for _ in range(chance.randrange(12)):
                callers.append(ask(desk, chance.choice(kinds), b"%d" % chance.randrange(20)))
                if chance.random() < 0.05:
                    callers[-1].closed = True
            before = desk.loop.time()
            await asyncio.sleep(0.001)
            stood_still = max(stood_still, desk.loop.time() - before)
    await desk.until("redis")
    await eventually(lambda: desk.limiter.pending() == 0)
    open_ones = [caller for caller in callers if not caller.closed]
    assert {len(caller.heard) for caller in open_ones} == {1}
    modes = {caller.heard[0].mode for caller in open_ones}
    assert modes == {"redis", "lease", "local", "allow", "deny"}
    late = sorted(caller.waited for caller in open_ones)
    assert late[-1] < TIMEOUT + SLACK + stood_still
    assert late[len(late) // 2] < TIMEOUT, "the median waits for no timeout"
    # Nothing of what went wrong is left.
    callers.clear()
    open_ones.clear()
    assert alive(Command, Decision) <= 2  # the last answered may still be in the frame of the event loop
    assert alive(Link) == 1


async def test_who_waits_is_forgotten_when_the_store_is(own_valkey: Valkey, desk: Desk) -> None:
    own_valkey.stall()
    callers = [ask(desk, (limit("one"),), b"%d" % number) for number in range(500)]
    await eventually(lambda: all(caller.heard for caller in callers))
    callers.clear()
    assert alive(Command, Decision, Caller) == 0
    own_valkey.resume()

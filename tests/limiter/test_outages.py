"""A real store is stalled, killed, emptied, full or read-only: limits do what they say, in bounded time, and return."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator

import pytest

from fastgw.limiter.limiter import Verdict
from tests.limiter.fakes import SLACK, TIMEOUT, Desk, eventually, limit, one_of_each
from tests.support.valkey import Valkey


@pytest.fixture
async def desk(own_valkey: Valkey) -> AsyncIterator[Desk]:
    desk = Desk(own_valkey.url)
    await desk.live()
    yield desk
    desk.close()


async def the_ladder(desk: Desk) -> None:
    """What each limit does by its on_error, with nothing to wait for."""
    here, opened, shut = one_of_each()
    verdict = await desk.get((here, b"v"))
    assert (verdict.admitted, verdict.mode) == (True, "local")
    assert verdict.lines.startswith(b'RateLimit: "here";r=')
    verdict = await desk.get((opened, b"v"))
    assert (verdict.admitted, verdict.mode, verdict.lines) == (True, "allow", b"")
    verdict = await desk.get((shut, b"v"), (here, b"v"))
    assert (verdict.admitted, verdict.mode, verdict.refused) == (False, "deny", (shut,))
    assert verdict.retry_after >= 1


async def test_a_stalled_store_costs_its_timeout_then_nothing(desk: Desk, own_valkey: Valkey) -> None:
    here, _, _ = one_of_each()
    own_valkey.stall()
    began = desk.loop.time()
    asked = [desk.ask((here, b"%d" % number)) for number in range(20)]
    assert {verdict.mode for verdict in await asyncio.gather(*asked)} == {"local"}
    assert TIMEOUT <= desk.loop.time() - began < TIMEOUT + SLACK
    assert desk.limiter.mode == "local"
    # From now on nobody waits: the verdict is there at once.
    for number in range(100):
        assert desk.ask((here, b"%d" % number)).done()
    await the_ladder(desk)
    own_valkey.resume()
    assert await desk.until("redis") < 2.0
    assert (await desk.get((here, b"new"))).mode == "redis"
    assert desk.limiter.timeouts >= 1
    assert len(desk.said) == 2
    assert "no answer within 25 ms" in desk.said[0]
    assert "decides again" in desk.said[1]


async def test_a_stall_with_little_traffic_opens_after_three(desk: Desk, own_valkey: Valkey) -> None:
    here, _, _ = one_of_each()
    own_valkey.stall()
    for _ in range(3):
        began = desk.loop.time()
        assert (await desk.get((here, b"v"))).mode == "local"
        assert TIMEOUT <= desk.loop.time() - began < TIMEOUT + SLACK
    assert desk.limiter.mode == "local"
    assert desk.ask((here, b"v")).done()
    own_valkey.resume()
    await desk.until("redis")


async def test_a_short_stall_changes_nothing_but_its_own_decisions(desk: Desk, own_valkey: Valkey) -> None:
    slow = limit("slow", rate=0.001, burst=10)
    own_valkey.stall()
    assert (await desk.get((slow, b"v"))).mode == "local"
    own_valkey.resume()
    # The late answer is not taken for this one's: the store counts both.
    verdict = await desk.get((slow, b"v"))
    assert (verdict.mode, verdict.lines) == ("redis", b'RateLimit: "slow";r=8;t=2000\r\n')
    assert desk.limiter.mode == "redis"
    assert desk.said == []


async def test_a_killed_store_and_an_empty_one_in_its_place(desk: Desk, own_valkey: Valkey) -> None:
    here, slow = one_of_each()[0], limit("slow", rate=0.001, burst=1)
    assert (await desk.get((slow, b"v"))).admitted
    assert not (await desk.get((slow, b"v"))).admitted
    own_valkey.kill()
    await desk.until("local")
    assert desk.ask((here, b"v")).done()
    await the_ladder(desk)
    own_valkey.restart()
    assert await desk.until("redis") < 2.0
    await asyncio.sleep(0)
    assert (await desk.get((here, b"v"))).mode == "redis"
    # It has forgotten everything; what we remember of an empty bucket holds for a second at most, then we ask.
    asked: list[asyncio.Future[Verdict]] = []

    def is_asked() -> bool:
        asked.append(desk.ask((slow, b"v")))
        return not asked[-1].done()

    await eventually(is_asked)
    assert (await asked[-1]).admitted


async def test_decisions_under_way_when_the_connection_is_lost(desk: Desk, own_valkey: Valkey) -> None:
    here, _, _ = one_of_each()
    own_valkey.stall()
    asked = [desk.ask((here, b"%d" % number)) for number in range(5)]
    await asyncio.sleep(0)
    own_valkey.kill()
    began = desk.loop.time()
    assert {verdict.mode for verdict in await asyncio.gather(*asked)} == {"local"}
    assert desk.loop.time() - began < TIMEOUT + SLACK
    assert desk.limiter.pending() == 0


async def test_the_script_is_sent_again_where_it_was_lost(desk: Desk, own_valkey: Valkey) -> None:
    slow = limit("slow", rate=0.001, burst=10)
    own_valkey.client().script_flush()
    asked = [desk.ask((slow, b"v")) for _ in range(3)]
    verdicts = await asyncio.gather(*asked)
    assert {(verdict.admitted, verdict.mode) for verdict in verdicts} == {(True, "redis")}
    assert verdicts[-1].lines == b'RateLimit: "slow";r=7;t=3000\r\n'
    before = own_valkey.calls("eval")
    assert (await desk.get((slow, b"v"))).mode == "redis"
    assert own_valkey.calls("eval") == before


async def test_a_full_store(desk: Desk, own_valkey: Valkey) -> None:
    client = own_valkey.client()
    client.config_set("maxmemory", "1")
    for _ in range(3):
        assert (await desk.get((limit("a"), b"v"))).mode == "local"
    assert desk.limiter.mode == "local"
    assert "OOM" in desk.said[0]
    # The probe writes, so a store that is still full is not taken for one that is back.
    served = own_valkey.calls("evalsha")
    await eventually(lambda: own_valkey.calls("evalsha") > served)
    assert desk.limiter.mode == "local"
    client.config_set("maxmemory", "0")
    assert await desk.until("redis") < 2.0
    assert desk.limiter.errors >= 3


async def test_a_read_only_replica(desk: Desk, own_valkey: Valkey) -> None:
    client = own_valkey.client()
    client.replicaof("127.0.0.1", 1)
    for _ in range(3):
        assert (await desk.get((limit("a"), b"v"))).mode == "local"
    assert desk.limiter.mode == "local"
    client.replicaof("NO", "ONE")
    assert await desk.until("redis") < 2.0


async def test_no_connection_or_descriptor_is_left(desk: Desk, own_valkey: Valkey) -> None:
    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    here, _, _ = one_of_each()
    before = descriptors()
    for _ in range(3):
        own_valkey.stall()
        await asyncio.gather(*[desk.ask((here, b"%d" % number)) for number in range(20)])
        assert desk.limiter.mode == "local"
        own_valkey.resume()
        await desk.until("redis")
    assert desk.limiter.pending() == 0
    client = own_valkey.client()
    await eventually(lambda: client.info("clients")["connected_clients"] <= 2)  # type: ignore[index]
    assert descriptors() <= before + 1  # the client of this test

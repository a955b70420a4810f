"""The store fails in every way we know; decisions become what the limits say, in bounded time, and come back."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fastgw.clock import ManualClock
from fastgw.limiter.limiter import Limit, Verdict
from tests.limiter.fakes import (
    TIMEOUT,
    Answer,
    Desk,
    ScriptedStore,
    eventually,
    grants,
    is_probe,
    limit,
    well,
)
from tests.support.valkey import Valkey

# A tick of the sweep, the turn that is late by it, and what a busy machine adds.
SLACK = 0.075


@pytest.fixture
async def desk(own_valkey: Valkey) -> AsyncIterator[Desk]:
    desk = Desk(own_valkey.url)
    await desk.live()
    yield desk
    desk.close()


@pytest.fixture
async def store() -> AsyncIterator[ScriptedStore]:
    store = await ScriptedStore().start()
    yield store
    await store.stop()


@pytest.fixture
async def scripted(store: ScriptedStore) -> AsyncIterator[Desk]:
    desk = Desk(store.url)
    await desk.live()
    yield desk
    desk.close()


def one_of_each() -> tuple[Limit, Limit, Limit]:
    return limit("here", 100.0, 100), limit("open", on_error="allow"), limit("shut", on_error="deny")


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


# --- a real store ----------------------------------------------------------------------------------------------------


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


# --- a store that answers as told ------------------------------------------------------------------------------------


def instead(answer: bytes | None) -> Answer:
    """To decisions, but not to the greeting's."""
    return lambda words: answer if words[0] in (b"EVALSHA", b"EVAL") and not is_probe(words) else well(words)


REFUSALS = [
    (b"-LOADING Valkey is loading the dataset in memory\r\n", "LOADING"),
    (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "OOM"),
    (b"-READONLY You can't write against a read only replica.\r\n", "READONLY"),
    (b"-NOAUTH Authentication required.\r\n", "NOAUTH"),
    (b"-NOPERM no\r\n", "NOPERM"),
    (b"-BUSY Valkey is busy running a script.\r\n", "BUSY"),
    (b"-NOSCRIPT No matching script.\r\n", "NOSCRIPT"),
    (b"-\r\n", "nothing"),
]
NONSENSE = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\0\0\0\0\0\0",
    b":1\r\n",
    b"$-1\r\n",
    b"+OK\r\n",
    b"#f\r\n",
    b"*0\r\n",
    b"*1\r\n$1\r\n1\r\n",
    b"*3\r\n$1\r\n1\r\n:1\r\n:1\r\n",
    b"*2\r\n$1\r\nx\r\n:1\r\n",
    b"*2\r\n$2\r\n11\r\n:1\r\n",
    b"*2\r\n$1\r\n1\r\n:-1\r\n",
    b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n",
    b"*2\r\n$1\r\n1\r\n-ERR no\r\n",
    b">2\r\n$1\r\n1\r\n:1\r\n",
    b"*-5\r\n",
    b"$99999999999999999999\r\n",
    b"*2\r\n$1\r\n1\r\n:1\r\n:7\r\n",  # one answer too many
    b"x" * 300_000,
    b"+" + b"x" * 300_000,
]


@pytest.mark.parametrize(("answer", "word"), REFUSALS)
async def test_an_error_is_decided_at_once_and_three_open(
    store: ScriptedStore, scripted: Desk, answer: bytes, word: str
) -> None:
    here, _, _ = one_of_each()
    store.answer = instead(answer)
    began = scripted.loop.time()
    for number in range(3):
        assert (await scripted.get((here, b"%d" % number))).mode == "local"
    assert scripted.loop.time() - began < TIMEOUT + SLACK
    assert word in scripted.said[0]
    assert scripted.limiter.mode == "local"
    assert scripted.ask((here, b"v")).done()
    store.answer = well
    await scripted.until("redis")
    assert (await scripted.get((here, b"w"))).mode == "redis"


@pytest.mark.parametrize("nonsense", NONSENSE, ids=range(len(NONSENSE)))
async def test_nonsense_ends_the_connection(store: ScriptedStore, scripted: Desk, nonsense: bytes) -> None:
    here, _, _ = one_of_each()
    store.answer = instead(nonsense)
    accepted = store.accepted
    verdict = await scripted.get((here, b"v"))
    assert verdict.mode in ("local", "redis")  # redis: only where a whole answer came before what is too much
    store.answer = well
    await scripted.until("redis")
    await eventually(lambda: store.accepted > accepted)
    verdict = await scripted.get((here, b"w"))
    assert verdict.admitted
    await scripted.until("redis")
    assert scripted.limiter.pending() == 0


async def test_half_an_answer_is_no_answer(store: ScriptedStore, scripted: Desk) -> None:
    here, _, _ = one_of_each()
    store.answer = lambda words: (
        well(words) if is_probe(words) or words[0] == b"SCRIPT" else grants(words)[:-3]
    )
    began = scripted.loop.time()
    asked = [scripted.ask((here, b"%d" % number)) for number in range(9)]
    assert {verdict.mode for verdict in await asyncio.gather(*asked)} == {"local"}
    assert scripted.loop.time() - began < TIMEOUT + SLACK
    store.answer = well
    await scripted.until("redis")
    assert (await scripted.get((here, b"w"))).mode == "redis"


async def test_a_store_that_hangs_up_on_each_command_is_left_alone(
    store: ScriptedStore, scripted: Desk
) -> None:
    here, _, _ = one_of_each()
    store.answer = instead(b"")
    for number in range(3):
        assert (await scripted.get((here, b"%d" % number))).mode == "local"
    assert scripted.limiter.mode == "local"
    # It greets well, so it is tried again; the next failure ends that at once.
    await scripted.until("redis")
    assert (await scripted.get((here, b"v"))).mode == "local"
    assert scripted.limiter.mode == "local"


async def test_a_slow_store_is_not_taken_back(store: ScriptedStore, scripted: Desk) -> None:
    here, _, _ = one_of_each()
    held: list[bytes] = []

    def slow(words: list[bytes]) -> bytes | None:
        if words[0] not in (b"EVALSHA", b"EVAL"):
            return well(words)
        held.append(words[0])
        asyncio.get_running_loop().call_later(0.06, _send_all, store, well(words))
        return None

    store.answer = slow
    await asyncio.gather(*[scripted.ask((here, b"%d" % number)) for number in range(9)])
    assert scripted.limiter.mode == "local"
    before = len(held)
    await eventually(lambda: len(held) >= before + 3)
    assert scripted.limiter.mode == "local"
    assert len(scripted.said) == 1, "one line for one outage"
    store.answer = well
    await scripted.until("redis")


def _send_all(store: ScriptedStore, data: bytes) -> None:
    for writer in store.connections:
        writer.write(data)


async def test_at_the_start_requests_wait_for_the_first_connection(store: ScriptedStore) -> None:
    desk = Desk(store.url)
    assert desk.limiter.mode == "redis"
    assert (await desk.get((limit("a", on_error="deny"), b"v"))).mode == "redis"
    desk.close()


async def test_at_the_start_nobody_waits_longer_than_the_timeout(store: ScriptedStore) -> None:
    store.answer = lambda words: None
    desk = Desk(store.url)
    began = desk.loop.time()
    assert (await desk.get((limit("a"), b"v"))).mode == "local"
    assert desk.loop.time() - began < TIMEOUT + SLACK
    assert desk.limiter.mode == "local"
    store.answer = well
    await desk.until("redis")
    desk.close()


async def test_no_store_at_the_address(tmp_path: Path) -> None:
    desk = Desk(f"unix://{tmp_path}/none")
    assert (await desk.get((limit("a"), b"v"))).mode == "local"
    assert desk.limiter.mode == "local"
    assert "No such file" in desk.said[0]
    store = ScriptedStore()
    desk.close()
    await store.stop()


GREETINGS: list[tuple[str, Callable[[list[bytes]], bool], bytes]] = [
    ("password", lambda words: words[0] == b"AUTH", b"-WRONGPASS no\r\n"),
    ("database", lambda words: words[0] == b"SELECT", b"-ERR DB index is out of range\r\n"),
    ("script", lambda words: words[0] == b"SCRIPT", b"-NOPERM no\r\n"),
    ("another script", lambda words: words[0] == b"SCRIPT", b"$2\r\nxx\r\n"),
    ("read only", is_probe, b"-READONLY no\r\n"),
    ("odd", is_probe, b":1\r\n"),
    ("hung up", is_probe, b""),
]


@pytest.mark.parametrize(("name", "when", "answer"), GREETINGS, ids=[row[0] for row in GREETINGS])
async def test_a_greeting_that_fails(
    store: ScriptedStore, name: str, when: Callable[[list[bytes]], bool], answer: bytes
) -> None:
    store.answer = lambda words: answer if when(words) else well(words)
    desk = Desk(f"unix://me:secret@{store.url.removeprefix('unix://')}?db=3")
    assert (await desk.get((limit("a"), b"v"))).mode == "local"
    await desk.until("local")
    assert "secret" not in "".join(desk.said)
    store.answer = well
    await desk.until("redis")
    assert store.heard[-3:-1] == [[b"SELECT", b"3"], store.heard[-2]]
    assert [b"AUTH", b"me", b"secret"] in store.heard
    desk.close()


async def test_idle_connections_that_the_store_tidies_away_are_no_failure(store: ScriptedStore) -> None:
    clock = ManualClock()
    desk = Desk(store.url, clock=clock)
    await desk.live()
    for times in range(1, 6):
        clock.advance(60.0)
        for writer in list(store.connections):
            writer.transport.abort()
        await eventually(lambda joined=1 + times: store.calls()[b"SCRIPT"] >= joined)  # type: ignore[misc]
        assert (await desk.get((limit("a", rate=1e-3), b"%d" % times))).mode == "redis"
    assert desk.said == []
    desk.close()

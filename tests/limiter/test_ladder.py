"""A store that answers as told: with errors, with nonsense, by halves, slowly, not at all; and how it is greeted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fastgw.clock import ManualClock
from tests.limiter.fakes import (
    SLACK,
    TIMEOUT,
    Answer,
    Desk,
    ScriptedStore,
    eventually,
    grants,
    is_probe,
    limit,
    one_of_each,
    well,
)


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

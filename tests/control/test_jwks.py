"""The steward of keys: when it asks a source, whom it tells what, and what it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from fastgw.clock import ManualClock
from fastgw.control.jwks import COOL_DOWN, FIRST_RETRY, JwksSteward, sources_of
from fastgw.control.jwks_files import JwksFiles
from fastgw.control.jwks_source import KeysUnavailable
from fastgw.gateway.document.model import Document
from fastgw.ipc import messages
from fastgw.ipc.messages import Message
from fastgw.policy.auth.options import IssuerOptions
from tests.control.harness import ReadableLog
from tests.policy.auth.minting import P256, P384, jwk

URL, OTHER = "https://user:hush@id.example.com/jwks?key=hush", "https://other.example.com/jwks"
ONE, TWO = jwk(P256, kid="one"), jwk(P384, kid="two")


class World:
    """A source whose answers the test gives, and pauses that it ends."""

    def __init__(self) -> None:
        self.answers: dict[str, list[dict[str, Any]] | str] = {URL: [ONE], OTHER: [TWO]}
        self.fetched: asyncio.Queue[str] = asyncio.Queue()
        self.told: asyncio.Queue[Message] = asyncio.Queue()
        self.answered: asyncio.Queue[tuple[int, Message]] = asyncio.Queue()
        self.sleeping: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.gate.set()
        self.clock = ManualClock()

    async def fetch(self, url: str) -> list[dict[str, Any]]:
        self.fetched.put_nowait(url)
        await self.gate.wait()
        answer = self.answers[url]
        if isinstance(answer, str):
            raise KeysUnavailable(answer)
        return answer

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        self.sleeping.put_nowait((seconds, event))
        await event.wait()

    async def pass_time(self) -> float:
        seconds, event = await self.sleeping.get()
        event.set()
        return seconds

    def answer(self, worker: int, message: Message) -> None:
        self.answered.put_nowait((worker, message))


@pytest.fixture
def world() -> World:
    return World()


Make = Callable[..., JwksSteward]


@pytest.fixture
async def make(world: World, log: ReadableLog) -> AsyncIterator[Make]:
    made: list[JwksSteward] = []

    def steward(files: JwksFiles | None = None, last_good: Any = ()) -> JwksSteward:
        one = JwksSteward(
            world, world.told.put_nowait, world.answer, log, world.clock, lambda: 0.0, files, last_good, world.sleep
        )
        made.append(one)
        return one

    yield steward
    for one in made:
        await one.close()


class Following:
    """What the steward looks at of a document."""

    def __init__(self, *urls: str, refresh: str = "10m") -> None:
        self.base = self
        self.issuers = {
            f"issuer-{number}": IssuerOptions.model_validate(
                {"algorithms": ["ES256"], "jwks_url": url, "jwks_refresh": refresh}
            )
            for number, url in enumerate(urls)
        }


def document(*urls: str, refresh: str = "10m") -> Document:
    return Following(*urls, refresh=refresh)  # type: ignore[return-value]  # a fake of the same shape


def test_a_source_is_asked_as_often_as_its_most_eager_issuer_wants() -> None:
    made = document(URL, URL, OTHER)
    issuers: Any = made.base.issuers
    issuers["issuer-0"] = issuers["issuer-0"].model_copy(update={"jwks_refresh": 30.0})
    assert sources_of(made) == {URL: 30.0, OTHER: 600.0}


async def test_keys_are_fetched_and_told_once(make: Make, world: World, log: ReadableLog) -> None:
    make().follow(document(URL))
    assert await world.told.get() == messages.keys(URL, [ONE], None)
    assert await world.pass_time() == 600.0
    await world.sleeping.get()
    assert world.told.empty()  # nothing has changed
    (line,) = log.lines()
    assert "1 key from https://id.example.com/jwks" in line
    assert "hush" not in line


async def test_rotation_is_told_and_kept(make: Make, world: World, tmp_path: Path) -> None:
    files = JwksFiles(tmp_path / "store")
    make(files).follow(document(URL))
    await world.told.get()
    assert files.load(URL) == [ONE]
    world.answers[URL] = [ONE, TWO]
    await world.pass_time()
    assert await world.told.get() == messages.keys(URL, [ONE, TWO], None)
    assert files.load(URL) == [ONE, TWO]
    assert [oct(file.stat().st_mode & 0o777) for file in (tmp_path / "store").iterdir()] == ["0o600"]


async def test_a_failing_source_keeps_its_keys_and_is_asked_more_and_more_rarely(
    make: Make, world: World, log: ReadableLog
) -> None:
    make().follow(document(URL))
    await world.told.get()
    world.answers[URL] = "the answer is 500, not 200"
    await world.pass_time()
    assert await world.told.get() == messages.keys(URL, [ONE], "the answer is 500, not 200")
    pauses = [await world.pass_time() for _ in range(8)]
    assert pauses == [FIRST_RETRY, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    world.answers[URL] = [ONE]
    assert await world.told.get() == messages.keys(URL, [ONE], None)
    said = log.lines()
    assert sum("keeping the keys" in line for line in said) == 1  # once, not at every attempt


async def test_without_any_key_it_says_so_and_goes_on_asking(make: Make, world: World, log: ReadableLog) -> None:
    world.answers[URL] = "cannot connect"
    make().follow(document(URL))
    assert await world.told.get() == messages.keys(URL, [], "cannot connect")
    assert [await world.pass_time() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert any("503" in line for line in log.lines())


async def test_an_unknown_key_fetches_at_once_and_once(make: Make, world: World) -> None:
    steward = make()
    steward.follow(document(URL))
    await world.told.get()
    await world.sleeping.get()
    world.answers[URL] = [ONE, TWO]
    world.gate.clear()
    await world.fetched.get()
    for worker in (0, 1, 0):
        steward.unknown_key(worker, URL)
    await world.fetched.get()
    steward.unknown_key(1, URL)  # while it is fetching
    world.gate.set()
    assert await world.told.get() == messages.keys(URL, [ONE, TWO], None)  # everybody, so also who asked
    await world.sleeping.get()
    assert world.fetched.empty() and world.answered.empty()


async def test_in_the_cool_down_the_answer_is_what_is_known(make: Make, world: World) -> None:
    steward = make()
    steward.follow(document(URL))
    await world.told.get()
    await world.sleeping.get()
    steward.unknown_key(0, URL)
    assert await world.answered.get() == (0, messages.keys(URL, [ONE], None))  # fetched, and nothing new
    await world.sleeping.get()
    fetched = world.fetched.qsize()
    world.clock.advance(COOL_DOWN - 0.1)
    steward.unknown_key(1, URL)
    assert world.answered.get_nowait() == (1, messages.keys(URL, [ONE], None))
    assert world.fetched.qsize() == fetched
    world.clock.advance(0.2)
    steward.unknown_key(1, URL)
    assert await world.answered.get() == (1, messages.keys(URL, [ONE], None))
    assert world.fetched.qsize() == fetched + 1


async def test_a_failed_fetch_answers_who_asked(make: Make, world: World) -> None:
    steward = make()
    steward.follow(document(URL))
    await world.told.get()
    await world.sleeping.get()
    world.answers[URL] = "no whole answer within 5 s"
    steward.unknown_key(0, URL)
    assert await world.told.get() == messages.keys(URL, [ONE], "no whole answer within 5 s")
    steward.unknown_key(0, "https://nobody.example.com/")
    assert (await world.answered.get())[1]["keys"] == []


async def test_the_last_good_keys_are_there_before_the_first_fetch(
    make: Make, world: World, tmp_path: Path
) -> None:
    files = JwksFiles(tmp_path)
    assert files.save(URL, [ONE]) is None
    world.answers[URL] = world.answers[OTHER] = "cannot connect"
    make(files, [messages.keys(OTHER, [TWO], None)]).follow(document(URL, OTHER))
    first = [world.told.get_nowait() for _ in range(2)]
    assert first == [messages.keys(URL, [ONE], None), messages.keys(OTHER, [TWO], None)]
    after = [await world.told.get() for _ in range(2)]
    assert after == [messages.keys(URL, [ONE], "cannot connect"), messages.keys(OTHER, [TWO], "cannot connect")]


async def test_a_reload_watches_what_the_document_names(make: Make, world: World) -> None:
    steward = make()
    steward.follow(document(URL))
    told = await world.told.get()
    assert steward.wants(told)
    await world.sleeping.get()
    steward.follow(document(OTHER))
    assert not steward.wants(told)
    assert await world.told.get() == messages.keys(OTHER, [TWO], None)
    steward.follow(document(OTHER, refresh="5s"))
    await world.pass_time()
    assert await world.pass_time() == 5.0


@pytest.mark.parametrize("content", [b"", b"{", b"<html>", b'{"keys": []}', b"\xff" * 100])
def test_a_spoilt_file_is_no_key(tmp_path: Path, content: bytes) -> None:
    files = JwksFiles(tmp_path)
    files.save(URL, [ONE])
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert files.load(URL) == []


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert JwksFiles(tmp_path / "file").save(URL, [ONE])

"""The connections of the admin address: deadlines by a clock that is passed in, and the bound over real sockets."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from fastgw.clock import SystemClock
from fastgw.control.doors import HEAD_TIMEOUT, IDLE_TIMEOUT, STALL_TIMEOUT, Doors
from tests.control.harness import Gateway


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.ended = ""
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def abort(self) -> None:
        self.ended = "aborted"

    def close(self) -> None:
        self.ended = "closed"


class Inner(asyncio.Protocol):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.heard.append("connection_made")

    def data_received(self, data: bytes) -> None:
        self.heard.append("data_received")

    def eof_received(self) -> None:
        self.heard.append("eof_received")

    def pause_writing(self) -> None:
        self.heard.append("pause_writing")

    def resume_writing(self) -> None:
        self.heard.append("resume_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append("connection_lost")


class Visit:
    """One connection that has just been made."""

    def __init__(self, doors: Doors) -> None:
        self.inner = Inner()
        made = doors.guard(lambda: self.inner)()
        assert isinstance(made, asyncio.Protocol)
        self.protocol = made
        self.transport = Transport()
        made.connection_made(self.transport)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def doors(clock: Clock) -> Doors:
    return Doors(clock, most=2)


def after(doors: Doors, clock: Clock, seconds: float) -> None:
    clock.time += seconds
    doors.sweep()


def test_everything_reaches_the_protocol_inside(doors: Doors) -> None:
    visit = Visit(doors)
    visit.protocol.data_received(b"x")
    visit.protocol.pause_writing()
    visit.protocol.resume_writing()
    visit.protocol.eof_received()
    visit.protocol.connection_lost(None)
    assert visit.inner.heard == [
        "connection_made", "data_received", "pause_writing", "resume_writing", "eof_received", "connection_lost",
    ]  # fmt: skip


def test_who_says_nothing_is_not_waited_for(doors: Doors, clock: Clock) -> None:
    visit = Visit(doors)
    after(doors, clock, HEAD_TIMEOUT - 0.1)
    assert not visit.transport.ended
    after(doors, clock, 0.1)
    assert visit.transport.ended == "aborted"


def test_a_head_that_comes_a_byte_at_a_time_is_not_waited_for(doors: Doors, clock: Clock) -> None:
    visit = Visit(doors)
    doors.entered(visit.transport)
    doors.left(visit.transport)
    after(doors, clock, IDLE_TIMEOUT - 1)
    for _ in range(int(HEAD_TIMEOUT)):
        assert not visit.transport.ended
        visit.protocol.data_received(b"G")
        after(doors, clock, 1)
    assert visit.transport.ended == "aborted"


def test_who_has_an_answer_coming_has_time(doors: Doors, clock: Clock) -> None:
    visit = Visit(doors)
    doors.entered(visit.transport)
    visit.protocol.data_received(b"the body")
    after(doors, clock, 3600)
    assert not visit.transport.ended
    doors.left(visit.transport)
    after(doors, clock, IDLE_TIMEOUT)
    assert visit.transport.ended == "aborted"


def test_who_does_not_read_its_answer_is_not_waited_for(doors: Doors, clock: Clock) -> None:
    visit = Visit(doors)
    doors.entered(visit.transport)
    visit.protocol.pause_writing()
    after(doors, clock, STALL_TIMEOUT - 0.1)
    visit.protocol.resume_writing()
    after(doors, clock, STALL_TIMEOUT)
    visit.protocol.pause_writing()
    assert not visit.transport.ended
    after(doors, clock, STALL_TIMEOUT)
    assert visit.transport.ended == "aborted"


def test_who_comes_when_all_are_taken_is_turned_away(doors: Doors) -> None:
    first, second = Visit(doors), Visit(doors)
    third = Visit(doors)
    assert (doors.open, third.inner.heard, third.transport.ended) == (2, [], "closed")
    head, _, body = third.transport.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ") and b"Content-Length: %d" % len(body) in head
    assert json.loads(body)["reason"] == "overloaded"
    first.protocol.connection_lost(None)
    assert not Visit(doors).transport.ended and not second.transport.ended


def test_who_is_told_of_the_end(doors: Doors) -> None:
    visit = Visit(doors)
    told: list[int] = []
    doors.when_lost(visit.transport, lambda: told.append(1))
    assert told == []
    visit.protocol.connection_lost(None)
    doors.when_lost(visit.transport, lambda: told.append(2))
    doors.when_lost(None, lambda: told.append(3))
    assert told == [1, 2, 3]
    doors.entered(None)
    doors.left(visit.transport)


class Hurried(SystemClock):
    """The real time, and what the test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


@pytest.fixture
def hurried() -> Hurried:
    return Hurried()


@pytest.fixture(name="system_clock")
def system_clock_fixture(hurried: Hurried) -> Hurried:
    return hurried


async def test_the_real_server_ends_who_is_slow_and_keeps_who_looks_on(
    gateway: Gateway, client: aiohttp.ClientSession, hurried: Hurried
) -> None:
    tail = await client.get("/api/tail")
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: ")
    assert (await client.get("/livez")).status == 200
    hurried.ahead = HEAD_TIMEOUT + 1
    async with asyncio.timeout(5):
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            pass  # which says the same
    writer.close()
    hurried.ahead = 3600
    assert (await client.get("/livez")).status == 200
    assert not tail.content.at_eof()
    tail.close()


async def test_the_real_server_turns_away_what_is_too_much(gateway: Gateway) -> None:
    held = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(256)]
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
    writer.close()
    held.pop()[1].close()
    answer = b""
    async with asyncio.timeout(10):
        while not answer.startswith(b"HTTP/1.1 200 "):  # until the server has seen the end of that one
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
    for _, each in held:
        each.close()

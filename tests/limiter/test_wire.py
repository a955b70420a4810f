"""One connection: answers to who asked, in order, however the bytes come; and what is none of ours ends it."""

from __future__ import annotations

import asyncio
from typing import Any

import hiredis
import pytest

from fastgw.limiter.wire import MAX_ANSWER, Link, StoreError, said


class Taken:
    def __init__(self) -> None:
        self.answers: list[object] = []

    def on_answer(self, answer: object) -> None:
        self.answers.append(answer)


class Transport:
    def __init__(self) -> None:
        self.sent = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def abort(self) -> None:
        self.aborted = True


class Line:
    def __init__(self) -> None:
        self.lost: list[str] = []
        self.link = Link(asyncio.get_running_loop(), lambda _, cause: self.lost.append(cause))
        self.transport = Transport()
        connected: Any = self.transport
        self.link.connection_made(connected)


@pytest.fixture
async def line() -> Line:
    return Line()


ANSWERS = b"+OK\r\n:7\r\n*2\r\n$3\r\na\r\n\r\n:1\r\n-ERR no\r\n$-1\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(ANSWERS)])
async def test_answers_reach_who_asked_in_order(line: Line, size: int) -> None:
    takers = [Taken() for _ in range(5)]
    for number, taker in enumerate(takers):
        line.link.send(b"%d" % number, taker)
    assert line.transport.sent == b"01234"
    for start in range(0, len(ANSWERS), size):
        line.link.data_received(ANSWERS[start : start + size])
    answers = [taker.answers for taker in takers]
    assert answers[:3] == [[b"OK"], [7], [[b"a\r\n", 1]]]
    assert isinstance(answers[3][0], hiredis.ReplyError)
    assert answers[4] == [None]
    assert line.lost == []


async def test_what_nobody_asked_ends_it(line: Line) -> None:
    line.link.data_received(b"+OK\r\n")
    assert line.lost == ["it answers what nobody asked"]
    assert line.transport.aborted


async def test_one_answer_too_many_ends_it(line: Line) -> None:
    taker = Taken()
    line.link.send(b"", taker)
    line.link.data_received(b":1\r\n:2\r\n")
    assert taker.answers == [1]
    assert line.lost == ["it answers what nobody asked"]


async def test_false_is_an_answer_too(line: Line) -> None:
    one, two = Taken(), Taken()
    line.link.send(b"", one)
    line.link.send(b"", two)
    line.link.data_received(b"#f\r\n:2\r\n")
    assert (one.answers, two.answers) == ([False], [2])


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 200 OK\r\n", b"\0", b"$x\r\n", b"*-9\r\n"])
async def test_nonsense_ends_it(line: Line, nonsense: bytes) -> None:
    taker = Taken()
    line.link.send(b"", taker)
    line.link.data_received(nonsense)
    line.link.data_received(b":1\r\n")
    assert line.lost == ["it does not speak Redis's protocol"]
    assert taker.answers == []


async def test_an_answer_without_end(line: Line) -> None:
    line.link.send(b"", Taken())
    line.link.data_received(b"$999999999\r\n")
    for _ in range(MAX_ANSWER // 65536):
        assert not line.lost
        line.link.data_received(b"x" * 65536)
    assert line.lost == ["an answer without end"]


async def test_whole_answers_may_be_many(line: Line) -> None:
    takers = [Taken() for _ in range(40)]
    for taker in takers:
        line.link.send(b"", taker)
        line.link.data_received(b"$9999\r\n" + b"x" * 9999 + b"\r\n")
    assert line.lost == []


async def test_a_lost_connection_is_told_once(line: Line) -> None:
    line.link.connection_lost(ConnectionResetError("reset"))
    line.link.connection_lost(None)
    line.link.close("again")
    assert line.lost == ["the connection was lost: reset"]


async def test_asking(line: Line) -> None:
    asked = asyncio.ensure_future(line.link.ask(b"SELECT", b"3"))
    await asyncio.sleep(0)
    assert line.transport.sent == b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
    line.link.data_received(b"+OK\r\n")
    assert await asked == b"OK"


async def test_asking_and_told_no(line: Line) -> None:
    asked = asyncio.ensure_future(line.link.ask(b"AUTH", b"x"))
    await asyncio.sleep(0)
    line.link.data_received(b"-WRONGPASS invalid\r\n")
    with pytest.raises(StoreError, match="it says 'WRONGPASS invalid'"):
        await asked


async def test_asking_when_the_line_goes_dead(line: Line) -> None:
    asked = asyncio.ensure_future(line.link.ask(b"PING"))
    await asyncio.sleep(0)
    line.link.connection_lost(None)
    with pytest.raises(StoreError, match="the connection was lost"):
        await asked
    with pytest.raises(StoreError, match="the connection was lost"):
        await line.link.ask(b"PING")


async def test_connected_after_it_was_given_up() -> None:
    link = Link(asyncio.get_running_loop(), lambda _, cause: None)
    link.close("no time left")
    transport: Any = Transport()
    link.connection_made(transport)
    assert transport.aborted


@pytest.mark.parametrize(("text", "shown"), [("", "it says nothing"), ("ERR " + "x" * 500, "ERR xxx")])
def test_what_an_error_says(text: str, shown: str) -> None:
    line = said(hiredis.ReplyError(text))
    assert shown in line
    assert len(line) < 150

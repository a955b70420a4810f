from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator

import pytest

from bench import process
from bench.errors import BenchError
from bench.load import watchers
from bench.load.watchers import Job, Seen, Watchers

CORES = sorted(os.sched_getaffinity(0))
EVENT = b'b\r\n\nevent: exchange\ndata: {"path": "/x"}\n\n\r\n'


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_events_are_counted_however_they_arrive(size: int) -> None:
    text = b": watching\n\n" + EVENT * 5 + b"event: notice\ndata: {}\n\n" + EVENT
    reader, seen = asyncio.StreamReader(), Seen()
    task = asyncio.ensure_future(watchers.watch(reader, seen))
    for at in range(0, len(text), size):
        reader.feed_data(text[at : at + size])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    reader.feed_eof()
    with pytest.raises(BenchError, match="ended by itself"):
        await task
    assert seen.exchanges == 6


class Admin:
    """Two events for each tail, and a line of metrics."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.scraped = threading.Event()  # three times

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        self.paths.append(path)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.write(EVENT * 2 if path == "/api/tail" else b"fastgw_ready 1\n")
        if path == "/api/tail":
            await reader.read()  # until it goes
        writer.close()
        if self.paths.count("/metrics") > 3:
            self.scraped.set()


@pytest.fixture
async def admin() -> AsyncIterator[tuple[Admin, int]]:
    one = Admin()
    server = await asyncio.start_server(one.answer, "127.0.0.1", 0)
    yield one, server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_they_look_on_until_they_are_sent_away(admin: tuple[Admin, int]) -> None:
    one, port = admin

    def look() -> Seen:
        with Watchers(Job(port, 3, 0.01), CORES) as looking:
            assert one.scraped.wait(5)
        return looking.seen

    seen = await asyncio.to_thread(look)
    assert one.paths.count("/api/tail") == 3
    assert seen.exchanges == 6
    assert seen.scrapes >= 3 and seen.scraped == len("fastgw_ready 1\n")


async def test_who_is_not_let_in_says_so() -> None:
    with pytest.raises(BenchError, match="nobody looks on"):
        await asyncio.to_thread(Watchers(Job(process.free_port(), 1), CORES).__enter__)


def test_what_they_say_at_the_end() -> None:
    text = '{"exchanges": 4, "scrapes": 1, "scraped": 9, "slowest_ms": 1.5}\n'
    assert watchers.parse(0, text, "") == Seen(4, 1, 9, 1.5)
    with pytest.raises(BenchError, match="ended with 1: a tail ended"):
        watchers.parse(1, "", "a tail ended by itself")

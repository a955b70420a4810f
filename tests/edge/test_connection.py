"""A client's connection over a transport that only notes: who pipelines far ahead does not hold up the others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from fastgw.account.series import SeriesMemory
from fastgw.clock import ManualClock
from fastgw.edge.connection import PIPELINED_AT_ONCE, ClientConnection
from fastgw.edge.dataplane import DataPlane
from fastgw.gateway.compile import compile_snapshot
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.snapshot import Snapshot

PLAIN = {
    "listeners": [{"address": "127.0.0.1:8080"}],
    "routes": [{"name": "all", "match": {"path": "/*"}, "reply": {"status": 200, "body": "here"}}],
}
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Loop(asyncio.AbstractEventLoop):
    """Runs nothing by itself: a turn is what the test makes it."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return 50.0

    def call_at(self, when, callback, *args, context=None):
        return None

    def call_later(self, delay, callback, *args, context=None):
        return None

    def call_soon(self, callback, *args, context=None):
        self.soon.append(callback)

    def turn(self) -> None:
        due, self.soon = self.soon, []
        for callback in due:
            callback()


class Transport:
    def __init__(self) -> None:
        self.written = b""
        self.reading = True

    def get_extra_info(self, name: str) -> object:
        return ("192.0.2.7", 40000) if name == "peername" else None

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.reading = False

    def answers(self) -> int:
        return self.written.count(b"HTTP/1.1 200 ")


def snapshot() -> Snapshot:
    steps = compile_snapshot(load_plain(PLAIN, "test"), 1, None)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def connect(loop: Loop) -> Iterator[Callable[[], tuple[ClientConnection, Transport]]]:
    sink = os.open(os.devnull, os.O_WRONLY)
    plane = DataPlane(loop, snapshot(), SeriesMemory(1, 4096, 65536).slot(0), 0, 1, sink, ManualClock())

    def make() -> tuple[ClientConnection, Transport]:
        connection, transport = ClientConnection(plane, 0), Transport()
        connection.connection_made(transport)
        return connection, transport

    yield make
    os.close(sink)


Connect = Callable[[], tuple[ClientConnection, Transport]]


def test_a_turn_serves_so_many_of_one_connection_and_no_more(loop: Loop, connect: Connect) -> None:
    connection, transport = connect()
    connection.data_received(REQUEST * (3 * PIPELINED_AT_ONCE))
    assert not transport.reading
    counts = []
    for _ in range(3):
        loop.turn()  # first the writes of the turn before, then the next share
        counts.append(transport.answers())
    assert counts[0] == PIPELINED_AT_ONCE
    assert all(after - before <= PIPELINED_AT_ONCE for before, after in pairwise(counts))


def test_all_of_them_are_answered_and_reading_goes_on(loop: Loop, connect: Connect) -> None:
    connection, transport = connect()
    connection.data_received(REQUEST * (3 * PIPELINED_AT_ONCE + 1))
    for _ in range(8):
        loop.turn()
    assert transport.answers() == 3 * PIPELINED_AT_ONCE + 1
    assert transport.reading


def test_another_connection_has_its_turn_between(loop: Loop, connect: Connect) -> None:
    greedy, first = connect()
    modest, second = connect()
    greedy.data_received(REQUEST * (10 * PIPELINED_AT_ONCE))
    modest.data_received(REQUEST)
    loop.turn()
    assert second.answers() == 1
    assert first.answers() < 10 * PIPELINED_AT_ONCE


def test_a_client_that_leaves_between_two_shares_is_not_served_on(loop: Loop, connect: Connect) -> None:
    connection, transport = connect()
    connection.data_received(REQUEST * (3 * PIPELINED_AT_ONCE))
    connection.connection_lost(None)
    for _ in range(4):
        loop.turn()
    assert transport.answers() <= PIPELINED_AT_ONCE

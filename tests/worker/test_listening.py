"""The sockets that a worker accepts on, over real sockets and a plane that only answers."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace

import pytest

from fastgw.account.series import SeriesMemory, Word
from fastgw.worker.birth import Borrowed
from fastgw.worker.listening import Listening


class Answering(asyncio.Protocol):
    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"answer")


class Plane:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.fails = False

    async def listen(self, listener_index, sock):
        if self.fails:
            raise OSError("no more files")
        loop = asyncio.get_running_loop()
        return await loop.create_server(Answering, sock=sock.dup(), backlog=64)

    def log(self, line: str) -> None:
        self.lines.append(line)


def reuseport(port: int = 0) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(64)
    sock.setblocking(False)
    return sock


class Rig:
    """Worker 0 of two; nobody accepts for worker 1."""

    def __init__(self) -> None:
        self.mine = reuseport()
        self.address = self.mine.getsockname()
        self.siblings = reuseport(self.address[1])
        self.series = SeriesMemory(2)
        self.plane = Plane()
        sets = [[Borrowed(0, self.mine)], [Borrowed(0, self.siblings)]]
        birth = SimpleNamespace(index=0, own=sets[0], shared=[], siblings=sets, series=self.series)
        self.listening = Listening(birth, self.plane)
        self.clients: list[socket.socket] = []

    def connect(self, count: int) -> None:
        for _ in range(count):
            self.clients.append(socket.create_connection(self.address, timeout=2))

    async def answers(self) -> list[bytes]:
        """What each client gets; b"" where its connection was closed or reset."""

        def ask(client: socket.socket) -> bytes:
            try:
                client.send(b"request")
                return client.recv(99)
            except OSError:
                return b""

        return [await asyncio.to_thread(ask, client) for client in self.clients]

    async def refused(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(*self.address)
        except ConnectionRefusedError:
            return True
        writer.close()
        return False

    def close(self) -> None:
        self.listening.close()
        for client in self.clients:
            client.close()


@pytest.fixture
async def rig():
    made = Rig()
    yield made
    made.close()


async def test_finishing_answers_everybody_who_is_in_the_queue(rig):
    await rig.listening.open()
    rig.series.slot(1).set(Word.ADOPT_BY, 1)
    await rig.listening.heed_siblings()
    rig.connect(40)  # no turn of the loop in between: all of them are in the two queues
    await rig.listening.finish()
    assert await rig.answers() == [b"answer"] * 40
    assert await rig.refused()


async def test_nobody_new_comes_in_while_the_queues_are_emptied(rig):
    await rig.listening.open()
    rig.series.slot(1).set(Word.ADOPT_BY, 1)
    await rig.listening.heed_siblings()
    finishing = asyncio.create_task(rig.listening.finish())
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.open_connection(*rig.address)
    await finishing


async def test_closing_at_once_resets_the_queue_and_frees_the_port(rig):
    await rig.listening.open()
    rig.connect(4)
    rig.listening.close(orphaned=True)
    assert await rig.refused()
    assert b"" in await rig.answers()


async def test_an_orphan_ends_the_listening_of_siblings_that_hang(rig):
    await rig.listening.open()
    hanging = rig.siblings.dup()  # as the sibling's own descriptor
    rig.listening.close(orphaned=True)
    assert await rig.refused()
    hanging.close()


async def test_a_socket_is_adopted_and_given_back(rig):
    await rig.listening.open()
    rig.connect(16)
    word = rig.series.slot(1)
    word.set(Word.ADOPT_BY, 1)
    await rig.listening.heed_siblings()
    await rig.listening.heed_siblings()
    assert await rig.answers() == [b"answer"] * 16
    word.set(Word.ADOPT_BY, 0)
    await rig.listening.heed_siblings()
    assert [line.partition(": ")[2] for line in rig.plane.lines] == [
        "accepts for worker 1, which does not",
        "worker 1 accepts by itself again",
    ]


async def test_another_siblings_word_is_not_for_this_one(rig):
    rig.series.slot(1).set(Word.ADOPT_BY, 3)
    await rig.listening.heed_siblings()
    assert rig.plane.lines == []


async def test_what_cannot_be_adopted_is_tried_again(rig):
    rig.plane.fails = True
    rig.series.slot(1).set(Word.ADOPT_BY, 1)
    with pytest.raises(OSError, match="no more files"):
        await rig.listening.heed_siblings()
    rig.plane.fails = False
    await rig.listening.heed_siblings()
    assert rig.plane.lines


async def test_nothing_is_accepted_after_the_end(rig):
    rig.listening.close()
    with pytest.raises(OSError, match=r"."):
        await rig.listening.open()
    rig.series.slot(1).set(Word.ADOPT_BY, 1)
    await rig.listening.heed_siblings()
    assert rig.plane.lines == []

"""Whether a server answers, without waiting for it: it answers, is silent, talks nonsense, hangs up, is not there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgw.supervisor.processes import Event, Kind, Process, State
from fastgw.supervisor.vitals import Vitals


class Server:
    """Its side of the conversation, by hand."""

    def __init__(self, path: str) -> None:
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen()
        self._listening.settimeout(0.5)
        self._accepted: list[socket.socket] = []

    def accept(self) -> socket.socket:
        accepted = self._listening.accept()[0]
        accepted.settimeout(0.5)
        self._accepted.append(accepted)
        return accepted

    def close(self) -> None:
        for sock in (self._listening, *self._accepted):
            sock.close()


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("v") / "s")


@pytest.fixture
def server(path: str) -> Iterator[Server]:
    one = Server(path)
    yield one
    one.close()


@pytest.fixture
def process() -> Process:
    one = Process(Kind.VALKEY)
    one.spawned(1, None, 10.0)
    return one


@pytest.fixture
def vitals(path: str, process: Process) -> Iterator[Vitals]:
    one = Vitals(path, process)
    yield one
    process.state = State.GONE
    one.missed()  # closes


def test_its_first_answer_ends_the_start(vitals: Vitals, server: Server, process: Process) -> None:
    assert not vitals.look(10.0)
    theirs = server.accept()
    assert theirs.recv(64) == b"PING\r\n"
    assert not vitals.look(10.01)
    theirs.sendall(b"+PONG\r\n")
    assert vitals.look(10.02)
    process.turn(Event.SERVES)
    assert not vitals.look(10.03)
    assert vitals.due() == float("inf")


def test_one_that_is_not_there_yet_is_looked_for_often_and_after_a_second_less(
    vitals: Vitals, path: str, process: Process
) -> None:
    assert vitals.due() <= 10.0
    assert not vitals.look(10.0)
    assert not vitals.connected
    assert vitals.due() == pytest.approx(10.005)
    assert not vitals.look(11.5)
    assert vitals.due() == float("inf")
    # Each tick asks all the same.
    server = Server(path)
    vitals.missed()
    theirs = server.accept()
    assert theirs.recv(64) == b"PING\r\n"
    theirs.sendall(b"+PONG\r\n")
    assert vitals.look(12.0)
    server.close()


def test_ticks_without_an_answer_are_counted_and_one_question_is_on_its_way(
    vitals: Vitals, server: Server, process: Process
) -> None:
    process.turn(Event.SERVES)
    assert vitals.missed() == 0
    theirs = server.accept()
    assert [vitals.missed() for _ in range(3)] == [1, 2, 3]
    assert theirs.recv(64) == b"PING\r\n"
    theirs.sendall(b"+PONG\r\n")
    vitals.look(10.0)
    assert [vitals.missed() for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("answer", [b"-ERR no\r\n", b"+PONG\r\n+PONG\r\n", b"HTTP/1.1 400\r\n", None])
def test_another_answer_or_none_is_none_and_it_is_asked_anew(
    vitals: Vitals, server: Server, process: Process, answer: bytes | None
) -> None:
    process.turn(Event.SERVES)
    vitals.missed()
    theirs = server.accept()
    theirs.recv(64)
    if answer is None:
        theirs.shutdown(socket.SHUT_RDWR)
    else:
        theirs.sendall(answer)
    vitals.look(10.0)
    assert not vitals.connected
    assert vitals.missed() == 1
    again = server.accept()
    assert again.recv(64) == b"PING\r\n"


def test_a_successor_is_asked_over_a_connection_of_its_own(vitals: Vitals, server: Server, process: Process) -> None:
    process.turn(Event.SERVES)
    vitals.missed()
    server.accept()
    process.died(11.0)
    assert vitals.missed() == 0
    assert not vitals.connected
    process.spawned(2, None, 12.0)
    assert not vitals.look(12.0)
    theirs = server.accept()
    assert theirs.recv(64) == b"PING\r\n"


def test_a_full_socket_of_a_stopped_server_does_not_block(path: str, process: Process) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(0)
        held = []
        for _ in range(4):  # until its queue is full
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            sock.connect_ex(path)
            held.append(sock)
        vitals = Vitals(path, process)
        assert not vitals.look(10.0)
        assert not vitals.connected
        for sock in held:
            sock.close()
    assert Path(path).is_socket()

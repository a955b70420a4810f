from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from bench import tools
from bench.errors import BenchError
from k6.store import Store

if tools.find(tools.STORE) is None:
    pytest.skip("no Valkey is installed", allow_module_level=True)

DELAY_MS = 150


@pytest.fixture(scope="module")
def delayed() -> Iterator[Store]:
    with Store((0,), (0, DELAY_MS)) as one:
        yield one


def ask(url: str, command: str, timeout: float = 5.0) -> tuple[str, float]:
    """The answer, and the seconds it took."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        sock.connect(url.removeprefix("unix://"))
        begin = time.monotonic()
        sock.sendall(f"{command}\r\n".encode())
        return sock.recv(256).decode().strip(), time.monotonic() - begin


def test_answers_are_delayed_by_steps_and_come_whole(delayed: Store) -> None:
    assert ask(delayed.url, "PING")[0] == "+PONG"
    delayed.next_delay()
    answer, took = ask(delayed.url, "ECHO late")
    assert answer == "$4\r\nlate"
    assert took >= DELAY_MS / 1000
    delayed.next_delay()
    assert ask(delayed.url, "PING")[1] < DELAY_MS / 1000  # the first again


def test_a_halted_store_keeps_silent_until_it_goes_on() -> None:
    with Store((0,)) as one:
        one.halt()
        with pytest.raises(TimeoutError):
            ask(one.url, "PING", timeout=0.1)
        one.go_on()
        assert ask(one.url, "PING")[0] == "+PONG"
        one.halt()  # and it can be ended in that state


def test_a_killed_store_comes_back_empty_at_the_same_address() -> None:
    with Store((0,)) as one:
        ask(one.url, "SET x 1")
        one.kill()
        with pytest.raises(OSError):
            ask(one.url, "PING")
        with pytest.raises(BenchError, match="not running"):
            one.halt()
        one.start()
        assert ask(one.url, "DBSIZE")[0] == ":0"
        ask(one.url, "SET x 1")
        one.empty()
        assert ask(one.url, "DBSIZE")[0] == ":0"


def test_a_store_without_a_delay_has_no_next_one() -> None:
    with Store((0,)) as one, pytest.raises(BenchError, match="no delay"):
        one.next_delay()

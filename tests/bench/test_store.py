from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from bench import process, store, tools
from bench.errors import BenchError

INFO = (
    "# Commandstats\r\ncmdstat_evalsha:calls=12,usec=300,usec_per_call=25.00,rejected_calls=0,failed_calls=0\r\n"
    "cmdstat_script|load:calls=1,usec=90\r\ncmdstat_get:calls=24,usec=20\r\ncmdstat_eval:calls=3,usec=20\r\n"
)


def test_commands_of_clients_are_told_from_those_of_scripts() -> None:
    calls = store.parse_calls(INFO)
    assert calls == {"evalsha": 12, "script|load": 1, "get": 24, "eval": 3}
    assert store.scripts(calls) == 15
    assert store.scripts({}) == 0


def scripted(path: Path, answer: bytes) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(100)
            sock.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener


@pytest.mark.parametrize(
    ("answer", "wanted"), [(b"+PONG\r\n", "PONG"), (b"$5\r\nab\r\nc\r\n", "ab\r\nc"), (b"$0\r\n\r\n", "")]
)
def test_answers_are_read(tmp_path: Path, answer: bytes, wanted: str) -> None:
    with scripted(tmp_path / "s", answer):
        assert store.ask(tmp_path / "s", "PING") == wanted


@pytest.mark.parametrize("answer", [b"-LOADING not yet\r\n", b"", b"$five\r\n"])
def test_errors_are_errors(tmp_path: Path, answer: bytes) -> None:
    with scripted(tmp_path / "s", answer), pytest.raises(BenchError, match="PING"):
        store.ask(tmp_path / "s", "PING")


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchError):
        store.ask(tmp_path / "s", "PING")


@pytest.mark.skipif(tools.find(tools.STORE) is None, reason="no Valkey or Redis is installed")
def test_a_real_one_counts_what_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "s"
    started = process.spawn("store", store.argv(path), [0], tmp_path / "log")
    try:
        found = store.Store(started, path)
        process.wait_until("answering", started, found.answers)
        assert found.decisions() == 0
        store.ask(path, "EVAL \"return redis.call('set', 'a', 'b')\" 0")
        assert found.decisions() == 1
        assert found.calls()["set"] == 1
        assert found.url == f"unix://{path}"
        assert found.sample()
    finally:
        process.stop(started)

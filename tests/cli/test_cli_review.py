"""What a reviewer found in the verbs that ask the running gateway; each failed before."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner, Result

from fastgw.cli.main import main
from tests.cli.fake_admin import FakeAdmin, fake_admin

VERBS = (["status"], ["top", "--once"], ["reload"], ["explain", "http://localhost/"])


@pytest.fixture
def fake() -> Iterator[FakeAdmin]:
    with fake_admin() as fake:
        yield fake


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, [*arguments], env=environ)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Whoever asks at this address is told just this."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("body", [b"<html></html>", b"[]", b"{}", b"7"])
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_what_is_no_gateway_is_said_so(fake: FakeAdmin, verb: list[str], body: bytes) -> None:
    """A reload that an unknown server answered with 200 was a success."""
    for call in ("GET /api/status", "GET /api/overview", "GET /readyz", "GET /api/fleet", "POST /api/reload",
                 "POST /api/explain"):  # fmt: skip
        fake.answers[call] = 200, body
    result = run(*verb, "--admin", fake.address)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert f"{fake.address} is no fastgw gateway" in result.output and "--admin ADDRESS" in result.output


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_an_answer_that_is_cut_off_is_none(verb: list[str]) -> None:
    with answering(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"version": 7}') as address:
        result = run(*verb, "--admin", address)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "broke off in the middle of its answer" in result.output


@pytest.mark.parametrize("data", [b"{not json", b"{}", b"[]", b"7"])
def test_a_stream_of_something_else_ends_the_tail_in_words(fake: FakeAdmin, data: bytes) -> None:
    for piece in (b"event: exchange\ndata: " + data + b"\n\n", None):
        fake.pieces.put(piece)
    result = run("tail", "--admin", fake.address)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "is no fastgw gateway" in result.output


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 403 No\r\nConnection: close\r\n\r\n{"detail":"\\u001b]0;owned\\u0007\\nx"}',
        b"\x1b]0;owned\x07 nonsense\r\n",
    ],
    ids=["detail", "status line"],
)
def test_nothing_that_is_told_is_for_the_terminal_to_obey(answer: bytes) -> None:
    with answering(answer) as address:
        result = run("status", "--admin", address, "--token", "t")
    assert result.exit_code == 1
    assert "\x1b" not in result.output and "\x07" not in result.output and "owned" in result.output


@pytest.mark.parametrize("token", ["secret\nline", "secret\r", "sécret", "secret\x00"])
@pytest.mark.parametrize("verb", [["status"], ["tail"], ["reload"]], ids=lambda verb: verb[0])
def test_a_token_that_cannot_be_one_is_said_so_and_not_repeated(verb: list[str], token: str) -> None:
    ways: list[Callable[[], Result]] = [lambda: run(*verb, "--admin", "127.0.0.1:1", "--token", token)]
    if "\x00" not in token:
        ways.append(lambda: run(*verb, "--admin", "127.0.0.1:1", FASTGW_ADMIN_TOKEN=token))
    for way in ways:
        result = way()
        assert result.exit_code == 2 and "the token holds" in result.output
        assert "cret" not in result.output

"""One fetch, against a server that answers whatever bytes a test wants."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import pytest

from fastgw.control.jwks_source import MAX_ANSWER, MAX_KEPT, HttpSource, KeysUnavailable, shown_url
from tests.policy.auth.minting import P256, RSA, jwk

ONE = jwk(P256, kid="one")
GOOD = json.dumps({"keys": [{**ONE, "use": "sig", "x5c": ["AAAA"]}]}).encode()


class Server:
    """Says `answer` to whoever asks; None: nothing, until the peer leaves."""

    def __init__(self) -> None:
        self.answer: bytes | None = b""
        self.asked: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        try:
            if self.answer is None:
                await reader.read()
            else:
                writer.write(self.answer)
                await writer.drain()
        except ConnectionError:
            pass  # the peer had enough
        writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    listening = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = listening.sockets[0].getsockname()[1]
    yield one
    listening.close()


@pytest.fixture
async def source() -> AsyncIterator[HttpSource]:
    one = HttpSource(timeout=5.0)
    yield one
    await one.close()


def http(body: bytes, status: str = "200 OK", *lines: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *lines, "", ""]
    return "\r\n".join(head).encode() + body


async def test_keys_are_fetched_and_reduced(server: Server, source: HttpSource) -> None:
    server.answer = http(GOOD, "200 OK", "Content-Type: text/plain", "Set-Cookie: a=b")
    assert await source.fetch(server.url) == [ONE]
    assert await source.fetch(server.url) == [ONE]
    assert b"cookie" not in server.asked[1].lower()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(GOOD, "500 Oops"), "500"),
        (http(GOOD, "404 Not Found"), "404"),
        (http(GOOD, "203 Non-Authoritative"), "203"),
        (http(b"", "204 No Content"), "204"),
        (http(b"", "302 Found", "Location: http://127.0.0.1:1/x"), "redirects are not followed"),
        (http(b"<html></html>", "200 OK", "Content-Type: text/html"), "not JSON"),
        (http(b""), "not JSON"),
        (http(b"{}"), "no JWKS"),
        (http(b'{"keys": []}'), "no usable key"),
        (http(gzip.compress(GOOD), "200 OK", "Content-Encoding: gzip"), "not JSON"),
        (http(b'{"keys": [' + b" " * MAX_ANSWER), "larger than 256 KB"),
        (http(GOOD)[:-5], "no HTTP answer"),
        (b"", "no HTTP answer"),
        (b"garbage\r\n\r\n", "no HTTP answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, "no HTTP answer"),
    ],
)
async def test_everything_else_is_refused(server: Server, source: HttpSource, answer: bytes, words: str) -> None:
    server.answer = answer
    with pytest.raises(KeysUnavailable, match=words):
        await source.fetch(server.url)
    assert len(server.asked) == 1 or words == "no HTTP answer"


async def test_a_source_that_does_not_answer_costs_its_deadline(server: Server) -> None:
    impatient = HttpSource(timeout=0.05)
    server.answer = None
    with pytest.raises(KeysUnavailable, match=r"within 0\.05 s"):
        await impatient.fetch(server.url)
    await impatient.close()


async def test_nobody_there(server: Server, source: HttpSource) -> None:
    with pytest.raises(KeysUnavailable, match="cannot connect"):
        await source.fetch("http://127.0.0.1:1/jwks")


async def test_what_is_kept_fits_a_message(server: Server, source: HttpSource) -> None:
    server.answer = http(json.dumps({"keys": [jwk(RSA, kid="x" * 2000 + str(n)) for n in range(40)]}).encode())
    keys = await source.fetch(server.url)
    assert 0 < len(json.dumps(keys)) <= MAX_KEPT + 1000


def test_an_address_is_shown_without_secrets() -> None:
    assert shown_url("https://u:hush@id.example.com:8443/a/b?c=hush#d") == "https://id.example.com:8443/a/b"

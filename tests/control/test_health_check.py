"""One check against a server that answers with what the test wrote."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from fastgw.control.health_check import MAX_BODY, MAX_HEAD, Probe, Verdict, check
from fastgw.upstream import tls
from fastgw.upstream.tls_options import UpstreamTlsOptions

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Target:
    """Answers each connection with `answer`, then closes it unless it is to `hold` it."""

    def __init__(self) -> None:
        self.answer = OK
        self.hold = False
        self.asked: list[bytes] = []
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            if self.hold:
                await reader.read()  # until the other side is gone
        except OSError:
            pass  # it is gone the hard way
        finally:
            writer.close()
            self.ended.set()


Ask = Callable[..., Awaitable[Verdict]]


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    yield Target()


@pytest.fixture
async def ask(target: Target) -> AsyncIterator[Ask]:
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def made(**more: Any) -> Verdict:
        plain = {"address": "127.0.0.1", "port": port, "unix_path": "", "host_field": b"svc:81", "path": "/up?x=1"}
        return await check(Probe(**{**plain, "timeout": 5.0, "statuses": (200,), **more}))

    yield made
    server.close()


async def test_a_check_is_one_plain_get_and_the_connection_ends(target: Target, ask: Ask) -> None:
    assert await ask() == Verdict(True, "answered 200")
    assert target.asked == [
        b"GET /up?x=1 HTTP/1.1\r\nHost: svc:81\r\nUser-Agent: fastgw-health\r\nAccept: */*\r\n"
        b"Connection: close\r\n\r\n"
    ]
    await target.ended.wait()


@pytest.mark.parametrize(("status", "good"), [(200, True), (204, True), (503, False), (302, False)])
async def test_the_status_decides_and_no_redirect_is_followed(
    target: Target, ask: Ask, status: int, good: bool
) -> None:
    target.answer = b"HTTP/1.1 %d X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status
    assert await ask(statuses=(200, 204)) == Verdict(good, f"answered {status}")
    assert len(target.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_every_framing_is_understood(target: Target, ask: Ask, answer: bytes) -> None:
    target.answer = answer
    assert await ask() == Verdict(True, "answered 200")


@pytest.mark.parametrize(
    "answer",
    [OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
)
async def test_a_target_that_keeps_the_connection_open_has_answered(
    target: Target, ask: Ask, answer: bytes
) -> None:
    target.answer, target.hold = answer, True
    assert await ask() == Verdict(True, "answered 200")
    await target.ended.wait()  # we left, and it noticed


async def test_no_more_of_a_body_is_read_than_a_check_needs(target: Target, ask: Ask) -> None:
    target.hold = True
    target.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * MAX_BODY
    assert await ask() == Verdict(True, "answered 200")
    target.answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * MAX_BODY
    assert await ask() == Verdict(True, "answered 200")


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"", "ended the connection"),
        (b"HTTP/1.1 200 OK\r\n", "ended the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "ended the connection"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 * MAX_HEAD) + b"\r\n\r\n", "head of more than"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 100, "ended the connection"),
    ],
)
async def test_what_is_no_whole_answer_is_a_failure(target: Target, ask: Ask, answer: bytes, word: str) -> None:
    target.answer = answer
    verdict = await ask()
    assert not verdict.good and word in verdict.cause


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"])
async def test_a_stall_is_a_failure_when_the_time_is_over(target: Target, ask: Ask, answer: bytes) -> None:
    target.answer, target.hold = answer, True
    assert await ask(timeout=0.05) == Verdict(False, "no answer within 0.05 s")
    await target.ended.wait()


async def test_a_refused_connection_is_a_failure(ask: Ask, free_port: int) -> None:
    verdict = await ask(port=free_port)
    assert not verdict.good and "refused" in verdict.cause


async def test_a_unix_socket_is_asked_too(target: Target, tmp_path: Path, ask: Ask) -> None:
    path = str(tmp_path / "up.sock")
    assert not (await ask(unix_path=path, address="")).good  # nobody there
    server = await asyncio.start_unix_server(target.serve, path)
    assert await ask(unix_path=path, address="") == Verdict(True, "answered 200")
    server.close()


async def test_a_secure_target_must_prove_its_name(target: Target, ask: Ask) -> None:
    authority = trustme.CA()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("svc.example").configure_cert(served)
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0, ssl=served)
    port = server.sockets[0].getsockname()[1]
    context = tls.client_context(UpstreamTlsOptions(ca=authority.cert_pem.bytes().decode()))
    assert await ask(port=port, context=context, server_name="svc.example") == Verdict(True, "answered 200")
    verdict = await ask(port=port, context=context, server_name="other.example")
    assert verdict == Verdict(False, "the target's certificate is for another name")
    verdict = await ask(port=port, context=tls.client_context(None), server_name="svc.example")
    assert verdict == Verdict(False, "the target's certificate is not trusted")
    # A plain server where TLS was expected.
    verdict = await ask(context=context, server_name="svc.example", timeout=0.5)
    assert not verdict.good
    server.close()

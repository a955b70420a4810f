"""What is no HTTP request at all, over a raw connection."""

import asyncio
import json

import pytest

from tests.control.harness import Gateway


async def say(gateway: Gateway, data: bytes) -> tuple[dict[str, str], bytes]:
    """Everything that comes until the gateway closes: head and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(data)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return {"status": lines[0], **dict(line.split(": ", 1) for line in lines[1:])}, body


@pytest.mark.parametrize(
    "data",
    [
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: \0\r\n\r\n",
        b"\x16\x03\x01 a TLS hello\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["nul", "tls", "long", "ambiguous"],
)  # fmt: skip
async def test_what_cannot_be_read_is_refused_in_our_words(gateway: Gateway, data: bytes) -> None:
    head, body = await say(gateway, data)
    refusal = json.loads(body)
    assert head["status"].split()[1] == "400"
    assert head["Content-Type"].startswith("application/problem+json")
    assert (refusal["status"], refusal["reason"], refusal["detail"]) == (400, "bad_request", "The request is malformed")
    assert (head["Server"], head["Cache-Control"], head["X-Content-Type-Options"]) == ("fastgw", "no-store", "nosniff")
    # Nobody fills the log by sending nonsense.
    assert not any("malformed" in line or "failed" in line for line in gateway.log.lines())

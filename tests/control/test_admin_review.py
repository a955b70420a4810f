"""What a reviewer found in the admin API; each failed before."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from tests.control.harness import Gateway

SECRET = "sUp3r-secret-0123456789-0123456789"
ANY = {"If-Match": "*"}
ROUTE = {"match": {"path": "/new"}, "reply": {"status": 204}}


async def raw(gateway: Gateway, head: str, body: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(head.replace("\n", "\r\n").encode() + b"Connection: close\r\n\r\n" + body)
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://evil.example/api/config", 403),
        ("https://evil.example:1/", 403),
        ("HTTP://evil.example/assets/app.js", 403),
        ("http://localhost@evil.example/api/config", 403),
        ("http://localhost/api/config", 200),
    ],
)
async def test_a_target_in_absolute_form_names_its_host_itself(
    gateway: Gateway, client: aiohttp.ClientSession, target: str, status: int
) -> None:
    answer = await raw(gateway, f"GET {target} HTTP/1.1\nHost: localhost\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer


async def test_nobody_is_asked_for_a_body_that_is_refused_anyway(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    body = json.dumps(ROUTE).encode()
    fields = f"Expect: 100-continue\nContent-Type: application/json\nIf-Match: *\nContent-Length: {len(body)}\n"
    answer = await raw(gateway, f"PUT /api/routes/new HTTP/1.1\nHost: evil.example\n{fields}", body)
    assert answer.startswith(b"HTTP/1.1 403 ")
    answer = await raw(gateway, f"PUT /api/routes/new HTTP/1.1\nHost: localhost\n{fields}", body)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 ")


async def test_what_is_expected_beyond_that_is_passed_over(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    """aiohttp itself would answer in plain text, before the rules of admission."""
    answer = await raw(gateway, "GET /api/config HTTP/1.1\nHost: evil.example\nExpect: miracles\n")
    assert answer.startswith(b"HTTP/1.1 403 ") and b"host_not_allowed" in answer
    answer = await raw(gateway, "GET /livez HTTP/1.1\nHost: localhost\nExpect: miracles\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("coding", ["snappy", "gzip, gzip", "x-gzip"])
async def test_a_coding_that_is_not_undone_is_refused(client: aiohttp.ClientSession, coding: str) -> None:
    fields = {**ANY, "Content-Type": "application/json", "Content-Encoding": coding}
    async with client.put("/api/routes/new", data=json.dumps(ROUTE).encode(), headers=fields) as answer:
        assert (answer.status, answer.headers["Accept-Encoding"]) == (415, "gzip, deflate")


async def test_a_tag_is_compared_as_it_is_written(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    for tag, status in ((f'"0{gateway.version}"', 412), (f'"{gateway.version}"', 201)):
        answer = await client.put("/api/routes/new", json=ROUTE, headers={"If-Match": tag})
        assert (tag, answer.status) == (tag, status)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("redis", f"redis://user:{SECRET}@127.0.0.1:6379"),  # the URL where its block belongs
        ("redis", {"url": [f"redis://user:{SECRET}@127.0.0.1"]}),
        ("store", f"redis://user:{SECRET}@127.0.0.1:6379"),
        ("admin", SECRET),
        ("issuers", {"main": SECRET}),
        ("consumers", [{"name": "acme", "keys": SECRET}]),
        ("consumers", SECRET),
    ],
)
async def test_a_secret_in_a_wrong_place_is_in_no_answer_and_no_log(
    gateway: Gateway, client: aiohttp.ClientSession, key: str, value: object
) -> None:
    document = await (await client.get("/api/config")).json()
    answer = await client.put("/api/config", json={**document, key: value}, headers=ANY)
    text = await answer.text()
    assert answer.status == 422 and f'"path":"{key}' in text
    said = "\n".join(gateway.log.lines())
    assert '"outcome":"refused"' in said
    assert SECRET not in text and SECRET not in said

"""How a request is read: bodies that are too large, too slow or packed, and kinds of content."""

import asyncio
import gzip
import io
import json

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from fastgw.control.endpoints import SMALL, Body, Unacceptable
from fastgw.control.reading import read_body
from tests.control.harness import Gateway
from tests.control.test_api import problem

ANY = {"If-Match": "*", "Content-Type": "application/json"}
ROUTE = {"match": {"path": "/new/*"}, "upstream": "orders"}


def padded(size: int) -> bytes:
    text = json.dumps(ROUTE).encode()
    return text + b" " * (size - len(text))


async def pieces(data: bytes):  # type: ignore[no-untyped-def]  # chunked: no length is announced
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


async def test_bodies_of_parts_are_bounded(client: aiohttp.ClientSession) -> None:
    for size, status in ((SMALL, 201), (SMALL + 1, 413)):
        answer = await client.put("/api/routes/new", data=io.BytesIO(padded(size)), headers=ANY)
        assert answer.status == status
    answer = await client.put("/api/routes/new", data=pieces(padded(SMALL + 1)), headers=ANY)
    assert (answer.status, (await problem(answer))["reason"]) == (413, "body_too_large")
    answer = await client.put("/api/routes/new", data=pieces(padded(SMALL)), headers=ANY)
    assert answer.status == 200


async def test_a_whole_document_may_be_larger(client: aiohttp.ClientSession) -> None:
    document = await (await client.get("/api/config")).read()
    answer = await client.put("/api/config", data=pieces(document + b" " * 2 * SMALL), headers=ANY)
    assert answer.status == 200


async def test_a_body_counts_as_it_is_unpacked(client: aiohttp.ClientSession) -> None:
    packed = {**ANY, "Content-Encoding": "gzip"}
    answer = await client.put("/api/routes/new", data=gzip.compress(padded(1000)), headers=packed)
    assert answer.status == 201
    answer = await client.put("/api/routes/new", data=gzip.compress(b" " * 4 * SMALL), headers=packed)
    assert answer.status == 413


HEAD = b"PUT /api/routes/new HTTP/1.1\r\nHost: 127.0.0.1\r\nIf-Match: *\r\nContent-Type: application/json\r\n"
BROKEN = [
    b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nxxxxx",
    b"Content-Encoding: deflate\r\nContent-Length: 5\r\n\r\nxxxxx",
    b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + gzip.compress(b"{}" * 9)[:20],
    b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nxx\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
]


async def test_a_body_that_is_broken_is_400(gateway: Gateway) -> None:
    for rest in BROKEN:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(HEAD + rest)
        async with asyncio.timeout(5):
            assert (await reader.readline()).split()[1] == b"400", rest
        writer.close()
    assert not any("failed" in line for line in gateway.log.lines())


async def test_who_goes_away_in_the_middle_is_no_failure(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    for reset in (False, True):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: 50\r\n\r\n{")
        assert b"100" in await reader.readline()  # it waits for the rest
        if reset:
            writer.transport.abort()
        else:
            writer.close()
    for _ in range(3):
        assert (await client.get("/livez")).status == 200
    assert not any("failed" in line or "Traceback" in line for line in gateway.log.lines())


async def test_a_body_that_is_announced_too_large_is_not_read(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"PUT /api/config HTTP/1.1\r\nHost: 127.0.0.1\r\nIf-Match: *\r\nContent-Type: application/json\r\n"
                 b"Content-Length: 99999999999\r\n\r\n")  # fmt: skip
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    refused: list[Unacceptable] = []

    async def impatient(request: web.Request) -> web.Response:
        try:
            await read_body(request, Body({}), patience=0.01)
        except Unacceptable as error:
            refused.append(error)
        return web.Response()

    app = web.Application()
    app.router.add_put("/", impatient)
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n{")
        async with asyncio.timeout(5):
            await reader.readline()
        writer.close()
    assert [(each.status, each.reason) for each in refused] == [(408, "body_timeout")]


async def test_kinds_of_content(client: aiohttp.ClientSession) -> None:
    body = json.dumps(ROUTE).encode()
    for kind, status in (
        ("application/json", 201),
        ("Application/JSON; charset=UTF-8", 200),
        ("application/merge-patch+json", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
        ("", 415),
    ):
        answer = await client.put("/api/routes/new", data=body, headers={"If-Match": "*", "Content-Type": kind})
        assert (kind, answer.status) == (kind, status)
    for kind, status in (("application/merge-patch+json", 200), ("application/json", 200), ("text/plain", 415)):
        answer = await client.patch("/api/routes/new", data=b"{}", headers={"If-Match": "*", "Content-Type": kind})
        assert (kind, answer.status) == (kind, status)


async def test_delete_needs_no_kind_where_it_has_no_body(client: aiohttp.ClientSession) -> None:
    await client.put("/api/routes/new", json=ROUTE, headers={"If-Match": "*"})
    answer = await client.delete("/api/routes/new", data=b"x", headers={"If-Match": "*", "Content-Type": "text/plain"})
    assert answer.status == 415
    assert (await client.delete("/api/routes/new", headers={"If-Match": "*"})).status == 200



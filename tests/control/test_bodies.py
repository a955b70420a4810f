"""Bodies that are too large, too slow, broken or packed."""

import asyncio
import gzip
import io
import json

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from fastgw.control.bodies import Bodies
from fastgw.control.endpoints import SMALL, Body, Unacceptable
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


class Served:
    """An application that does nothing but read bodies, by rules that a test can wait for."""

    def __init__(self, bodies: Bodies, body: Body) -> None:
        self.bodies = bodies
        self.body = body
        self.refused: list[Unacceptable] = []
        self.go_on = asyncio.Event()
        self.read = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        try:
            async with self.bodies.of(request, self.body):
                self.read.set()
                await self.go_on.wait()
        except Unacceptable as error:
            self.refused.append(error)
        return web.Response()

    def server(self) -> TestServer:
        app = web.Application()
        app.router.add_put("/", self.handle)
        return TestServer(app)


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    served = Served(Bodies(patience=0.01), Body({}))
    async with served.server() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n{")
        async with asyncio.timeout(5):
            await reader.readline()
        writer.close()
    assert [(each.status, each.reason) for each in served.refused] == [(408, "body_timeout")]


async def test_all_together_are_bounded_until_they_are_answered() -> None:
    served = Served(Bodies(together=10), Body({}))
    async with served.server() as server, aiohttp.ClientSession(server.make_url("/")) as client:
        for _ in range(2):  # what was held is given back, by what was refused too
            first = asyncio.ensure_future(client.put("/", data=b'"123456"'))
            await served.read.wait()
            await client.put("/", data=b'"1"')
            await client.put("/", data=b"{")
            served.go_on.set()
            await first
            await client.put("/", data=b'"123456"')
            served.read.clear()
            served.go_on.clear()
    assert [(each.status, each.reason) for each in served.refused] == [(503, "overloaded"), (400, "bad_request")] * 2

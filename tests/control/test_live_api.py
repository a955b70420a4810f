"""GET /api/tail and /api/overview over a control process whose worker is the test."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from fastgw.control.live import MOST_WATCHERS
from fastgw.ipc import messages
from tests.control.harness import Gateway
from tests.control.test_api import problem
from tests.control.test_process import Worker

LINE = {"route": "orders", "reason": "ok", "status": 200, "duration_ms": 1.5}


@pytest.fixture
async def worker(gateway: Gateway) -> AsyncIterator[Worker]:
    made = Worker(gateway, 0, gateway.version, gateway.document.hash)
    await made.heard("addresses")
    yield made
    made.channel.close()


async def event(stream: aiohttp.ClientResponse) -> tuple[str, Any]:
    """The next one that is no comment."""
    async with asyncio.timeout(10):
        while True:
            lines = [(await stream.content.readline()).decode().rstrip("\n")]
            while lines[-1]:
                lines.append((await stream.content.readline()).decode().rstrip("\n"))
            fields = dict(line.split(": ", 1) for line in lines if line and not line.startswith(":"))
            if fields:
                return fields["event"], orjson.loads(fields["data"])


def live(*lines: dict[str, Any], missed: int = 0, notices: tuple[str, ...] = ()) -> Any:
    return messages.live([orjson.dumps(line).decode() for line in lines], missed, list(notices))


async def test_exchanges_of_a_worker_are_seen_by_who_looks_on(worker: Worker, client: aiohttp.ClientSession) -> None:
    async with client.get("/api/tail") as stream:
        assert (stream.status, stream.content_type) == (200, "text/event-stream")
        assert stream.headers["Cache-Control"] == "no-store"
        assert (await worker.heard("watch")).message["condition"] is not None
        worker.channel.send(live(LINE, missed=3, notices=("breaker of orders opened",)))
        assert await event(stream) == ("exchange", LINE)
        seen = dict([await event(stream), await event(stream)])
        assert seen == {
            "missed": {"worker": 0, "lines": 3},
            "notice": {"worker": 0, "text": "breaker of orders opened"},
        }
    # It has gone, and the workers are told at once that nobody looks.
    assert (await worker.heard("watch")).message["condition"] is None


async def test_filters(worker: Worker, client: aiohttp.ClientSession) -> None:
    async with client.get("/api/tail?status=5xx&status=404&route=orders") as stream:
        await worker.heard("watch")
        elsewhere = {**LINE, "status": 503, "route": "x"}
        worker.channel.send(live(LINE, {**LINE, "status": 404}, elsewhere, {**LINE, "status": 500}))
        assert [(await event(stream))[1]["status"] for _ in range(2)] == [404, 500]


async def test_filters_that_are_wrong_are_all_named(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/api/tail?status=9&reason=okay&slower=fast")
    refusal = await problem(answer)
    assert (answer.status, refusal["reason"]) == (422, "invalid_query")
    assert {error["path"] for error in refusal["errors"]} == {"query.status", "query.reason", "query.slower"}
    answer = await client.get("/api/tail?colour=red")
    assert [error["path"] for error in (await problem(answer))["errors"]] == ["query.colour"]


async def test_head_ends(client: aiohttp.ClientSession) -> None:
    answer = await client.head("/api/tail")
    assert (answer.status, answer.content_type, await answer.read()) == (200, "text/event-stream", b"")


async def test_there_is_a_bound_to_who_may_look_on(gateway: Gateway) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{gateway.port}", connector=connector) as many:
        streams = [await many.get("/api/tail") for _ in range(MOST_WATCHERS)]
        answer = await many.get("/api/tail")
        assert (answer.status, (await problem(answer))["reason"]) == (503, "overloaded")
        assert answer.headers["Retry-After"]
        streams.pop().close()
        async with asyncio.timeout(10):
            while (answer := await many.get("/api/tail")).status != 200:
                answer.close()
        answer.close()
        for stream in streams:
            stream.close()


async def test_what_control_says_is_seen_too(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    async with client.get("/api/tail") as stream:
        await stream.content.readline()
        await client.patch("/api/routes/orders", json={"max_body": "1KB"}, headers={"If-Match": "*"})
        name, notice = await event(stream)
        assert (name, notice["worker"]) == ("notice", None) and notice["text"]


async def test_the_stream_ends_with_the_gateway(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    stream = await client.get("/api/tail")
    gateway.supervisor.close()
    async with asyncio.timeout(5):
        assert (await stream.content.read()).startswith(b":")


async def test_overview(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    body = await (await client.get("/api/overview")).json()
    assert body["version"] == gateway.version and body["interval_s"] == 2
    assert isinstance(body["points"], list) and isinstance(body["routes"], list)

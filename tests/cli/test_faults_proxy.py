"""The faulty proxy: bytes pass as they are, unless it was told otherwise."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from fastgw.cli.faults.group import Faults
from fastgw.cli.faults.orders import OrderError
from fastgw.cli.faults.proxy import Proxy
from fastgw.cli.faults.upstream import Upstream
from tests.support.raw_async import SOON, Client, silent


@pytest.fixture
async def proxy(faults: Faults, target: Upstream) -> Proxy:
    return faults.proxy(target, "p")


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Client]:
    client = await Client.to(proxy.door.address[1])
    yield client
    await client.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[str, int]]:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write(b"END")
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()


async def test_requests_pass_and_are_counted_as_turns(client, proxy, target):
    assert (await client.ask("POST", "/x", b"12345"))["bytes"] == 5
    assert (await client.ask())["target"] == "a"
    counts = proxy.as_json()
    assert (counts["requests"], counts["answered"], counts["connections"], counts["open"]) == (2, 2, 1, 1)


async def test_much_in_both_directions_and_a_half_close(faults, echo):
    client = await Client.to(faults.proxy(echo).door.address[1])
    sent = random.Random(1).randbytes(8_000_000)

    async def send() -> None:
        client.writer.write(sent)
        await client.writer.drain()
        client.writer.write_eof()

    sending = asyncio.create_task(send())
    assert await client.rest() == sent + b"END"
    await sending
    await client.close()


async def test_a_side_that_does_not_read_stops_the_other(faults, echo):
    proxy = faults.proxy(echo)
    client = await Client.to(proxy.door.address[1])
    client.writer.transport.set_write_buffer_limits(high=65536)
    client.writer.transport.pause_reading()
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 200_000_000:
            client.writer.write(b"x" * 65536)
            sent += 65536
            await asyncio.wait_for(client.writer.drain(), 0.2)
    client.writer.transport.abort()


async def test_delay_keeps_the_order(faults, echo):
    proxy = faults.proxy(echo)
    proxy.tell(mode="delay", ms=30)
    client = await Client.to(proxy.door.address[1])
    before = proxy.loop.time()
    sent = random.Random(2).randbytes(3_000_000)
    client.writer.write(sent)
    client.writer.write_eof()
    assert await client.rest() == sent + b"END"
    assert proxy.loop.time() - before >= 0.03
    await client.close()


async def test_stall_towards_the_client_delivers_the_request(client, proxy, target):
    proxy.tell(mode="stall")
    client.send()
    assert await silent(client)
    assert target.counts.requests == 1
    # Who gives up is let go, and so is the target.
    await client.close()
    await gone(proxy, target)


async def test_stall_towards_the_target_delivers_nothing(client, proxy, target):
    proxy.tell(mode="stall", toward="up")
    client.send()
    assert await silent(client)
    assert target.counts.requests == 0
    await client.close()
    await gone(proxy, target)


async def gone(*services: Proxy | Upstream) -> None:
    async with asyncio.timeout(SOON):
        while any(each.connections for each in services):  # noqa: ASYNC110 (nobody tells a test of an end)
            await asyncio.sleep(0.001)


async def test_cut_at_random_points_of_either_way_and_the_same_again(faults, target):
    async def fates(port: int, proxy: Proxy, seed: int) -> list[int]:
        proxy.tell(mode="cut", within=300, seed=seed)
        found = []
        for _ in range(40):
            before = target.counts.requests
            client = await Client.to(port)
            client.send("POST", "/x", b"1" * 100, Connection="close")
            got = len(await client.rest())
            await client.close()
            await gone(target)
            assert target.counts.requests - before <= 1
            found.append(got if target.counts.requests > before else -1)
        return found

    proxy = faults.proxy(target, "p")
    first = await fates(proxy.door.address[1], proxy, 5)
    assert first.count(-1) > 3  # before the target had the head
    assert len(set(first)) > 8  # and at many points of the answer
    assert await fates(proxy.door.address[1], proxy, 5) == first


async def test_cut_by_a_reset(client, proxy):
    proxy.tell(mode="cut", how="reset", within=1, toward="down")
    client.send()
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_a_cut_beyond_the_turn_meets_nobody_and_the_next_turn_draws_again(client, proxy):
    proxy.tell(mode="cut", within=2**30, seed=1)
    for _ in range(10):
        assert (await client.ask())["target"] == "a"


async def test_halve(client, proxy):
    proxy.tell(mode="halve")
    client.send()
    got = await client.rest()
    assert got.startswith(b"HTTP/1.1 200")
    assert not got.endswith(b"}\n")


async def test_drip(faults, echo):
    proxy = faults.proxy(echo)
    proxy.tell(mode="drip", interval=0.001)
    client = await Client.to(proxy.door.address[1])
    before = proxy.loop.time()
    client.writer.write(b"0123456789" * 3)
    client.writer.write_eof()
    assert len(await asyncio.wait_for(client.reader.read(100), SOON)) < 30
    rest = await client.rest()
    assert rest.endswith(b"9END")
    assert proxy.loop.time() - before >= 0.03
    await client.close()


async def test_garbage(client, proxy):
    proxy.tell(mode="garbage")
    client.send()
    got = await client.rest()
    assert len(got) == 64
    assert not got.startswith(b"HTTP")


async def test_garbage_towards_the_target(client, proxy, target):
    proxy.tell(mode="garbage", toward="up")
    client.send()
    await client.rest()
    assert target.counts.requests == 0


async def test_refuse_and_recover(client, proxy):
    await client.ask()
    proxy.tell(mode="refuse")
    with pytest.raises(ConnectionResetError):
        await client.rest()
    with pytest.raises(ConnectionRefusedError):
        await Client.to(proxy.door.address[1])
    proxy.tell(mode="ok")
    again = await Client.to(proxy.door.address[1])
    assert (await again.ask())["target"] == "a"
    await again.close()


async def test_a_black_hole_gives_back_what_was_on_its_way(client, proxy):
    await client.ask()
    proxy.tell(mode="blackhole")
    client.send("GET", "/late")
    assert await silent(client)
    proxy.tell(mode="ok")
    assert (await client.answer())[2]["path"] == "/late"


async def test_the_share_of_those_it_meets(client, proxy):
    proxy.tell(mode="delay", ms=0, share=0.5)
    for _ in range(100):
        await client.ask()
    assert 30 < proxy.counts.faults["delay"] < 70


async def test_a_target_that_is_dead_or_resets_is_passed_on(client, proxy, target):
    target.tell(mode="cut", how="reset")
    client.send()
    with pytest.raises(ConnectionResetError):
        await client.rest()
    target.tell(mode="refuse")
    second = await Client.to(proxy.door.address[1])
    with pytest.raises(ConnectionResetError):
        await second.rest()
    await second.close()
    await gone(proxy)


@pytest.mark.parametrize("mode", ["status", "fail_rate"])
async def test_it_knows_bytes_only(proxy, mode):
    with pytest.raises(OrderError, match="bytes only"):
        proxy.tell(mode=mode)


async def test_it_is_told_on_a_port_of_its_neighbour(faults, proxy, target):
    neighbour = await Client.to(target.door.address[1])
    shown = await neighbour.ask("PUT", "/_fault/p", b'{"mode": "cut", "seed": 9}')
    assert (shown["target"], shown["toward"], shown["within"]) == ("p", "random", 512)
    neighbour.send("PUT", "/_fault/p", b'{"mode": "status"}')
    assert (await neighbour.answer())[0] == 422
    await neighbour.close()


async def test_two_of_one_name_are_an_error(faults, proxy):
    with pytest.raises(ValueError, match="two are named p"):
        faults.upstream("p")

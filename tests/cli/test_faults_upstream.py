"""The faulty upstream: each mode as a client sees it, what it counts, and how it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from fastgw.cli.faults.upstream import Upstream
from tests.support.raw_async import SOON, Client, silent


@pytest.fixture
async def client(target: Upstream) -> AsyncIterator[Client]:
    client = await Client.to(target.door.address[1])
    yield client
    await client.close()


async def test_it_answers_with_its_name_and_keeps_the_connection(client, target):
    assert await client.ask("POST", "/p?q=1", b"12345") == {
        "target": "a", "method": "POST", "path": "/p?q=1", "bytes": 5,
    }  # fmt: skip
    client.send("GET", "/y")
    status, fields, body = await client.answer()
    assert (status, fields["x-target"], body["path"]) == (200, "a", "/y")
    counts = target.as_json()
    assert (counts["requests"], counts["answered"], counts["connections"]) == (2, 2, 1)
    assert counts["methods"] == {"POST": 1, "GET": 1}


async def test_chunks_and_early_requests_and_heads_without_bodies(client):
    chunked = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"
    whole = chunked + b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
    for size in (1, 7, len(whole)):
        for at in range(0, len(whole), size):
            client.writer.write(whole[at : at + size])
            if size > 1:
                await asyncio.sleep(0)
        assert (await client.answer())[2]["bytes"] == 13
        assert (await client.answer())[2]["path"] == "/second"
    client.send("HEAD")
    head = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), SOON)
    assert b"Content-Length: 5" in head
    assert (await client.ask("GET", "/after"))["path"] == "/after"


async def test_close_is_kept(client):
    client.send("GET", "/x", Connection="close")
    assert (await client.answer())[0] == 200
    assert await client.rest() == b""


@pytest.mark.parametrize(
    "text",
    [b"nonsense\r\n\r\n", b"GET / HTTP/2\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
     b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"a" * 70_000],
)  # fmt: skip
async def test_what_is_no_request_gets_400_and_the_end(client, text):
    client.writer.write(text)
    assert (await client.answer())[0] == 400
    assert await client.rest() == b""


async def test_delay(client, target):
    target.tell(mode="delay", ms=50)
    before = target.loop.time()
    await client.ask()
    assert target.loop.time() - before >= 0.05


async def test_stall_reads_and_never_answers(client, target):
    target.tell(mode="stall")
    client.send("POST", "/x", b"1" * 500_000)
    other = await Client.to(target.door.address[1])
    # Control answers whatever the mode.
    while not (await other.ask("GET", "/_fault"))["faults"]:
        pass
    target.tell(mode="ok")
    assert (await other.ask())["target"] == "a"
    assert await silent(client)
    await other.close()


@pytest.mark.parametrize("at", ["head", "read"])
async def test_cut_before_the_answer(client, target, at):
    target.tell(mode="cut", at=at)
    client.send("POST")
    assert await client.rest() == b""
    assert target.as_json()["faults"] == {"cut": 1}
    assert target.as_json()["requests"] == 1
    assert target.as_json()["answered"] == 0


async def test_cut_at_the_head_does_not_wait_for_the_body(client, target):
    target.tell(mode="cut", at="head")
    client.writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
    assert await client.rest() == b""


async def test_cut_by_a_reset(client, target):
    target.tell(mode="cut", how="reset")
    client.send()
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_cut_within_the_answer(target):
    lengths = set()
    target.tell(mode="cut", at="answer", seed=3)
    for _ in range(20):
        client = await Client.to(target.door.address[1])
        client.send()
        lengths.add(len(await client.rest()))
        await client.close()
    assert len(lengths) > 5
    assert max(lengths) < 200


async def test_halve(client, target):
    target.tell(mode="halve")
    client.send()
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    size = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
    assert len(body) == size // 2


@pytest.mark.parametrize("at", ["body", "head"])
async def test_drip(client, target, at):
    target.tell(mode="drip", interval=0.002, at=at)
    client.send()
    first = await asyncio.wait_for(client.reader.read(65536), SOON)
    assert len(first) < 3 if at == "head" else first.startswith(b"HTTP/1.1 200")
    rest = b""
    while not rest.endswith(b"}\n"):
        rest += await asyncio.wait_for(client.reader.read(65536), SOON)
    target.tell(mode="ok")
    assert (await client.ask("GET", "/after"))["path"] == "/after"


async def test_garbage(client, target):
    target.tell(mode="garbage")
    client.send()
    got = await client.rest()
    assert len(got) == 64
    assert not got.startswith(b"HTTP")


async def test_status_with_retry_after(client, target):
    target.tell(mode="status", status=429, retry_after=7)
    client.send()
    status, fields, _ = await client.answer()
    assert (status, fields["retry-after"]) == (429, "7")


async def test_fail_rate_is_half_of_them_and_the_same_half_each_time(client, target):
    async def statuses(seed: int) -> list[int]:
        target.tell(mode="fail_rate", seed=seed)
        found = []
        for _ in range(40):
            client.send()
            found.append((await client.answer())[0])
        return found

    first = await statuses(1)
    assert 8 < first.count(500) < 32
    assert await statuses(1) == first
    assert await statuses(2) != first


async def test_refuse_resets_who_is_there_refuses_who_comes_and_opens_at_the_same_port(client, target):
    await client.ask()
    port = target.door.address[1]
    target.tell(mode="refuse")
    with pytest.raises(ConnectionResetError):
        await client.rest()
    with pytest.raises(ConnectionRefusedError):
        await Client.to(port)
    target.tell(mode="ok")
    again = await Client.to(port)
    assert (await again.ask())["target"] == "a"
    await again.close()


async def test_refuse_with_a_share_resets_some_at_once(target):
    target.tell(mode="refuse", share=0.5)
    fates = []
    for _ in range(30):
        client = await Client.to(target.door.address[1])
        client.send()
        try:
            await client.answer()
            fates.append(True)
        except (ConnectionError, asyncio.IncompleteReadError):
            fates.append(False)
        await client.close()
    assert 5 < fates.count(True) < 25


async def test_a_black_hole_answers_no_syn_and_gives_back_what_was_on_its_way(client, target):
    await client.ask()
    port = target.door.address[1]
    target.tell(mode="blackhole")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 0.2)
    client.send("GET", "/late")
    assert await silent(client)
    target.tell(mode="ok")
    assert (await client.answer())[2]["path"] == "/late"
    again = await Client.to(port)
    assert (await again.ask())["target"] == "a"
    await again.close()


async def test_an_order_ends_by_itself_and_a_new_one_replaces_it(client, target):
    target.tell(mode="refuse", seconds=0.05)
    await behind(0.05)
    assert target.door.state == "open"
    assert target.as_json()["mode"] == "ok"
    target.tell(mode="status", seconds=0.02)
    target.tell(mode="status", status=500)
    await behind(0.02)
    assert target.as_json()["status"] == 500


async def behind(seconds: float) -> None:
    """Until a timer of the loop has fired that is due just after one that was set for so long."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds + 0.01, over.set)
    async with asyncio.timeout(SOON):
        await over.wait()


async def test_health_checks_are_counted_apart_and_may_be_spared(client, target):
    target.tell(mode="status", checks=False)
    client.send("GET", "/healthz")
    assert (await client.answer())[0] == 200
    client.send("GET", "/any", User_Agent="fastgw-health")
    assert (await client.answer())[0] == 200
    client.send()
    assert (await client.answer())[0] == 503
    shown = target.as_json()
    assert (shown["health_checks"], shown["checks"], shown["requests"]) == (2, False, 1)
    target.tell(mode="status")
    client.send("GET", "/healthz")
    assert (await client.answer())[0] == 503


async def test_seconds_since_the_order_are_counted_one_by_one(client, target):
    target.tell(mode="ok")
    await client.ask()
    await client.ask()
    assert sum(target.as_json()["seconds"]) == 2


async def test_what_is_delivered_twice_is_seen_across_targets(faults, client, target):
    other = faults.upstream("b")
    second = await Client.to(other.door.address[1])
    target.tell(mode="cut")
    client.send("POST", "/x", X_Test_Id="one")
    await client.rest()
    assert faults.deliveries.as_json() == {"ids": 1, "doubles": {}, "examples": []}
    await second.ask("POST", "/x", X_Test_Id="one")
    await second.ask("GET", "/x", X_Test_Id="two")
    assert faults.deliveries.as_json() == {"ids": 2, "doubles": {"POST": 1}, "examples": ["POST one"]}
    await second.close()


async def test_it_is_told_by_http_on_any_port_of_the_process(faults, client, target):
    faults.upstream("b")
    host, _, port = faults.control().rpartition(":")
    assert host == "127.0.0.1"
    control = await Client.to(int(port))
    shown = await client.ask("PUT", "/_fault", b'{"mode": "stall", "for": 60, "share": 0.25, "seed": 4}')
    assert (shown["mode"], shown["for"], shown["share"], shown["seed"]) == ("stall", 60, 0.25, 4)
    assert (await client.ask("POST", "/_fault/b", b'{"mode": "garbage"}'))["target"] == "b"
    both = (await control.ask("GET", "/_fault"))["targets"]
    assert {name: one["mode"] for name, one in both.items()} == {"a": "stall", "b": "garbage"}
    # What it is told to die of is not answered on its own port, but on the other.
    assert (await control.ask("PUT", "/_fault/a", b'{"mode": "refuse"}'))["mode"] == "refuse"
    assert (await control.ask("DELETE", "/_fault"))["targets"]["a"]["mode"] == "ok"
    await control.ask("PUT", "/_fault", b'{"mode": "status"}')
    assert {one.script.order.mode for one in faults.services.values()} == {"status"}
    await control.close()


async def test_told_to_refuse_on_its_own_port_it_is_gone(client, target):
    client.send("PUT", "/_fault", b'{"mode": "refuse", "for": 30}')
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert target.door.state == "shut"


async def test_counts_begin_again(client, target):
    await client.ask("GET", "/x", X_Test_Id="one")
    shown = await client.ask("PUT", "/_fault", b'{"mode": "ok", "reset": true}')
    assert (shown["requests"], shown["deliveries"]["ids"], shown["methods"]) == (0, 0, {})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "word"),
    [
        ("PUT", "/_fault", b"{", 422, "no JSON"),
        ("PUT", "/_fault", b"[]", 422, "JSON object"),
        ("PUT", "/_fault", b'{"mode": "nap"}', 422, "none of ok"),
        ("PUT", "/_fault/c", b"{}", 404, "a"),
        ("PATCH", "/_fault", b"{}", 405, "PUT"),
    ],
)
async def test_refused_by_http(client, target, method, path, body, status, word):
    client.send(method, path, body)
    got, _, answer = await client.answer()
    assert got == status
    assert word in answer["error"]
    assert target.as_json()["mode"] == "ok"


async def test_a_port_in_use_is_an_error(faults, target):
    with pytest.raises(OSError, match="in use"):
        faults.upstream("b", port=target.door.address[1])


async def test_a_shut_port_keeps_its_number(faults, target):
    target.tell(mode="refuse")
    for _ in range(50):
        assert faults.upstream().door.address[1] != target.door.address[1]

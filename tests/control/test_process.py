import asyncio
import os
import select
import socket
import urllib.request
from pathlib import Path

import aiohttp

from fastgw.account.series import Word
from fastgw.clock import ManualClock
from fastgw.control.process import main
from fastgw.control.readiness import Readiness
from fastgw.ipc import difference, messages
from fastgw.ipc.channel import Channel, Received, pair
from tests.control.harness import Gateway, ReadableLog, receive


class Worker:
    """Attached as the supervisor does it: a message with the descriptor of a fresh channel."""

    def __init__(self, gateway: Gateway, index: int, version: int, digest: str) -> None:
        ours, theirs = pair()
        gateway.supervisor.send(messages.worker(index, 1000 + index), fd=ours.fileno())
        ours.close()
        self.channel = Channel(theirs)
        self.inbox: list[Received] = []
        self.channel.send(messages.hello(index, 1000 + index, version, digest))

    async def heard(self, kind: str) -> Received:
        return await receive(self.channel, self.inbox, kind)


async def test_workers_are_given_addresses_and_the_document_that_they_lack(gateway: Gateway) -> None:
    current = Worker(gateway, 0, gateway.version, gateway.document.hash)
    assert (await current.heard("addresses")).message == messages.addresses(
        "orders", "orders.internal", 9001, ["10.0.0.1"], None
    )
    newborn = Worker(gateway, 1, 0, "nothing")
    received = await newborn.heard("config")
    assert received.payload is not None and received.message["base_hash"] is None
    assert dict(difference.decode(received.payload)) == gateway.document.parts()
    for worker in (current, newborn):
        worker.channel.close()


async def test_the_supervisor_asks_for_a_reload_and_everybody_gets_the_difference(gateway: Gateway) -> None:
    gateway.supervisor.send(messages.hello(-1, 1, gateway.version, gateway.document.hash))
    worker = Worker(gateway, 0, gateway.version, gateway.document.hash)
    await worker.heard("addresses")
    gateway.write(instance="two")
    gateway.supervisor.send(messages.reload())
    for received in (await worker.heard("config"), await gateway.heard("config")):
        assert received.message["version"] == gateway.version + 1
        assert received.message["base_hash"] == gateway.document.hash
        assert received.payload is not None
        assert [key for key, _ in difference.decode(received.payload)] == ["base"]
    assert (await gateway.heard("reloaded")).message == messages.reloaded(gateway.version + 1, None)
    worker.channel.close()


async def test_a_broken_file_is_reported_to_the_supervisor_and_changes_nothing(gateway: Gateway) -> None:
    gateway.write("routes: [")
    gateway.supervisor.send(messages.reload())
    message = (await gateway.heard("reloaded")).message
    assert message["version"] == gateway.version
    assert "gateway.yaml:2" in message["error"]
    assert any("gateway.yaml:2" in line for line in gateway.log.lines())


async def test_draining_makes_it_unready(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    gateway.serve()
    assert (await client.get("/readyz")).status == 200
    gateway.supervisor.send(messages.draining())
    gateway.supervisor.send(messages.reload())
    await gateway.heard("reloaded")
    answer = await client.get("/readyz")
    assert (answer.status, (await answer.json(content_type=None))["detail"]) == (503, "draining")
    assert (await client.get("/livez")).status == 200


async def test_a_worker_that_is_gone_is_not_waited_for(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    worker = Worker(gateway, 0, gateway.version, gateway.document.hash)
    await worker.heard("addresses")
    gateway.write(instance="two")
    asking = asyncio.ensure_future(client.post("/api/reload", json={}))
    await worker.heard("config")
    gateway.supervisor.send(messages.worker_gone(0, 1000))
    assert (await (await asking).json())["workers"] == {"serving": 0, "of": 0}
    worker.channel.close()


async def test_why_a_worker_does_not_follow_is_known_to_the_readiness(gateway: Gateway) -> None:
    worker = Worker(gateway, 0, gateway.version, gateway.document.hash)
    await worker.heard("addresses")
    outcome = await gateway.control.publisher.edit(lambda plain: {**plain, "routes": []}, by="me")
    message = (await worker.heard("config")).message
    assert message["version"] == outcome.version
    worker.channel.send(messages.rejected(outcome.version, "ValueError: odd"))
    assert await gateway.control._peers.applied(outcome.version, 10) == (0, 1)
    clock = ManualClock()
    gateway.serve()
    readiness = Readiness([gateway.series.slot(0)], clock, gateway.control._refusal)
    for beat in range(12):
        clock.advance(0.5)
        gateway.series.slot(0).set(Word.HEARTBEAT, beat)
        reason = readiness.reason(outcome.version)
    assert reason is not None and "it refused it (ValueError: odd)" in reason
    worker.channel.close()


async def test_a_reload_answers_when_the_workers_serve_it(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    worker = Worker(gateway, 0, gateway.version, gateway.document.hash)
    await worker.heard("addresses")
    gateway.write(instance="two")
    asking = asyncio.ensure_future(client.post("/api/reload", json={}))
    message = (await worker.heard("config")).message
    assert not asking.done()
    worker.channel.send(messages.applied(message["version"], message["hash"]))
    answer = await (await asking).json()
    assert (answer["version"], answer["changed"]) == (gateway.version + 1, True)
    assert answer["workers"] == {"serving": 1, "of": 1}
    worker.channel.close()


def test_main_serves_until_the_supervisor_is_gone(
    tmp_path: Path, admin_socket: socket.socket, log: ReadableLog
) -> None:
    made = Gateway(tmp_path, admin_socket, log)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            made.supervisor.close()
            code = main(made.context)
        finally:
            os._exit(code)
    made.context.supervisor.close()
    admin_socket.close()
    assert select.select([made.supervisor], [], [], 10)[0]
    assert [received.type for received in made.supervisor.receive()] == ["ready"]
    with urllib.request.urlopen(f"http://127.0.0.1:{made.port}/livez", timeout=10) as answer:
        assert answer.status == 200
    made.supervisor.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    socket.create_server(("127.0.0.1", made.port)).close()

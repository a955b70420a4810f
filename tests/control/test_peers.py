import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fastgw.control.peers import SUPERVISOR, Peers
from fastgw.control.published import History, Published
from fastgw.ipc import difference, messages
from fastgw.ipc.channel import Channel, ChannelClosed, Received, pair

Make = Callable[..., Published]


class Process:
    """The other end of a channel: a worker or the supervisor."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._inbox: list[Received] = []

    async def receive(self) -> Received:
        loop = asyncio.get_running_loop()
        while not self._inbox:
            readable = asyncio.Event()
            loop.add_reader(self.channel.fileno(), readable.set)
            try:
                async with asyncio.timeout(5):
                    await readable.wait()
            finally:
                loop.remove_reader(self.channel.fileno())
            self._inbox = self.channel.receive()
        return self._inbox.pop(0)

    def hello(self, version: int, digest: str, index: int = 0) -> None:
        self.channel.send(messages.hello(index, 100, version, digest))


class Control:
    """Peers with what they report to."""

    def __init__(self, history: History, log: Any, addresses: list[messages.Message]) -> None:
        self.history = history
        self.heard: asyncio.Queue[Received] = asyncio.Queue()
        self.orphaned = asyncio.Event()
        self.breakers: asyncio.Queue[tuple[int, messages.Message]] = asyncio.Queue()
        self.gone: list[int] = []
        self.peers = Peers(
            asyncio.get_running_loop(),
            log,
            history,
            addresses,
            on_supervisor=self.heard.put_nowait,
            on_orphaned=self.orphaned.set,
            on_unknown_key=lambda worker, source: self.asked.put_nowait((worker, source)),
            on_breaker=lambda worker, message: self.breakers.put_nowait((worker, dict(message))),
            on_gone=self.gone.append,
        )
        self.asked: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self.processes: list[Process] = []

    def attach(self, index: int, pid: int = 100) -> Process:
        ours, theirs = pair()
        self.peers.attach(index, pid, ours)
        self.processes.append(Process(Channel(theirs)))
        return self.processes[-1]


NAMED = messages.addresses("orders", "orders.internal", 80, ["10.0.0.1"], None)


@pytest.fixture
async def control(published: Make, log: Any) -> AsyncIterator[Control]:
    one = Control(History(published(1)), log, [NAMED])
    yield one
    one.peers.close()
    for process in one.processes:
        process.channel.close()


async def test_a_current_worker_gets_only_the_addresses(control: Control) -> None:
    worker = control.attach(0)
    worker.hello(1, control.history.current.hash)
    assert (await worker.receive()).message == NAMED


async def test_a_worker_with_an_unknown_document_gets_the_whole(control: Control) -> None:
    worker = control.attach(0)
    worker.hello(0, "unknown")
    received = await worker.receive()
    assert received.message["base_hash"] is None and received.payload is not None
    assert dict(difference.decode(received.payload)) == dict(control.history.current.parts)
    assert (await worker.receive()).message == NAMED


async def test_workers_and_supervisor_get_the_difference(control: Control, published: Make) -> None:
    first = control.history.current
    processes = [control.attach(0), control.attach(1), control.attach(SUPERVISOR)]
    for index, process in ((0, processes[0]), (1, processes[1]), (SUPERVISOR, processes[2])):
        process.hello(1, first.hash, index)
        await process.receive()
    control.history.publish(published(2, instance="other"))
    control.peers.publish()
    for process in processes:
        received = await process.receive()
        assert (received.message["version"], received.message["base_hash"]) == (2, first.hash)
        assert received.payload is not None
        assert [key for key, _ in difference.decode(received.payload)] == ["base"]


async def test_a_difference_that_does_not_fit_is_followed_by_the_whole(
    control: Control, published: Make
) -> None:
    first = control.history.current
    worker = control.attach(0)
    worker.hello(1, first.hash)
    await worker.receive()
    control.history.publish(published(2, instance="other"))
    control.peers.publish()
    assert (await worker.receive()).message["base_hash"] == first.hash
    worker.hello(1, first.hash)  # it holds something else by now, it says
    assert (await worker.receive()).message["base_hash"] is None


async def test_a_refused_version_is_told_and_followed_by_the_whole(
    control: Control, published: Make, log: Any
) -> None:
    worker = control.attach(0)
    worker.hello(1, control.history.current.hash)
    await worker.receive()
    control.history.publish(published(2, instance="other"))
    control.peers.publish()
    await worker.receive()
    worker.channel.send(messages.rejected(2, "no memory"))
    assert await control.peers.applied(2, 5) == (0, 1)
    assert log.lines() == ["control: worker 0 refused version 2: no memory"]
    assert control.peers.refusal(0, 2) == "no memory"
    assert control.peers.refusal(0, 3) is control.peers.refusal(1, 2) is None
    control.history.publish(published(3, instance="another"))
    control.peers.publish()
    assert (await worker.receive()).message["base_hash"] is None


async def test_waiting_ends_when_every_worker_has_answered(control: Control, published: Make) -> None:
    workers = [control.attach(0), control.attach(1)]
    for index, worker in enumerate(workers):
        worker.hello(1, control.history.current.hash, index)
        await worker.receive()
    digest = published(2, instance="other").hash
    waiting = asyncio.ensure_future(control.peers.applied(2, 30))
    workers[0].channel.send(messages.applied(2, digest))
    await workers[0].receive()  # the addresses again: it knows more names now
    assert not waiting.done()
    workers[1].channel.send(messages.applied(2, digest))
    assert await waiting == (2, 2)


async def test_waiting_does_not_wait_for_a_worker_that_is_gone_nor_for_ever(control: Control) -> None:
    worker = control.attach(0)
    worker.hello(1, control.history.current.hash)
    await worker.receive()
    assert await control.peers.applied(2, 0) == (0, 1)
    waiting = asyncio.ensure_future(control.peers.applied(2, 30))
    control.peers.detach(0, 99)  # another life of this index: nothing happens
    assert len(control.peers.workers) == 1
    control.peers.detach(0, 100)
    assert await waiting == (0, 0)


async def test_a_fresh_channel_replaces_the_one_before(control: Control) -> None:
    first = control.attach(0, 100)
    second = control.attach(0, 101)
    with pytest.raises(ChannelClosed):
        await first.receive()
    second.hello(1, control.history.current.hash)
    assert (await second.receive()).message == NAMED
    assert [peer.pid for peer in control.peers.workers] == [101]


async def test_thousands_of_names_do_not_fill_a_channel(control: Control) -> None:
    worker = control.attach(0)
    for number in range(5000):
        control.peers.tell_facts(messages.addresses("orders", f"host-{number}", 80, [], "no such name"))
    worker.hello(1, control.history.current.hash)
    hosts = {(await worker.receive()).message["host"] for _ in range(5001)}
    assert len(hosts) == 5001


async def test_addresses_that_nobody_wants_are_forgotten(control: Control) -> None:
    control.peers.forget_facts(lambda message: False)
    worker = control.attach(0)
    worker.hello(0, "unknown")
    assert (await worker.receive()).type == "config"
    control.peers.tell_facts(NAMED)
    assert (await worker.receive()).message == NAMED


KEYS = messages.keys("https://id/jwks", [{"kty": "EC"}], None)


async def test_keys_are_told_to_everybody_and_to_who_comes_later(control: Control) -> None:
    early, late = control.attach(0), control.attach(1)
    early.hello(1, control.history.current.hash)
    assert (await early.receive()).message == NAMED
    control.peers.tell_facts(KEYS)
    assert (await early.receive()).message == KEYS
    late.hello(1, control.history.current.hash, 1)
    assert [(await late.receive()).message for _ in range(2)] == [NAMED, KEYS]
    control.peers.forget_facts(lambda message: message["type"] == "addresses")
    late.hello(1, control.history.current.hash, 1)  # again: a difference did not fit
    assert (await late.receive()).type == "config"
    assert (await late.receive()).message == NAMED


async def test_a_worker_asks_for_a_key_and_only_it_is_answered(control: Control) -> None:
    asker, other = control.attach(0), control.attach(1)
    for index, worker in enumerate((asker, other)):
        worker.hello(1, control.history.current.hash, index)
        await worker.receive()
    asker.channel.send(messages.unknown_key("https://id/jwks"))
    assert await control.asked.get() == (0, "https://id/jwks")
    control.peers.tell(0, KEYS)
    control.peers.tell(7, KEYS)  # nobody there
    control.peers.tell_facts(NAMED)
    assert (await asker.receive()).message == KEYS
    assert (await other.receive()).message == NAMED


OPENED = messages.breaker("orders", "10.0.0.1:80", "open", "5 failures", 1.0, 2.0, False)


async def test_what_a_worker_says_of_its_breakers_is_handed_on(control: Control) -> None:
    worker, supervisor = control.attach(1), control.attach(SUPERVISOR)
    supervisor.channel.send(OPENED)  # it has none
    supervisor.channel.send(messages.reload())
    await control.heard.get()
    worker.channel.send(OPENED)
    assert await control.breakers.get() == (1, OPENED)
    assert control.breakers.empty() and control.heard.empty()


async def test_it_is_said_whose_word_counts_no_more(control: Control) -> None:
    control.attach(0, 100)
    control.attach(0, 101)  # a successor, or a fresh channel
    assert control.gone == [0]
    control.peers.detach(0, 100)  # an old one
    control.attach(SUPERVISOR)
    control.peers.detach(SUPERVISOR)
    assert control.gone == [0]
    control.peers.detach(0, 101)
    assert control.gone == [0, 0]


async def test_facts_of_all_kinds_stand_beside_each_other_and_the_newest_of_each_counts(control: Control) -> None:
    facts = [
        messages.health("orders", "svc", 80, "10.0.0.1", True, ""),
        messages.health("orders", "svc", 80, "10.0.0.2", True, ""),
        messages.force_breaker("orders", "", "open", 5.0),
        messages.force_breaker("orders", "10.0.0.1:80", "open", 5.0),
        messages.addresses("health", "orders", 80, [], None),
        messages.instances(2),
        KEYS,
    ]
    control.peers.tell_facts(messages.health("orders", "svc", 80, "10.0.0.2", False, "refused"))
    for fact in facts:
        control.peers.tell_facts(fact)
    worker = control.attach(0)
    worker.hello(1, control.history.current.hash)
    got = [(await worker.receive()).message for _ in range(len(facts) + 1)]
    assert sorted(map(str, got)) == sorted(map(str, [NAMED, *facts]))


async def test_what_only_the_supervisor_says_is_handed_on(control: Control) -> None:
    supervisor = control.attach(SUPERVISOR)
    read, write = os.pipe()
    supervisor.channel.send(messages.worker(3, 77), fd=read)
    received = await control.heard.get()
    assert received.message == {"type": "worker", "index": 3, "pid": 77} and received.fd is not None
    for fd in (read, write, received.fd):
        os.close(fd)
    control.peers.tell_supervisor(messages.ready())
    assert (await supervisor.receive()).message == {"type": "ready"}


async def test_a_worker_does_not_speak_for_the_supervisor_and_leaks_no_descriptor(control: Control) -> None:
    worker = control.attach(0)
    read, write = os.pipe()
    worker.channel.send({"type": "draining"}, fd=write)
    os.close(write)
    worker.hello(1, control.history.current.hash)
    await worker.receive()
    assert control.heard.empty()
    assert os.read(read, 1) == b""  # the copy that was sent is closed
    os.close(read)


async def test_the_end_of_the_supervisor_is_noticed(control: Control) -> None:
    supervisor = control.attach(SUPERVISOR)
    supervisor.channel.close()
    async with asyncio.timeout(5):
        await control.orphaned.wait()


async def test_a_dead_worker_is_dropped_and_the_others_are_told(control: Control, published: Make) -> None:
    dead, alive = control.attach(0), control.attach(1)
    for index, worker in enumerate((dead, alive)):
        worker.hello(1, control.history.current.hash, index)
        await worker.receive()
    dead.channel.close()
    control.history.publish(published(2, instance="other"))
    control.peers.publish()
    assert (await alive.receive()).message["version"] == 2
    assert await control.peers.applied(1, 5) == (1, 1)


async def test_what_is_too_long_to_be_told_keeps_nothing_else_back(control: Control, log: Any) -> None:
    worker = control.attach(0)
    many = [f"10.0.{number // 250}.{number % 250}" for number in range(6000)]
    control.peers.tell_facts(messages.addresses("many", "many.internal", 80, many, None))
    worker.hello(1, control.history.current.hash)
    assert (await worker.receive()).message == NAMED
    control.peers.tell_facts(messages.addresses("many", "many.internal", 80, many[1:], None))
    control.peers.tell_facts(messages.instances(3))
    assert (await worker.receive()).message == messages.instances(3)
    assert "addresses" in log.lines()[0]

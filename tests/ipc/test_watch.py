"""A channel on an event loop."""

from __future__ import annotations

import asyncio

from fastgw.ipc.channel import Channel, pair
from fastgw.ipc.watch import WatchedChannel


async def test_messages_and_the_end_reach_the_owner():
    loop = asyncio.get_running_loop()
    a, b = pair()
    got: asyncio.Queue[str] = asyncio.Queue()
    watched = WatchedChannel(
        loop, Channel(a), lambda one: got.put_nowait(one.type), lambda: got.put_nowait("END")
    )
    peer = Channel(b)
    peer.send({"type": "one"})
    peer.send({"type": "two"})
    peer.close()
    assert [await got.get() for _ in range(3)] == ["one", "two", "END"]
    assert watched.closed
    assert not watched.send({"type": "x"})


async def test_a_peer_that_falls_behind_gets_everything_in_the_end():
    loop = asyncio.get_running_loop()
    a, b = pair()
    done = asyncio.Event()
    seen: list[int] = []

    def on_message(one):
        seen.append(one.message["n"])
        if len(seen) == 800:
            done.set()

    sender = WatchedChannel(loop, Channel(a), lambda one: None, lambda: None)
    for number in range(800):
        assert sender.send({"n": number})
    receiver = WatchedChannel(loop, Channel(b), on_message, lambda: None)
    await done.wait()
    assert seen == list(range(800))
    sender.close()
    receiver.close()


async def test_a_peer_that_never_reads_is_given_up():
    loop = asyncio.get_running_loop()
    a, b = pair()
    ended = asyncio.Event()
    sender = WatchedChannel(loop, Channel(a), lambda one: None, ended.set)
    sent = 0
    while sender.send({"n": sent}):
        sent += 1
    await ended.wait()
    assert sender.closed
    b.close()


async def test_closing_it_oneself_calls_nobody():
    loop = asyncio.get_running_loop()
    a, b = pair()
    called: list[str] = []
    watched = WatchedChannel(loop, Channel(a), lambda one: None, lambda: called.append("END"))
    watched.close()
    watched.close()
    b.close()
    await asyncio.sleep(0)
    assert called == []

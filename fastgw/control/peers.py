"""The processes at the other end of control's channels: what each of them holds, and what it has yet to get.

A peer that is behind is never waited for: its queue is bounded, and one that does not read is dropped; it
comes back over a fresh channel and is brought up to date from its `hello`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fastgw.control.operator_log import OperatorLog
from fastgw.control.published import History
from fastgw.ipc.channel import Channel, Received
from fastgw.ipc.messages import Message
from fastgw.ipc.watch import WatchedChannel

SUPERVISOR = -1

# Addresses go out in portions, so that thousands of names never fill the bounded queue of a channel.
_PORTION = 64
_PAUSE = 0.005

FactKey = tuple[object, object, object]


@dataclass(slots=True)
class Peer:
    index: int
    pid: int
    channel: WatchedChannel
    greeted: bool = False
    holds: str | None = None  # hash of what it will hold once it has taken all that was sent; None: unknown
    version: int = 0  # what it said that it serves
    rejected: int = 0  # the last version that it refused
    refusal: str = ""  # what it said of that
    owed: dict[FactKey, Message] = field(default_factory=dict)  # facts that were not sent yet
    paying: bool = False


class Peers:
    """`on_supervisor` gets what only the supervisor says; `on_orphaned` is called when it is gone; `on_unknown_key`
    gets a worker's index and the source of keys that it asks about; `on_breaker` a worker's index and what it says of a
    breaker; `on_gone` the index of a worker whose word counts no more; `on_live` a worker's index and what it shows to
    those who look on."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        log: OperatorLog,
        history: History,
        facts: Iterable[Message],
        *,
        on_supervisor: Callable[[Received], None],
        on_orphaned: Callable[[], None],
        on_unknown_key: Callable[[int, str], None] | None = None,
        on_breaker: Callable[[int, Mapping[str, object]], None] | None = None,
        on_gone: Callable[[int], None] | None = None,
        on_live: Callable[[int, Mapping[str, object]], None] | None = None,
    ) -> None:
        self._loop = loop
        self._log = log
        self._history = history
        self._facts = {_key(message): message for message in facts}
        self._on_supervisor = on_supervisor
        self._on_orphaned = on_orphaned
        self._on_unknown_key = on_unknown_key
        self._on_breaker = on_breaker
        self._on_gone = on_gone
        self._on_live = on_live
        self._peers: dict[int, Peer] = {}
        self._heard = asyncio.Event()

    @property
    def workers(self) -> list[Peer]:
        return [peer for peer in self._peers.values() if peer.index != SUPERVISOR]

    def attach(self, index: int, pid: int, sock: socket.socket) -> None:
        """A fresh channel; the one before it, if any, is void."""
        self.detach(index)
        channel = WatchedChannel(
            self._loop,
            Channel(sock),
            lambda received: self._on_message(peer, received),
            lambda: self._on_closed(peer),
        )
        peer = Peer(index, pid, channel)
        self._peers[index] = peer

    def detach(self, index: int, pid: int | None = None) -> None:
        """`pid`: only if it is still this process."""
        peer = self._peers.get(index)
        if peer is not None and pid in (None, peer.pid):
            peer.channel.close()
            self._forget(peer)

    def close(self) -> None:
        for peer in self._peers.values():
            peer.channel.close()
        self._peers.clear()

    def tell_supervisor(self, message: Message) -> None:
        peer = self._peers.get(SUPERVISOR)
        if peer is not None:
            peer.channel.send(message)

    def publish(self) -> None:
        """The history has a new document: send everybody the difference to what it holds."""
        for peer in list(self._peers.values()):
            if peer.greeted:
                self._send_document(peer)

    def tell(self, index: int, message: Message) -> None:
        """One worker, if it is there."""
        peer = self._peers.get(index)
        if peer is not None and peer.greeted:
            peer.channel.send(message)

    def tell_facts(self, message: Message) -> None:
        """Of the kinds that `_key` knows: to everybody, and to whoever comes later."""
        self._facts[_key(message)] = message
        for peer in list(self._peers.values()):
            if peer.greeted:
                self._owe(peer, [message])

    def known(self, kind: str) -> list[Message]:
        """The facts of one kind, as everybody knows them now."""
        return [message for message in self._facts.values() if message["type"] == kind]

    def forget_facts(self, wanted: Callable[[Mapping[str, object]], bool]) -> None:
        self._facts = {key: message for key, message in self._facts.items() if wanted(message)}

    def refusal(self, index: int, version: int) -> str | None:
        """Why this worker did not take this version; None: it did not refuse it."""
        peer = self._peers.get(index)
        return peer.refusal if peer is not None and peer.rejected == version else None

    async def applied(self, version: int, patience: float) -> tuple[int, int]:
        """Wait until every worker serves `version` or has refused it: how many serve it, of how many."""
        deadline = self._loop.time() + patience
        while True:
            self._heard.clear()
            done = sum(peer.version >= version for peer in self.workers)
            open_ = [peer for peer in self.workers if peer.version < version and peer.rejected != version]
            left = deadline - self._loop.time()
            if not open_ or left <= 0:
                return done, len(self.workers)
            try:
                async with asyncio.timeout(left):
                    await self._heard.wait()
            except TimeoutError:
                pass  # counted once more above, and then given up

    def _on_message(self, peer: Peer, received: Received) -> None:
        message = received.message
        if received.type == "live":
            if self._on_live is not None:
                self._on_live(peer.index, message)
            return  # twenty a second, and nobody waits for them
        if received.type == "hello":
            # The second one on a channel says that a difference did not fit: then nothing is assumed.
            peer.holds = None if peer.greeted else str(message["hash"])
            peer.greeted = True
            peer.version = int(message["version"])
            self._send_document(peer)
            self._owe(peer, self._facts.values())
        elif received.type == "applied":
            peer.version = int(message["version"])
            # What it did not know before, it could not take addresses for.
            self._owe(peer, self._facts.values())
        elif received.type == "rejected":
            peer.rejected = int(message["version"])
            peer.refusal = str(message["error"])
            peer.holds = None
            who = "the supervisor" if peer.index == SUPERVISOR else f"worker {peer.index}"
            self._log.say(f"control: {who} refused version {peer.rejected}: {peer.refusal}")
        elif received.type == "unknown_key" and self._on_unknown_key is not None:
            self._on_unknown_key(peer.index, str(message["source"]))
        elif received.type == "breaker" and self._on_breaker is not None:
            if peer.index != SUPERVISOR:
                self._on_breaker(peer.index, message)
        elif peer.index == SUPERVISOR:
            self._on_supervisor(received)
            return
        self._heard.set()
        if received.fd is not None:
            os.close(received.fd)

    def _on_closed(self, peer: Peer) -> None:
        if self._peers.get(peer.index) is peer:
            self._forget(peer)
        if peer.index == SUPERVISOR:
            self._on_orphaned()

    def _forget(self, peer: Peer) -> None:
        del self._peers[peer.index]
        self._heard.set()
        if self._on_gone is not None and peer.index != SUPERVISOR:
            self._on_gone(peer.index)

    def _send_document(self, peer: Peer) -> None:
        current = self._history.current
        if peer.holds == current.hash and peer.version == current.version:
            return
        message, payload = self._history.message(peer.holds)
        if peer.channel.send(message, payload=payload):
            peer.holds = current.hash

    def _owe(self, peer: Peer, messages: Iterable[Message]) -> None:
        for message in messages:
            peer.owed[_key(message)] = message
        if not peer.paying:
            peer.paying = True
            self._pay(peer)

    def _pay(self, peer: Peer) -> None:
        for _ in range(min(_PORTION, len(peer.owed))):
            message = peer.owed.pop(next(iter(peer.owed)))
            try:
                sent = peer.channel.send(message)
            except ValueError as error:
                # A name with thousands of addresses: what else there is to tell must not stay behind it.
                self._log.say(f"control: worker {peer.index} cannot be told of {message['type']}: {error}")
                continue
            if not sent:
                peer.owed.clear()
        peer.paying = bool(peer.owed)
        if peer.paying:
            self._loop.call_later(_PAUSE, self._pay, peer)


def _key(message: Mapping[str, object]) -> FactKey:
    """What a later message of the same kind replaces."""
    match message["type"]:
        case "instances" | "watch" as kind:
            return kind, "", ""
        case "keys":
            return "keys", message["source"], ""
        case "health":
            return "health", message["upstream"], f"{message['host']} {message['port']} {message['address']}"
        case "force_breaker":
            return "force", message["upstream"], message["target"]
        case _:
            # No name holds a space, so that no upstream is mistaken for a kind.
            return f"addresses {message['upstream']}", message["host"], message["port"]

"""A worker's side of its channel to control: takes configurations, addresses and keys, says what it holds.

The channel is replaced by a fresh one whenever control is born again; each begins with `hello`, so that
control brings the worker up to date whatever was lost.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fastgw.account.series import Word
from fastgw.clock import Clock
from fastgw.ipc import messages
from fastgw.ipc.channel import Channel, Received
from fastgw.ipc.watch import WatchedChannel
from fastgw.worker.birth import Birth, Plane
from fastgw.worker.follow import Change, Follower

if TYPE_CHECKING:
    from fastgw.gateway.snapshot import Snapshot

# A slice of compiling, and the pause after it in which traffic is served: 1 ms in 2 at most.
SLICE = 0.001
PAUSE = 0.001
# Messages for who looks on that may wait for control; beyond it they are left out and counted.
LIVE_BACKLOG = 8
# Characters of why a version is refused: a message that is too long would be an exception in the middle of following.
LONGEST_REFUSAL = 4096


class ControlLink:
    def __init__(
        self,
        birth: Birth,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        plane: Plane,
        *,
        on_addresses: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._index = birth.index
        self._loop = loop
        self._clock = clock
        self._plane = plane
        self._slot = birth.series.slot(birth.index)
        self._on_addresses = on_addresses
        self._on_lost = on_lost
        self._limit_store = birth.limit_store
        self._channel: WatchedChannel | None = None
        self._slicing = False
        self._sources: set[str] = set()  # of keys, that control has said anything about
        self.follower = Follower(
            birth.document,
            birth.snapshot,
            birth.build,
            clock,
            on_applied=self._on_applied,
            on_rejected=self._on_rejected,
        )
        plane.on_unknown_key(lambda source: self._send(messages.unknown_key(source)))
        plane.on_breaker(self._send)
        plane.on_live(self._send_live)
        self._note_version(birth.snapshot)

    def attach(self, fd: int) -> None:
        """Use this channel from now on; the one before it is void."""
        if self._channel is not None:
            self._channel.close()
        channel = Channel(socket.socket(fileno=fd))
        self._channel = WatchedChannel(self._loop, channel, self._on_message, self._on_lost)
        self._plane.set_watch(None)  # until the control process at the other end says that somebody looks on
        self._say_hello()

    def set_addresses(self, known: Mapping[str, object]) -> None:
        """From a message of control, or from the supervisor's memory of one."""
        error = known.get("error")
        found = known.get("addresses")
        self._plane.set_addresses(
            str(known["upstream"]),
            str(known["host"]),
            int(str(known["port"])),
            [str(each) for each in found] if isinstance(found, list) else [],
            None if error is None else str(error),
        )

    def needs_keys(self) -> bool:
        """Whether control has yet to say anything about some issuer's source, be it that it cannot be reached."""
        issuers = self.follower.document.base.issuers.values()
        return any(issuer.jwks_url is not None and issuer.jwks_url not in self._sources for issuer in issuers)

    def set_keys(self, known: Mapping[str, object]) -> None:
        """As `set_addresses`, of a source of keys."""
        error = known.get("error")
        found = known.get("keys")
        self._sources.add(str(known["source"]))
        self._plane.set_keys(
            str(known["source"]),
            [each for each in found if isinstance(each, dict)] if isinstance(found, list) else [],
            None if error is None else str(error),
        )

    def _say_hello(self) -> None:
        snapshot = self.follower.snapshot
        self._send(messages.hello(self._index, os.getpid(), snapshot.version, self.follower.document.hash))
        for state in self._plane.breakers():
            self._send(state)

    def _on_message(self, received: Received) -> None:
        message = received.message
        if received.type == "config" and received.payload is not None:
            change = Change(
                int(message["version"]), str(message["hash"]), message["base_hash"], received.payload
            )
            if not self.follower.offer(change):
                self._say_hello()
            elif not self._slicing:
                self._slicing = True
                # A full collection over a growing snapshot of 10,000 routes takes 100 ms; it makes no cycles.
                gc.disable()
                self._loop.call_soon(self._slice)
        elif received.type == "addresses":
            self.set_addresses(message)
            self._on_addresses()
        elif received.type == "keys":
            self.set_keys(message)
            self._on_addresses()
        elif received.type == "health":
            self._plane.set_health(
                str(message["upstream"]),
                str(message["host"]),
                int(message["port"]),
                str(message["address"]),
                bool(message["healthy"]),
            )
        elif received.type == "force_breaker":
            self._plane.force_breaker(
                str(message["upstream"]), str(message["target"]), str(message["state"]), float(message["until"])
            )
        elif received.type == "instances":
            self._plane.set_instances(int(message["count"]))
        elif received.type == "watch":
            self._plane.set_watch(message["condition"])
        if received.fd is not None:
            os.close(received.fd)  # no message of control carries one

    def _send_live(self, lines: Sequence[str], missed: int, notices: Sequence[str]) -> bool:
        """False: control does not keep up. Nobody waits for it, and the channel is for more than this."""
        channel = self._channel
        if channel is None or channel.closed or channel.backlog >= LIVE_BACKLOG:
            return False
        return channel.send(messages.live(lines, missed, notices))

    def _slice(self) -> None:
        if self.follower.run_slice(SLICE):
            self._loop.call_later(PAUSE, self._slice)
            return
        self._slicing = False
        # What was compiled lives until the next change: no collection needs to look at it again.
        gc.freeze()
        gc.enable()

    def _on_applied(self, snapshot: Snapshot) -> None:
        self._plane.apply(snapshot)
        if self._limit_store.follow(snapshot.document.base.redis):
            self._plane.set_store(self._limit_store.options)
        self._note_version(snapshot)
        self._send(messages.applied(snapshot.version, snapshot.hash))

    def _on_rejected(self, version: int, error: str) -> None:
        self._plane.log(f"worker {self._index}: configuration {version} does not compile: {error}")
        self._send(messages.rejected(version, error[:LONGEST_REFUSAL]))

    def _note_version(self, snapshot: Snapshot) -> None:
        self._slot.set(Word.VERSION, snapshot.version)
        self._slot.set(Word.VERSION_AT, int(self._clock.now() * 1000))

    def _send(self, message: Mapping[str, object]) -> None:
        if self._channel is not None:
            self._channel.send(message)

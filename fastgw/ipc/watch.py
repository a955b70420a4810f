"""A channel on an event loop: calls its owner for each message and once at the end. For worker and control.

The supervisor has no event loop and uses `Channel` directly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from fastgw.ipc.channel import Channel, ChannelClosed, ChannelFull, Received


class WatchedChannel:
    """`on_message` gets each message in order; `on_closed` is called once, when the peer is gone or does not
    read."""

    __slots__ = ("_channel", "_loop", "_on_closed", "_on_message", "_writing")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channel: Channel,
        on_message: Callable[[Received], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._channel = channel
        self._on_message = on_message
        self._on_closed = on_closed
        self._writing = False
        loop.add_reader(channel.fileno(), self._readable)

    @property
    def closed(self) -> bool:
        return self._channel.closed

    @property
    def backlog(self) -> int:
        return self._channel.backlog

    def send(
        self, message: Mapping[str, object], *, payload: bytes | None = None, fd: int | None = None
    ) -> bool:
        """Send or queue; False when the peer is gone (then `on_closed` has been or will be called)."""
        if self._channel.closed:
            return False
        try:
            self._channel.send(message, payload=payload, fd=fd)
        except (ChannelClosed, ChannelFull):
            # A peer that does not read is as good as gone: a fresh pair with a full resync replaces this one.
            self._loop.call_soon(self._end)
            return False
        self._watch_writes()
        return True

    def close(self) -> None:
        """Without calling `on_closed`: whoever closes knows."""
        if not self._channel.closed:
            fd = self._channel.fileno()
            self._loop.remove_reader(fd)
            if self._writing:
                self._loop.remove_writer(fd)
                self._writing = False
            self._channel.close()

    def _readable(self) -> None:
        try:
            received = self._channel.receive()
        except ChannelClosed:
            self._end()
            return
        for one in received:
            self._on_message(one)

    def _writable(self) -> None:
        try:
            self._channel.flush()
        except ChannelClosed:
            self._end()
            return
        self._watch_writes()

    def _watch_writes(self) -> None:
        wanted = self._channel.wants_write
        if wanted and not self._writing:
            self._loop.add_writer(self._channel.fileno(), self._writable)
        elif self._writing and not wanted:
            self._loop.remove_writer(self._channel.fileno())
        self._writing = wanted

    def _end(self) -> None:
        if not self._channel.closed:
            self.close()
            self._on_closed()

"""Many raw exchanges at once, each on a connection of its own, each sent in parts.

A wave opens its connections, sends the first part on all of them, waits until the gateway has read it
everywhere, sends the next, and so on; then it reads all answers. So a split costs two rounds for fifty
connections instead of two waits for each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.support.client import Client
from tests.support.consumed import ReceiveQueues
from tests.support.gateway import Gateway
from tests.support.wire import Cut, Response, TimedOut, WireError

WIDTH = 48


@dataclass
class Outcome:
    """What one connection brought: answers in order, and how it ended."""

    responses: list[Response]
    closed: bool
    error: str = ""
    first_unanswered: bytes = b""

    @property
    def first(self) -> Response:
        assert self.responses, f"no answer: {self.error or 'nothing came'}"
        return self.responses[0]

    def reason(self) -> str | None:
        """The reason token of the problem document, if it is one."""
        content_type = self.first.get("Content-Type") or ""
        if not content_type.startswith("application/problem+json"):
            return None
        return str(json.loads(self.first.body)["reason"])


@dataclass
class Sending:
    parts: Sequence[bytes]
    methods: Sequence[str] = ("GET",)  # one per answer that is expected
    until_close: bool = False  # after the answers the gateway must close


def run_one(gateway: Gateway, sending: Sending, queues: ReceiveQueues) -> Outcome:
    return next(run(gateway, [sending], queues))


def run(gateway: Gateway, sendings: Sequence[Sending], queues: ReceiveQueues) -> Iterator[Outcome]:
    for start in range(0, len(sendings), WIDTH):
        yield from _wave(gateway, sendings[start : start + WIDTH], queues)


def _wave(gateway: Gateway, sendings: Sequence[Sending], queues: ReceiveQueues) -> list[Outcome]:
    clients = [gateway.client(timeout=5.0) for _ in sendings]
    try:
        for number in range(max(len(one.parts) for one in sendings)):
            if number:
                for client, sending in zip(clients, sendings, strict=True):
                    if number < len(sending.parts):
                        queues.wait_read(client.sock)
            for client, sending in zip(clients, sendings, strict=True):
                if number < len(sending.parts):
                    client.try_send(sending.parts[number])
        return [_read(client, one) for client, one in zip(clients, sendings, strict=True)]
    finally:
        for client in clients:
            client.close()


def _read(client: Client, sending: Sending) -> Outcome:
    responses: list[Response] = []
    try:
        for method in sending.methods:
            response = client.read(method)
            responses.append(response)
            if (response.get("Connection") or "").lower() == "close":
                break
    except WireError as error:
        return Outcome(responses, False, f"not HTTP: {error}")
    except Cut as cut:
        return Outcome(responses, True, str(cut), cut.got)
    except TimedOut as late:
        return Outcome(responses, False, str(late), late.got)
    if not sending.until_close:
        return Outcome(responses, client.stream.ended)
    closed = client.closed(5.0)
    left = bytes(client.stream.buffer)
    return Outcome(responses, closed, f"more bytes: {left[:200]!r}" if left else "", left)


def halves(data: bytes, at: int) -> list[bytes]:
    return [data[:at], data[at:]]


def single_bytes(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]

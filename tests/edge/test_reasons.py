"""Two reasons that no client can provoke: the same token in body, Proxy-Status, log, metric and live tail.

All others: tests/integration/test_reasons.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from fastgw.account import families
from fastgw.account.series import SeriesMemory, Slot
from fastgw.clock import ManualClock
from fastgw.edge.connection import ClientConnection
from fastgw.edge.dataplane import DataPlane
from fastgw.errors import STATUS, Reason
from tests.edge.test_connection import Loop, Transport
from tests.gateway.rig import compiled

PLAIN = {
    "listeners": [{"address": "127.0.0.1:8080"}],
    "upstreams": {"app": {"targets": ["http://app.internal:9001"]}},
    "routes": [
        {"name": "silent", "match": {"path": "/no_healthy_target"}, "upstream": "app"},
        {"name": "defect", "match": {"path": "/internal_error"}, "upstream": "app"},
    ],
}


class Defect:
    """A policy of ours that is wrong."""

    def check(self, exchange: object, runtime: object) -> None:
        raise KeyError("nobody expected this")


class World:
    """A data plane whose log, series and tap can be read."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self.loop = Loop()
        self.slot: Slot = SeriesMemory(1, 4096, 65536).slot(0)
        self.shown: list[str] = []
        self.timers: list[Any] = []
        snapshot = compiled(PLAIN)
        snapshot.routes["defect"].chain = (Defect(),)
        self.loop.call_later = lambda seconds, call, *rest: self.timers.append(call)  # type: ignore[method-assign]
        self.plane = DataPlane(self.loop, snapshot, self.slot, 0, 1, writing, ManualClock())
        self.plane.on_live(self.show)
        self.plane.set_watch({"troubled": True, "routes": None, "slower": 0.0, "rate": 100})

    def show(self, lines: Sequence[str], missed: int, notices: Sequence[str]) -> bool:
        self.shown += lines
        return True

    def ask(self, path: str) -> tuple[bytes, dict[str, Any]]:
        """Head and problem document."""
        connection, transport = ClientConnection(self.plane, 0), Transport()
        connection.connection_made(transport)
        connection.data_received(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        self.loop.turn()
        head, _, body = bytes(transport.written).partition(b"\r\n\r\n")
        for call in self.timers:
            call()
        return head, json.loads(body)

    def logged(self) -> list[dict[str, Any]]:
        lines = os.read(self._reading, 1 << 20).splitlines()
        return [json.loads(line) for line in lines if not line.startswith(b"!")]


@pytest.fixture
def world() -> Iterator[World]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    yield World(reading, writing)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("reason", [Reason.INTERNAL_ERROR, Reason.NO_HEALTHY_TARGET])
def test_the_same_token_everywhere(reason: Reason, world: World) -> None:
    head, problem = world.ask(f"/{reason.value}")
    assert head.startswith(b"HTTP/1.1 %d " % STATUS[reason])
    assert (problem["reason"], problem["type"]) == (reason.value, f"urn:fastgw:reason:{reason.value}")
    assert f'details="{reason.value}"'.encode() in head
    (line,) = world.logged()
    assert (line["reason"], line["request_id"]) == (reason.value, problem["request_id"])
    assert [json.loads(each) for each in world.shown] == [line]
    offset = world.slot.counter(families.REJECTIONS, (line["route"], reason.value))
    assert world.slot.cells[offset] == 1

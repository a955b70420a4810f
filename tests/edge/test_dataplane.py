"""The tick of a worker: after a stall nobody is timed out before what the kernel holds was read."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from fastgw.account.series import SeriesMemory, Word
from fastgw.clock import ManualClock
from fastgw.edge.dataplane import STALLED, TICK, DataPlane
from fastgw.gateway.compile import compile_snapshot
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.snapshot import Snapshot

PLAIN = {
    "listeners": [{"address": "127.0.0.1:8080"}],
    "upstreams": {"app": {"targets": ["http://127.0.0.1:9001"]}},
    "routes": [{"name": "all", "match": {"path": "/*"}, "upstream": "app"}],
}


class Loop(asyncio.AbstractEventLoop):
    """As much of a loop as the tick needs: a time that the test moves."""

    def __init__(self) -> None:
        self.at = 50.0

    def time(self) -> float:
        return self.at

    def call_at(self, when, callback, *args, context=None):
        return None

    def call_later(self, delay, callback, *args, context=None):
        return None

    def call_soon(self, callback, *args, context=None):
        return None


class Waiting:
    def __init__(self) -> None:
        self.deadline = self.wake = float("inf")
        self.fired = 0

    def on_deadline(self, now: float) -> None:
        self.fired += 1
        self.deadline = float("inf")


def snapshot() -> Snapshot:
    steps = compile_snapshot(load_plain(PLAIN, "test"), 1, None)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def plane_of(loop: Loop, clock: ManualClock) -> tuple[DataPlane, SeriesMemory]:
    memory = SeriesMemory(1, 4096, 65536)
    return DataPlane(loop, snapshot(), memory.slot(0), 0, 1, os.open(Path(os.devnull), os.O_WRONLY), clock), memory


def test_a_late_tick_leaves_the_deadlines_to_the_next_one() -> None:
    loop, clock, waiting = Loop(), ManualClock(), Waiting()
    plane, memory = plane_of(loop, clock)
    plane.start()
    plane.deadlines.watch(waiting, clock.now() + 0.4)
    loop.at += TICK + STALLED + 1.0
    clock.advance(TICK + STALLED + 1.0)
    plane._tick()
    assert waiting.fired == 0
    loop.at += TICK
    clock.advance(TICK)
    plane._tick()
    assert waiting.fired == 1
    assert memory.slot(0).get(Word.HEARTBEAT) == 2


def test_a_loop_that_is_always_late_still_sweeps_every_other_tick() -> None:
    loop, clock, waiting = Loop(), ManualClock(), Waiting()
    plane, _ = plane_of(loop, clock)
    plane.start()
    plane.deadlines.watch(waiting, clock.now() + 0.01)
    for _ in range(2):
        loop.at += TICK + STALLED * 2
        clock.advance(TICK + STALLED * 2)
        plane._tick()
    assert waiting.fired == 1

"""Memory of a keep-alive connection that waits.

Resident size of all processes, before and after opening thousands.
"""

from __future__ import annotations

import time

from bench import cpu, stats
from bench.errors import VoidError
from bench.load import traffic
from bench.load.idle import IdleConnections
from bench.results import CaseResult, Goal, Verdict
from bench.rounds import rows_of
from bench.setting import BASE, OURS, Setting
from bench.world import Instance

PER_CONNECTION_KIB = Goal(4.0, 2.0)
SETTLE_SECONDS = 1.5
WARM = 50


def _resident(instance: Instance) -> int:
    time.sleep(SETTLE_SECONDS)  # buffers are given back and collections run when a process is idle: let them
    return sum(cpu.resident(instance.pids()).values())


def _measure(instance: Instance, count: int) -> dict[str, float]:
    paths = traffic.paths()
    with IdleConnections(instance.port, WARM, paths):
        pass
    before = _resident(instance)
    with IdleConnections(instance.port, count, paths) as idle:
        after = _resident(instance)
        alive = idle.still_open()
    if alive < count:
        raise VoidError(f"{instance.label} closed {count - alive} of {count} idle connections")
    return {
        "KiB/connection": max(after - before, 1) / 1024 / count,
        "before MB": before / (1 << 20),
        "with them MB": after / (1 << 20),
    }


def run(setting: Setting) -> list[CaseResult]:
    count = 2000 if setting.quick else 5000
    sides = setting.wanted()
    rounds: dict[str, list[dict[str, float]]] = {wanted.label: [] for wanted in sides}
    with setting.world("idle") as world:
        # Memory that an earlier round freed but the allocator kept would hide this round's: a new process
        # each time.
        for number in range(min(setting.rounds, 3)):
            for wanted in stats.rotated(sides, number):
                instance = world.start(wanted)
                rounds[wanted.label].append(_measure(instance, count))
                world.stop(instance)
            setting.say(
                f"round {number + 1}: "
                + ", ".join(
                    f"{label} {found[-1]['KiB/connection']:.2f} KiB" for label, found in rounds.items()
                )
            )
    rows = rows_of(rounds, "KiB/connection", dict.fromkeys(rounds, BASE))
    title = f"{count:,} idle keep-alive connections that had one request each"
    result = CaseResult("idle", title, "memory per connection, to nginx", rows)
    ours = result.row(OURS)
    if ours is not None:
        value = ours.figures["KiB/connection"]
        result.verdicts.append(Verdict("memory per idle connection", value, "KiB", PER_CONNECTION_KIB))
    return [result]

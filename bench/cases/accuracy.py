"""Is a limit what it says, whatever the number of workers and connections?

Our side only: 10 s of overload; admitted against rate x time + burst. Not a figure of speed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from bench import admin
from bench.cases.chain import off_store
from bench.load import traffic
from bench.load.wrk import MIXED, Load, Result, Wrk
from bench.results import CaseResult, Goal, Row, Verdict
from bench.setting import OURS, Setting
from bench.sides.side import Policies
from bench.world import Wanted

RATE = 1_000  # the least that is leased; the load is several times as much
SECONDS, QUICK_SECONDS = 10.0, 2.0
OFF_PERCENT = Goal(2.0, 1.0)


def figures_of(result: Result, modes: Mapping[str, float]) -> dict[str, float]:
    due = RATE * result.seconds + RATE
    admitted = result.requests - result.refused
    return {
        "due": due,
        "admitted": admitted,
        "off %": (admitted / due - 1) * 100,
        "asked/due": result.requests / due,
        "without store %": off_store(modes) * 100,
        "p99 ms": result.p99_us / 1000,
    }


def _one(setting: Setting, workers: int, fresh: bool, lease: str) -> Row:
    label = (
        f"{workers} workers, {'fresh' if fresh else 'keep-alive'}, {'leased' if lease == 'auto' else 'asked'}"
    )
    name = f"{OURS}-{workers}-{'fresh' if fresh else 'kept'}-{lease}"
    with setting.world("accuracy", workers) as world:
        # A new gateway and a new store each time: the bucket is full when the load begins.
        instance = world.start(
            Wanted(name, OURS, workers=workers, policies=Policies(address=RATE, lease=lease))
        )
        load = Load(traffic.paths(), answers=MIXED, fresh=fresh)
        wrk = Wrk(world.folder, world.cores.load)
        result = wrk.run(instance.port, load, QUICK_SECONDS if setting.quick else SECONDS)
        world.check_alive()
        found = figures_of(result, admin.limit_modes(instance.plan.admin_port))
    setting.say(f"{label}: {found['admitted']:.0f} of {found['due']:.0f} ({found['off %']:+.2f} %)")
    return Row(label, found, None, (found,))


def run(setting: Setting) -> list[CaseResult]:
    if not setting.with_ours:
        return []
    counts = (2,) if setting.quick else (2, 4, 8)
    rows = [
        _one(setting, workers, fresh, lease)
        for workers, fresh, lease in itertools.product(counts, (False, True), ("auto", "off"))
    ]
    title = (
        f"accuracy: {RATE:,}/s and a burst of {RATE:,} by address, 64 connections of one address ask for more"
    )
    result = CaseResult("accuracy", title, "none", rows)
    worst = max(abs(row.figures["off %"]) for row in rows)
    result.verdicts.append(Verdict("furthest from what is due", worst, "%", OFF_PERCENT))
    slow = [row.label for row in rows if row.figures["asked/due"] < 2]
    if slow:
        result.notes.append(f"hardly an overload: {', '.join(slow)}")
    strays = [row.label for row in rows if row.figures["without store %"] > 0]
    if strays:
        result.notes.append(
            f"decided in part without the store, which answered too late for on_error: local: {', '.join(strays)}"
        )
    return [result]

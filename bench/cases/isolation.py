"""What a healthy route of the same worker notices of another upstream that is in trouble: its p99, at a fixed rate.

Sixty-four connections ask the upstream in trouble, each again when it has its answer and its turn. The baseline is the
same load on the same two upstreams while both are well. nginx shows what the machine alone makes of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import stats
from bench.faults import BLACK_HOLE, DRIP, OK, RESET, STALL, Faults
from bench.load import arrivals, traffic
from bench.load.arrivals import Job
from bench.load.h2load import H2load
from bench.results import CaseResult, Goal, Verdict
from bench.rounds import Rounds, rows_of
from bench.setting import BASE, OURS, Setting
from bench.sides import faulty
from bench.sides.faulty import BREAKER, Behind
from bench.world import Wanted, World

TARGET = "a"
CONNECTIONS = 64
TROUBLED_RATE = 640.0  # a second; ten for each connection
HEALTHY_RATE = 2000.0
SETTLE_SECONDS = 2.0  # until all connections are in trouble
MOST_ROUNDS = 5
P99 = Goal(1.3, 1.1)
WELL = "both well"
TROUBLES: Mapping[str, Mapping[str, object]] = {
    WELL: OK,
    "black hole": BLACK_HOLE,
    "stalled": STALL,
    "resetting": RESET,
    "dripping": DRIP,
}


@dataclass(frozen=True)
class Setup:
    label: str
    kind: str
    breaker: str


SETUPS = (
    Setup(BASE, BASE, ""),
    Setup(f"{OURS} without breaker", OURS, ""),
    Setup(f"{OURS} with breaker", OURS, BREAKER),
)


def measure(
    setting: Setting, world: World, faults: Faults, port: int, order: Mapping[str, object]
) -> dict[str, float]:
    faults.restore()
    faults.tell(TARGET, order)
    seconds = max(2.0, setting.seconds)
    job = Job(
        *(port, faulty.PATH + "x", str(world.folder / "arrivals.json")),
        seconds=60,
        rate=TROUBLED_RATE,
        connections=CONNECTIONS,
    )
    troubled = arrivals.start(job, world.cores.load)
    try:
        time.sleep(SETTLE_SECONDS)
        found = H2load(world.folder, world.cores.load).run(port, traffic.paths(), HEALTHY_RATE, seconds)
        reached = faults.requests()
    finally:
        troubled.abandon()  # answers that drip would last for minutes
    return {
        "p50 ms": found.p50_us / 1000,
        "p99 ms": found.p99_us / 1000,
        "max ms": found.max_us / 1000,
        "reached the other": float(reached),
    }


def run(setting: Setting) -> list[CaseResult]:
    chosen = [setup for setup in SETUPS if setup.kind in setting.sides]
    names = [WELL, "stalled"] if setting.quick else list(TROUBLES)
    rounds: Rounds = {f"{setup.label}, {name}": [] for setup in chosen for name in names}
    with setting.world("isolation") as world:
        faults = world.start_faults(TARGET)
        for number in range(min(MOST_ROUNDS, setting.rounds)):
            for setup in stats.rotated(chosen, number):
                behind = Behind((faults.addresses[TARGET],), attempts=1, breaker=setup.breaker)
                for name in stats.rotated(names, number):
                    wanted = Wanted(setup.label.replace(" ", "-"), setup.kind)
                    instance = world.start(wanted, faulty.writer(setup.kind, behind))
                    figures = measure(setting, world, faults, instance.port, TROUBLES[name])
                    world.check_alive()
                    world.stop(instance)
                    rounds[f"{setup.label}, {name}"].append(figures)
                    setting.say(f"{setup.label}, {name}: p99 {figures['p99 ms']:.2f} ms")
    return [judged(rounds, [setup.label for setup in chosen])]


def judged(rounds: Rounds, labels: Sequence[str]) -> CaseResult:
    base = {row: f"{row.rpartition(', ')[0]}, {WELL}" for row in rounds}
    rows = rows_of(rounds, "p99 ms", base)
    title = (
        f"isolation: {HEALTHY_RATE:,.0f}/s on a healthy route, and {CONNECTIONS} connections with "
        f"{TROUBLED_RATE:.0f}/s on one whose upstream is in trouble"
    )
    result = CaseResult("isolation", title, "p99 of the healthy route, to that while both are well", rows)
    for label in labels:
        ratios = [
            row.ratio.median for row in rows if row.label.startswith(f"{label}, ") and row.ratio is not None
        ]
        if label != BASE and ratios:
            result.verdicts.append(Verdict(f"{label}: p99 in the worst trouble", max(ratios), "x well", P99))
    return result

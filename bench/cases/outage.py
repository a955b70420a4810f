"""When every target fails: how many attempts a client's request becomes, with a breaker and without one.

A closed load of 64 connections, which ask again as soon as they are refused; three attempts are allowed, and it is
the budget alone that keeps them from being made. Targets that fail at once, slowly, or now so and now so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench import stats
from bench.faults import RESET, SAYS_503, STALL, Faults
from bench.load import arrivals
from bench.load.arrivals import Job
from bench.results import CaseResult, Goal, Verdict
from bench.rounds import Rounds, rows_of
from bench.setting import BASE, OURS, Setting
from bench.sides import faulty
from bench.sides.faulty import BREAKER, Behind
from bench.world import Wanted, World

TARGETS = ("a", "b")
IN_FLIGHT = 64
SECONDS, QUICK_SECONDS = 5.0, 2.0
ATTEMPTS = 3
MOST_ROUNDS = 3
AMPLIFICATION = Goal(1.25, 1.22)
BARE, BROKEN = "no breaker", "breaker"

OUTAGES: Mapping[str, Mapping[str, Mapping[str, object]]] = {  # name -> target -> order
    "503 at once": {"a": SAYS_503, "b": SAYS_503},
    "reset at once": {"a": RESET, "b": RESET},
    "no answer": {"a": STALL, "b": STALL},
    "503 or no answer": {"a": SAYS_503, "b": STALL},
}


@dataclass(frozen=True)
class Setup:
    label: str
    kind: str
    behind: Behind


def setups(setting: Setting, targets: tuple[str, ...]) -> list[Setup]:
    found = [Setup(BASE, BASE, Behind(targets, attempts=ATTEMPTS))]
    if setting.with_ours:
        found += [
            Setup(f"{OURS}, {BARE}", OURS, Behind(targets, attempts=ATTEMPTS, breaker="")),
            Setup(f"{OURS}, {BROKEN}", OURS, Behind(targets, attempts=ATTEMPTS, breaker=BREAKER)),
        ]
    return found


def measure(world: World, faults: Faults, port: int, name: str, seconds: float) -> dict[str, float]:
    faults.restore()
    for target, order in OUTAGES[name].items():
        faults.tell(target, order)
    job = Job(
        *(port, faulty.PATH + "x", str(world.folder / "arrivals.json")),
        seconds=seconds,
        connections=IN_FLIGHT,
    )
    result = arrivals.start(job, world.cores.load).finish()
    count, reached = len(result.seen), faults.requests()
    return {
        "requests": float(count),
        "reached": float(reached),
        "attempts/req": reached / count,
        "200": float(result.statuses[200]),
        "502": float(result.statuses[502]),
        "503": float(result.statuses[503]),
        "504": float(result.statuses[504]),
        "p50 ms": result.milliseconds(0.5),
        "p99 ms": result.milliseconds(0.99),
    }


def run(setting: Setting) -> list[CaseResult]:
    seconds = QUICK_SECONDS if setting.quick else SECONDS
    names = list(OUTAGES)[:1] if setting.quick else list(OUTAGES)
    rounds: Rounds = {}
    with setting.world("outage") as world:
        faults = world.start_faults(*TARGETS)
        found = setups(setting, tuple(faults.addresses[name] for name in TARGETS))
        for number in range(1 if setting.quick else min(MOST_ROUNDS, setting.rounds)):
            for name in names:
                for setup in stats.rotated(found, number):
                    wanted = Wanted(setup.label.replace(", ", "-").replace(" ", "-"), setup.kind)
                    instance = world.start(wanted, faulty.writer(setup.kind, setup.behind))
                    figures = measure(world, faults, instance.port, name, seconds)
                    world.check_alive()
                    world.stop(instance)
                    rounds.setdefault(f"{setup.label}: {name}", []).append(figures)
                    setting.say(f"{setup.label}: {name}: {figures['attempts/req']:.3f} attempts a request")
    return [judged(rounds)]


def judged(rounds: Rounds) -> CaseResult:
    rows = rows_of(rounds, "attempts/req", {})
    title = (
        f"outage: all targets fail, {IN_FLIGHT} in flight, {ATTEMPTS} attempts allowed, the budget of 20 %"
    )
    result = CaseResult("outage", title, "none", rows)
    for kind in (BARE, BROKEN):
        worst = [
            max(one["attempts/req"] for one in row.rounds)
            for row in rows
            if row.label.startswith(f"{OURS}, {kind}:")
        ]
        if worst:
            what = f"attempts a request, worst outage, {kind}"
            result.verdicts.append(Verdict(what, max(worst), "", AMPLIFICATION))
    return result

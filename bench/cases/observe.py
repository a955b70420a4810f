"""What looking on costs the data plane: ten live tails of everything and a scrape of the metrics each second.

Our side only, one instance, interleaved with nobody looking on. The worker's CPU time is judged; what control does for
those who look on, beside it, is shown.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext

from bench import admin, cpu, stats
from bench.errors import VoidError
from bench.load import traffic
from bench.load.watchers import Job, Watchers
from bench.load.wrk import Load, Wrk
from bench.results import CaseResult, Goal, Verdict
from bench.rounds import WARM_SECONDS, Rounds, rows_of
from bench.setting import OURS, Setting
from bench.world import Instance, Wanted

TAILS = 10
LEAST_ROUNDS = 20  # a difference of 3 % is within what the machine does to one round
NOBODY, TEN = "nobody looks on", f"{TAILS} tails and a scrape each second"
COST = Goal(1.03, 1.01)
ROUTES = 100  # so that a scrape has something to say


def measure(instance: Instance, wrk: Wrk, load: Load, seconds: float) -> dict[str, float]:
    pids = {int(worker["pid"]) for worker in admin.status(instance.plan.admin_port)["workers"]}
    before, begin = instance.sample(), time.monotonic()
    result = wrk.run(instance.port, load, seconds)
    wall, after = time.monotonic() - begin, instance.sample()
    workers = cpu.between(only(before, pids), only(after, pids)).total
    total = cpu.between(before, after).total
    return {
        "worker us": workers * 1e6 / result.requests,
        "total us": total * 1e6 / result.requests,
        "others % of a core": (total - workers) / wall * 100,
        "req/s": result.rate,
        "p99 ms": result.p99_us / 1000,
    }


def only(sample: cpu.Sample, pids: set[int]) -> cpu.Sample:
    return {key: found for key, found in sample.items() if key[0] in pids}


def run(setting: Setting) -> list[CaseResult]:
    if not setting.with_ours:
        return []
    rounds: Rounds = {NOBODY: [], TEN: []}
    with setting.world("observe") as world:
        instance = world.start(Wanted(OURS, OURS, routes=ROUTES))
        job = Job(instance.plan.admin_port, TAILS)
        wrk, load = Wrk(world.folder, world.cores.load), Load(traffic.routed_paths(ROUTES))
        wrk.run(instance.port, load, WARM_SECONDS)
        count = setting.rounds if setting.quick else max(LEAST_ROUNDS, setting.rounds)
        for number in range(count):
            for label in stats.rotated(list(rounds), number):
                watchers = Watchers(job, world.cores.load)
                looking: AbstractContextManager[object] = watchers if label == TEN else nullcontext()
                with looking:
                    figures = measure(instance, wrk, load, setting.seconds)
                if label == TEN and (not watchers.seen.exchanges or not watchers.seen.scrapes):
                    raise VoidError(f"those who looked on saw nothing: {watchers.seen}")
                seen, slowest = watchers.seen.exchanges, watchers.seen.slowest_ms
                rounds[label].append(figures | {"seen/s": seen / setting.seconds, "slowest scrape ms": slowest})
            setting.say(
                f"round {number + 1}/{count}: "
                + ", ".join(f"{label} {found[-1]['worker us']:.1f} us" for label, found in rounds.items())
            )
        world.check_alive()
    return [judged(rounds)]


def judged(rounds: Rounds) -> CaseResult:
    rows = rows_of(rounds, "worker us", dict.fromkeys(rounds, NOBODY))
    title = f"observe: {ROUTES} routes at saturation, one worker, with those who look on and without"
    result = CaseResult("observe", title, "CPU time of the worker per request, to the same with nobody", rows)
    found = result.row(TEN)
    if found is not None and found.ratio is not None:
        result.verdicts.append(Verdict(f"CPU per request with {TEN}", found.ratio.median, "x nobody", COST))
    return result

"""Publishing through the admin API. One of 10,000 routes: how soon all workers serve it, and how long that holds a thread
of theirs. And 1,000 versions one after the other, of a route that is under load: what is lost, and what grows.

Our side only. The longest callback is measured on an instance of its own, under bench.counting, which slows it down.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from bench import admin, cpu, stats
from bench.cases.reload import COUNTS_AGE, longest_ms
from bench.errors import VoidError
from bench.load import arrivals, traffic
from bench.load.arrivals import Job, Result
from bench.load.wrk import Load, Wrk
from bench.publishing import Publisher
from bench.results import CaseResult, Goal, Row, Verdict
from bench.setting import OURS, Setting
from bench.sides import fastgw
from bench.world import Instance, Wanted, World

WORKERS = 2
ROUTES = 10_000
SERVED = Goal(1.0, 0.6)
CALLBACK_MS = Goal(5.0, 2.0)

VERSIONS, QUICK_VERSIONS = 1_000, 100
FEW_ROUTES = 100
RATE, CONNECTIONS = 500.0, 64
SECONDS, QUICK_SECONDS = 60.0, 10.0  # of load; the versions must be through before it ends
WARM_SHARE = 0.2  # of the versions, before growth counts: histories and allocators fill up first
LOST = Goal(0, 0)
GROWN_MB = Goal(8.0, 2.0)


def worker_pids(instance: Instance) -> list[int]:
    return [int(worker["pid"]) for worker in admin.status(instance.plan.admin_port)["workers"]]


def one_of_many(setting: Setting) -> CaseResult:
    route = f"/api/routes/r{ROUTES - 1}"
    with setting.world("publish", WORKERS) as world:
        counts = world.folder / "counts"
        wanted = Wanted(OURS, OURS, workers=WORKERS, routes=ROUTES)
        figures, names = [], set()
        with Publisher(_warm(world, world.start(wanted)).plan.admin_port) as publisher:
            served = [publisher.patch(route, {"max_body": f"{number + 1}MB"}) for number in range(setting.rounds)]
        world.stop(world.instances[0])
        counted = _warm(world, world.start(wanted, partial(fastgw.write_counted, counts=counts, frames=False)))
        with Publisher(counted.plan.admin_port) as publisher:
            for number, took in enumerate(served):
                longest, name = _counted(counted, counts, publisher, route, number + 1)
                figures.append({"served s": took, "longest callback ms": longest})
                names.add(name)
                setting.say(
                    f"round {number + 1}/{setting.rounds}: served after {took:.2f} s, longest {longest:.2f} ms in {name}"
                )
        world.check_alive()
    return judged_of_many(figures, names)


def _warm(world: World, instance: Instance) -> Instance:
    Wrk(world.folder, world.cores.load).run(instance.port, Load(traffic.routed_paths(ROUTES)), 1.0)
    return instance


def _counted(
    instance: Instance, counts: Path, publisher: Publisher, route: str, number: int
) -> tuple[float, str]:
    """The longest callback of any worker in the second around the publish."""
    pids, since = worker_pids(instance), time.monotonic()
    publisher.patch(route, {"max_body": f"{number}MB"})
    time.sleep(COUNTS_AGE)
    return max(longest_ms(counts, pid, since) for pid in pids)


def judged_of_many(figures: list[dict[str, float]], names: set[str]) -> CaseResult:
    medians = {column: stats.median([one[column] for one in figures]) for column in figures[0]}
    title = f"publish: one of {ROUTES:,} routes changed by PATCH, {WORKERS} workers"
    row = Row(OURS, medians, None, tuple(figures))
    notes = [f"longest callbacks (counted: slower than in life): {', '.join(sorted(names))}"]
    result = CaseResult("publish", title, "none", [row], notes=notes)
    worst = max(one["longest callback ms"] for one in figures)
    result.verdicts.append(Verdict("served by all workers after", medians["served s"], "s", SERVED))
    result.verdicts.append(Verdict("longest callback, CPU time", worst, "ms", CALLBACK_MS))
    return result


def in_a_row(setting: Setting) -> CaseResult:
    """The route that is changed is the one that is asked."""
    versions, seconds = (QUICK_VERSIONS, QUICK_SECONDS) if setting.quick else (VERSIONS, SECONDS)
    with setting.world("publishes", WORKERS) as world:
        instance = world.start(Wanted(OURS, OURS, workers=WORKERS, routes=FEW_ROUTES))
        output = str(world.folder / "arrivals.json")
        path = f"{traffic.route_of(0)[1]}orders/1"
        job = Job(instance.port, path, output, seconds, RATE, CONNECTIONS)
        logged = instance.log_lines()
        load = arrivals.start(job, world.cores.load)
        try:
            took, sizes = _versions(setting, instance, versions)
            busy = load.popen.poll() is None
            result = load.finish()
        finally:
            load.abandon()
        world.check_alive()
        if not busy:
            raise VoidError(f"the load was over after {seconds:.0f} s, the {versions} versions took {sum(took):.0f}")
        lines = _settled(instance, logged + len(result.seen)) - logged
    return judged_in_a_row(took, sizes, result, lines)


def _versions(setting: Setting, instance: Instance, count: int) -> tuple[list[float], list[dict[int, int]]]:
    """Seconds of each, and the sizes of all processes: when it is warm, and after each tenth from then on."""
    took, sizes = [], []
    with Publisher(instance.plan.admin_port) as publisher:
        for number in range(1, count + 1):
            took.append(publisher.patch("/api/routes/r0", {"max_body": f"{number}KB"}))
            if number % (count // 10) == 0:
                setting.say(f"{number} versions, {sum(took):.1f} s")
                if number >= WARM_SHARE * count:
                    sizes.append(cpu.resident(instance.pids()))
    return took, sizes


def _settled(instance: Instance, wanted: int) -> int:
    deadline = time.monotonic() + 3.0
    while (lines := instance.log_lines()) < wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return lines


def grown_mb(sizes: list[dict[int, int]]) -> float:
    """What any process is larger at the end than when it was warm. One that is gone, or new, is a failure."""
    if sizes[0].keys() != sizes[-1].keys():
        raise VoidError(f"processes came and went: {sorted(sizes[0])}, {sorted(sizes[-1])}")
    return max(sizes[-1][pid] - size for pid, size in sizes[0].items()) / (1 << 20)


def judged_in_a_row(took: list[float], sizes: list[dict[int, int]], found: Result, lines: int) -> CaseResult:
    ordered = sorted(took)
    figures = {
        "versions": float(len(took)),
        "p50 of a version ms": stats.percentile(ordered, 0.5) * 1000,
        "p99 of a version ms": stats.percentile(ordered, 0.99) * 1000,
        "requests": float(len(found.seen)),
        "failed": float(found.failed),
        "lines missing": float(len(found.seen) - lines),
        "dropped by the load": float(found.dropped),
        "p99 ms": found.milliseconds(0.99),
        "grown MB": grown_mb(sizes),
    }
    title = f"{len(took):,} versions one after the other, {RATE:.0f}/s on the route that changes, {WORKERS} workers"
    result = CaseResult("publish", title, "none", [Row(OURS, figures, None, (figures,))])
    result.verdicts.append(Verdict("failed requests", figures["failed"], "", LOST))
    result.verdicts.append(Verdict("requests without a log line", figures["lines missing"], "", LOST))
    result.verdicts.append(Verdict("growth of any process once warm", figures["grown MB"], "MB", GROWN_MB))
    return result


def run(setting: Setting) -> list[CaseResult]:
    return [one_of_many(setting), in_a_row(setting)] if setting.with_ours else []

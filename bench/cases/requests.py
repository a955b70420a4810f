"""CPU time per small request at saturation.

Plain, hostile to a memo, two workers, 10 against 10,000 routes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import compare, cpu, process, stats
from bench.errors import VoidError
from bench.load import traffic
from bench.load.wrk import Wrk
from bench.results import CaseResult, Goal, Row, Verdict
from bench.setting import BASE, OURS, Setting
from bench.world import Instance, Wanted, World

Rounds = dict[str, list[dict[str, float]]]


@dataclass
class Measured:
    rounds: Rounds
    processes: dict[str, dict[str, float]]  # side -> process -> us per request, over all rounds

    def notes(self, label: str) -> list[str]:
        if label not in self.processes:
            return []
        shares = sorted(self.processes[label].items(), key=lambda pair: -pair[1])
        return [f"{label} by process: " + ", ".join(f"{name} {used:.2f} us" for name, used in shares)]


LOG_PATIENCE = 12.0  # Envoy writes its log every 10 s
WARM_SECONDS = 1.0
PLAIN = Goal(1.1, 0.85)
HOSTILE = Goal(1.4, 1.1)
ROUTES = Goal(1.1, 1.0)


def one_round(
    instance: Instance, wrk: Wrk, paths: Sequence[str], seconds: float, hostile: bool
) -> dict[str, float]:
    before, begin = instance.sample(), time.monotonic()
    result = wrk.run(instance.port, paths, seconds, hostile)
    wall = time.monotonic() - begin
    used = cpu.between(before, instance.sample())
    micro = 1e6 / result.requests
    return {
        "user us": used.user * micro,
        "kernel us": used.kernel * micro,
        "total us": used.total * micro,
        "req/s": result.rate,
        "cores busy": used.total / wall,
        "p50 ms": result.p50_us / 1000,
        "p99 ms": result.p99_us / 1000,
        "requests": result.requests,
    }


def interleave(
    setting: Setting, world: World, wrk: Wrk, paths: Mapping[str, Sequence[str]], hostile: bool = False
) -> Measured:
    rounds: Rounds = {instance.label: [] for instance in world.instances}
    logged = {instance.label: instance.log_lines() for instance in world.instances}
    asked = dict.fromkeys(rounds, 0)
    first = {instance.label: instance.sample() for instance in world.instances}
    for instance in world.instances:
        asked[instance.label] += wrk.run(instance.port, paths[instance.label], WARM_SECONDS, hostile).requests
    for number in range(setting.rounds):
        for instance in stats.rotated(world.instances, number):
            figures = one_round(instance, wrk, paths[instance.label], setting.seconds, hostile)
            rounds[instance.label].append(figures)
            asked[instance.label] += int(figures["requests"])
        setting.say(
            f"round {number + 1}/{setting.rounds}: "
            + ", ".join(f"{label} {found[-1]['total us']:.1f} us" for label, found in rounds.items())
        )
    world.check_alive()
    for instance in world.instances:
        _check_log(instance, logged[instance.label] + asked[instance.label])
    processes = {
        instance.label: {
            _role(instance, name): used * 1e6 / asked[instance.label]
            for name, used in cpu.by_process(first[instance.label], instance.sample()).items()
        }
        for instance in world.instances
    }
    return Measured(rounds, processes)


def _role(instance: Instance, name: str) -> str:
    """`PID command` with what the process is, as far as the outside shows it: who holds the access log open."""
    pid = int(name.partition(" ")[0])
    if pid == instance.process.pid:
        return f"{name} (started first)"
    holds_log = str(instance.plan.access_log) in process.open_files(pid)
    return f"{name} (has the log open)" if holds_log else name


def _check_log(instance: Instance, wanted: int) -> None:
    """A side that drops log lines under load saves the work that the others do: that is no comparison."""
    deadline = time.monotonic() + LOG_PATIENCE
    while (lines := instance.log_lines()) < wanted:
        if time.monotonic() > deadline:
            raise VoidError(f"{instance.label} wrote {lines} log lines for at least {wanted} requests")
        time.sleep(0.2)


def rows_of(rounds: Rounds, column: str, base: Mapping[str, str]) -> list[Row]:
    """Medians of every column; the ratio of `column` to the row that `base` names for the label."""
    rows = []
    for label, found in rounds.items():
        figures = {
            name: stats.median([one[name] for one in found]) for name in found[0] if name != "requests"
        }
        other = base.get(label)
        ratio = None
        if other is not None and other in rounds:
            ratio = stats.paired([one[column] for one in found], [one[column] for one in rounds[other]])
        rows.append(Row(label, figures, ratio, tuple(found)))
    return rows


def _saturation_notes(rows: Sequence[Row], workers: int) -> list[str]:
    idle = [row.label for row in rows if row.figures["cores busy"] < 0.9 * workers]
    if not idle:
        return []
    return [f"not saturated (load or upstream was the bottleneck): {', '.join(idle)}"]


def _run(
    setting: Setting, case: str, title: str, goal: Goal, *, hostile: bool = False, workers: int = 1
) -> CaseResult:
    paths = traffic.paths(traffic.HOSTILE_PREFIX if hostile else "")
    with setting.world(case, workers) as world:
        for wanted in setting.wanted(workers):
            world.start(wanted)
        checked = paths[:100] if setting.quick else paths
        compare.same_answers(world.upstream_port, world.instances, checked)
        wrk = Wrk(world.folder, world.cores.load)
        measured = interleave(setting, world, wrk, dict.fromkeys(setting.sides, paths), hostile)
        compare.same_answers(world.upstream_port, world.instances, checked)
        shared = world.cores.shared
    rows = rows_of(measured.rounds, "total us", dict.fromkeys(setting.sides, BASE))
    result = CaseResult(
        case, title, "CPU time per request, to nginx", rows, notes=_saturation_notes(rows, workers)
    )
    result.notes += measured.notes(OURS)
    if shared:
        result.notes.append(
            "too few cores: load and upstream share them, trust the CPU time, not rate or latency"
        )
    ours = result.row(OURS)
    if ours is not None and ours.ratio is not None:
        result.verdicts.append(Verdict("CPU per request", ours.ratio.median, "x nginx", goal))
    return result


def plain(setting: Setting) -> list[CaseResult]:
    title = "plain: 1,000 paths, six headers, 300-byte credential, keep-alive, access log on, one worker"
    return [_run(setting, "plain", title, PLAIN)]


def hostile(setting: Setting) -> list[CaseResult]:
    title = "hostile: as plain, with a unique header in every request and every answer"
    return [_run(setting, "hostile", title, HOSTILE, hostile=True)]


def workers(setting: Setting) -> list[CaseResult]:
    title = "two workers each (nginx with reuseport)"
    return [_run(setting, "workers", title, PLAIN, workers=2)]


def routes(setting: Setting) -> list[CaseResult]:
    few, many = 10, 10_000
    kinds = [kind for kind in setting.sides if kind in (BASE, OURS)]
    with setting.world("routes") as world:
        paths, base = {}, {}
        for kind in kinds:
            for count in (few, many):
                label = f"{kind}-{count}"
                world.start(Wanted(label, kind, routes=count))
                paths[label] = traffic.routed_paths(count)
                base[label] = f"{kind}-{few}"
        for instance in world.instances:
            compare.same_answers(world.upstream_port, [instance], paths[instance.label][:100])
        measured = interleave(setting, world, Wrk(world.folder, world.cores.load), paths)
    rows = rows_of(measured.rounds, "total us", base)
    title = "10 against 10,000 routes, half exact paths, half prefixes"
    result = CaseResult("routes", title, "CPU time per request, to the same side with 10 routes", rows)
    ours = result.row(f"{OURS}-{many}")
    if ours is not None and ours.ratio is not None:
        result.verdicts.append(Verdict("10,000 routes", ours.ratio.median, "x 10 routes", ROUTES))
    return [result]

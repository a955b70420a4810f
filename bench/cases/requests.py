"""CPU time per small request at saturation.

Plain, hostile to a memo, two workers, 10 against 10,000 routes.
"""

from __future__ import annotations

from bench import compare
from bench.load import traffic
from bench.load.wrk import Load, Wrk
from bench.results import CaseResult, Goal, Verdict
from bench.rounds import Trial, interleave, rows_of, saturation_notes
from bench.setting import BASE, OURS, Setting
from bench.world import Wanted

PLAIN = Goal(1.1, 0.85)
HOSTILE = Goal(1.4, 1.1)
ROUTES = Goal(1.1, 1.0)


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
        load = Load(paths, hostile)
        trials = [Trial(instance.label, instance, load) for instance in world.instances]
        measured = interleave(setting, world, wrk, trials)
        compare.same_answers(world.upstream_port, world.instances, checked)
        shared = world.cores.shared
    rows = rows_of(measured.rounds, "total us", dict.fromkeys(setting.sides, BASE))
    result = CaseResult(
        case, title, "CPU time per request, to nginx", rows, notes=saturation_notes(rows, workers)
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
        trials, base = [], {}
        for kind in kinds:
            for count in (few, many):
                label = f"{kind}-{count}"
                instance = world.start(Wanted(label, kind, routes=count))
                trials.append(Trial(label, instance, Load(traffic.routed_paths(count))))
                base[label] = f"{kind}-{few}"
        for trial in trials:
            compare.same_answers(world.upstream_port, [trial.instance], trial.load.paths[:100])
        measured = interleave(setting, world, Wrk(world.folder, world.cores.load), trials)
    rows = rows_of(measured.rounds, "total us", base)
    title = "10 against 10,000 routes, half exact paths, half prefixes"
    result = CaseResult("routes", title, "CPU time per request, to the same side with 10 routes", rows)
    ours = result.row(f"{OURS}-{many}")
    if ours is not None and ours.ratio is not None:
        result.verdicts.append(Verdict("10,000 routes", ours.ratio.median, "x 10 routes", ROUTES))
    return [result]

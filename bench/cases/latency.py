"""What a side adds to the 99th percentile at half of saturation, all at the same fixed rate (open model)."""

from __future__ import annotations

from bench import compare, stats
from bench.load import traffic
from bench.load.h2load import H2load
from bench.load.wrk import Load, Wrk
from bench.results import CaseResult, Goal, Verdict
from bench.rounds import rows_of
from bench.setting import BASE, OURS, Setting

ADDED_P99 = Goal(1.5, 1.0)
DIRECT = "direct"
HEADROOM = 1.3  # a peer whose saturation is nearer than this to the rate would measure its queue: left out
FLOOR_MS = 0.05  # an added p99 below this is noise, and no base for a ratio


def run(setting: Setting) -> list[CaseResult]:
    """One worker; two as well where there are four cores."""
    results = [_run(setting, 1)]
    if len(setting.cores) >= 4:
        results.append(_run(setting, 2))
    return results


def _run(setting: Setting, workers: int) -> CaseResult:
    case = "latency" if workers == 1 else f"latency-{workers}"
    paths = traffic.paths()
    with setting.world(case, workers) as world:
        for wanted in setting.wanted(workers):
            world.start(wanted)
        compare.same_answers(world.upstream_port, world.instances, paths[:100])
        wrk = Wrk(world.folder, world.cores.load)
        ports = {DIRECT: world.upstream_port} | {
            instance.label: instance.port for instance in world.instances
        }
        saturation = {label: wrk.run(port, Load(paths), 2).rate for label, port in ports.items()}
        rate = min(saturation[label] for label in (BASE, OURS) if label in saturation) / 2
        slow = [label for label, found in saturation.items() if found < HEADROOM * rate]
        for label in slow:
            del ports[label]
        setting.say(
            "saturation: "
            + ", ".join(f"{label} {found:,.0f}/s" for label, found in saturation.items())
            + f"; rate for all: {rate:,.0f}/s"
        )
        h2load = H2load(world.folder, world.cores.load)
        rounds: dict[str, list[dict[str, float]]] = {label: [] for label in ports}
        for number in range(setting.rounds):
            for label in stats.rotated(list(ports), number):
                found = h2load.run(ports[label], paths, rate, max(2.0, setting.seconds))
                rounds[label].append(
                    {
                        "p50 ms": found.p50_us / 1000,
                        "p99 ms": found.p99_us / 1000,
                        "max ms": found.max_us / 1000,
                        "req/s": found.rate,
                    }
                )
            setting.say(
                f"round {number + 1}/{setting.rounds}: p99 "
                + ", ".join(f"{label} {found[-1]['p99 ms']:.2f} ms" for label, found in rounds.items())
            )
        world.check_alive()
    rows = rows_of(rounds, "p99 ms", {label: BASE for label in ports if label != DIRECT})
    title = f"latency at {rate:,.0f}/s (half of what saturates nginx and us), {workers} worker(s)"
    result = CaseResult(case, title, "p99, to nginx", rows)
    result.notes += [f"{label} is left out: {saturation[label]:,.0f}/s saturate it" for label in slow]
    _judge(result)
    return result


def _judge(result: CaseResult) -> None:
    """Added = above the same load without a gateway.

    Of the medians: a difference of two rounds is mostly noise.
    """
    direct, base, ours = (result.row(label) for label in (DIRECT, BASE, OURS))
    if direct is None or base is None:
        return
    added = base.figures["p99 ms"] - direct.figures["p99 ms"]
    result.notes.append(f"nginx adds {added:.2f} ms to the p99 of {direct.figures['p99 ms']:.2f} ms")
    if added < FLOOR_MS:
        result.notes.append(f"that is below the noise: {FLOOR_MS} ms is taken as the base")
    if ours is not None:
        ratio = max(0.0, ours.figures["p99 ms"] - direct.figures["p99 ms"]) / max(FLOOR_MS, added)
        result.verdicts.append(Verdict("added p99", ratio, "x nginx", ADDED_P99))

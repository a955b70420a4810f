"""What a refusal costs: 429 by address and by consumer, 401, 404, against nginx's `limit_req` that says 429.

All behind the whole chain, so that a refusal pays for what stands before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bench import compare, rounds
from bench.cases.chain import WHOLE, decided
from bench.load import tokens, traffic
from bench.load.wrk import REFUSED, Load, Wrk
from bench.results import CaseResult, Goal, Verdict
from bench.rounds import Trial
from bench.setting import BASE, OURS, Setting
from bench.sides.side import Policies
from bench.world import Wanted

FEW = 1  # a second, and at once: less than 1 % of the load, even for each of 64 consumers
CPU = Goal(1.3, 0.9)
NGINX = f"{BASE}-429"
CHECKED = 200  # more than what all buckets together admit at once, twice


@dataclass(frozen=True)
class Refusal:
    label: str
    side: str
    instance: str
    status: int
    bearer: Callable[[int], str]
    prefix: str = ""


INSTANCES = {
    NGINX: (BASE, Policies(address=FEW)),
    f"{OURS}-address": (OURS, replace(WHOLE, address=FEW)),
    f"{OURS}-consumer": (OURS, replace(WHOLE, consumer=FEW)),
    f"{OURS}-chain": (OURS, WHOLE),
    "envoy-address": ("envoy", replace(WHOLE, address=FEW)),
    "envoy-chain": ("envoy", WHOLE),
}


def refusals() -> list[Refusal]:
    good, forged = tokens.good(), tokens.forged()
    return [
        Refusal(NGINX, BASE, NGINX, 429, good),
        Refusal(f"{OURS}-429-address", OURS, f"{OURS}-address", 429, good),
        Refusal(f"{OURS}-429-consumer", OURS, f"{OURS}-consumer", 429, good),
        Refusal(f"{OURS}-401-missing", OURS, f"{OURS}-chain", 401, tokens.none),
        Refusal(f"{OURS}-401-forged", OURS, f"{OURS}-chain", 401, forged),
        Refusal(f"{OURS}-404", OURS, f"{OURS}-chain", 404, good, prefix="/nowhere"),
        Refusal("envoy-429", "envoy", "envoy-address", 429, good),
        Refusal("envoy-401-forged", "envoy", "envoy-chain", 401, forged),
    ]


def run(setting: Setting) -> list[CaseResult]:
    asked = [one for one in refusals() if one.side in setting.sides]
    with setting.world("refusals") as world:
        for label, (kind, policies) in INSTANCES.items():
            if kind in setting.sides:
                world.start(Wanted(label, kind, policies=policies))
        instances = {instance.label: instance for instance in world.instances}
        trials = []
        for one in asked:
            paths = traffic.paths(one.prefix)
            trials.append(
                Trial(one.label, instances[one.instance], Load(paths, bearer=one.bearer, answers=REFUSED))
            )
        wrk = Wrk(world.folder, world.cores.load)
        measured = rounds.interleave(setting, world, wrk, trials)
        for one, trial in zip(asked, trials, strict=True):
            compare.refused(trial.instance, trial.load.paths[:CHECKED], one.bearer, one.status)
        notes = decided(world.instances)
    rows = rounds.rows_of(measured.rounds, "total us", dict.fromkeys(measured.rounds, NGINX))
    title = "refusals: keep-alive, access log on, all but a few tokens' worth refused"
    of = "CPU time per refusal without the store, to nginx's limit_req"
    result = CaseResult("refusals", title, of, rows, notes=rounds.saturation_notes(rows, 1) + notes)
    for row in rows:
        if row.label.startswith(OURS) and row.ratio is not None:
            result.verdicts.append(Verdict(row.label, row.ratio.median, f"x {NGINX}", CPU))
    return [result]

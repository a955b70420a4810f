"""What each policy adds: address limit, cached JWT, consumer limit in Redis, against nginx that only passes on.

And the whole chain against Envoy's own filters for the same. HAProxy has none of them and is left out. The store's CPU
time stands in a column of its own, with the commands that it was sent for 1,000 requests at 64 in flight.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from bench import admin, compare, rounds, stats
from bench.errors import VoidError
from bench.load import tokens, traffic
from bench.load.wrk import Load, Wrk
from bench.results import CaseResult, Goal, Verdict
from bench.rounds import Measured, Trial
from bench.setting import BASE, OURS, Setting
from bench.sides.side import Policies
from bench.world import Instance, Wanted

RATE = 100_000  # tokens a second and burst: no request is refused, and a lease is 1,000 tokens
SMALL_RATE = 2_000  # of each of 64 consumers: a lease is 20 tokens
CHAIN, SMALL, ASKED, ENVOY = f"{OURS}-chain", f"{OURS}-chain-2000", f"{OURS}-chain-asked", "envoy-chain"
WHOLE = Policies(address=RATE, jwt=True, consumer=RATE)
STEPS = {  # each with one policy more than the one above
    OURS: Policies(),
    f"{OURS}-address": Policies(address=RATE),
    f"{OURS}-jwt": Policies(address=RATE, jwt=True),
    CHAIN: WHOLE,
}
VARIANTS = {
    SMALL: Policies(address=RATE, jwt=True, consumer=SMALL_RATE),
    ASKED: Policies(address=RATE, jwt=True, consumer=RATE, lease="off"),  # the store decides on each request
}
CPU = Goal(1.3, 0.95)
TO_ENVOY = Goal(0.55, 0.4)
COMMANDS_LEASED = Goal(10, 2)  # for 1,000 admitted requests
COMMANDS_ASKED = Goal(100, 80)
WITHOUT_STORE = ("local", "allow", "deny")
OFF_STORE_SHARE = (
    0.01  # decisions without the store or a lease of it: above this it was not the store's chain
)
WITH_STORE = "with store/nginx"


def wanted(setting: Setting) -> list[Wanted]:
    found = [Wanted(BASE, BASE)]
    if setting.with_ours:
        found += [Wanted(label, OURS, policies=policies) for label, policies in (STEPS | VARIANTS).items()]
    if "envoy" in setting.sides:
        found.append(Wanted(ENVOY, "envoy", policies=WHOLE))
    return found


def off_store(modes: Mapping[str, float]) -> float:
    """The share of decisions that neither the store took nor a lease of it."""
    return sum(modes.get(mode, 0) for mode in WITHOUT_STORE) / max(1, sum(modes.values()))


def decided(instances: list[Instance]) -> list[str]:
    """On which store the limits were decided; a chain that mostly did without would look cheap."""
    notes = []
    for instance in instances:
        if instance.store is None:
            continue
        modes = admin.limit_modes(instance.plan.admin_port)
        total = sum(modes.values())
        if not total or off_store(modes) > OFF_STORE_SHARE:
            raise VoidError(f"{instance.label} decided too often without its store: {modes}")
        shares = ", ".join(f"{mode} {count / total:.2%}" for mode, count in sorted(modes.items()))
        notes.append(f"{instance.label} decided its limits by: {shares}")
    return notes


def run(setting: Setting) -> list[CaseResult]:
    paths, bearer = traffic.paths(), tokens.good()
    with setting.world("chain") as world:
        for one in wanted(setting):
            world.start(one)
        checked = paths[:100] if setting.quick else paths
        compare.same_answers(world.upstream_port, world.instances, checked, bearer)
        load = Load(paths, bearer=bearer)
        trials = [Trial(instance.label, instance, load) for instance in world.instances]
        measured = rounds.interleave(setting, world, Wrk(world.folder, world.cores.load), trials)
        compare.same_answers(world.upstream_port, world.instances, checked, bearer)
        notes = decided(world.instances)
    _add_ratio_with_store(measured)
    rows = rounds.rows_of(measured.rounds, "total us", dict.fromkeys(measured.rounds, BASE))
    title = (
        f"chain: limits of {RATE:,}/s by address and consumer, HS256 tokens of {traffic.CREDENTIAL_BYTES} bytes "
        f"of {traffic.CREDENTIALS} consumers; {SMALL}: {SMALL_RATE:,}/s; {ASKED}: lease off"
    )
    of = "CPU time per request without the store, to nginx's plain pass with its access log"
    result = CaseResult("chain", title, of, rows, notes=rounds.saturation_notes(rows, 1))
    if CHAIN in measured.rounds:
        result.notes += [_added(measured), *measured.notes(CHAIN), *notes]
        _judge(result, measured)
    return [result]


def _add_ratio_with_store(measured: Measured) -> None:
    base = measured.rounds[BASE]
    for label, found in measured.rounds.items():
        ratios = rounds.against(measured.rounds, label, _with_store(found[0]), BASE, "total us")
        for figures, ratio in zip(found, ratios, strict=True):
            figures[WITH_STORE] = ratio if found is not base else 1.0


def _with_store(figures: dict[str, float]) -> str:
    """Without our side no store runs, and there is no such column."""
    return "with store us" if "with store us" in figures else "total us"


def _added(measured: Measured) -> str:
    """Median over the rounds of what a policy costs more than the row above, ours alone."""
    labels = list(STEPS)
    parts = []
    for before, label in itertools.pairwise(labels):
        pairs = zip(measured.rounds[label], measured.rounds[before], strict=True)
        more = stats.median([one["total us"] - other["total us"] for one, other in pairs])
        parts.append(f"{label.removeprefix(OURS + '-')} {more:+.2f} us")
    return "each policy adds: " + ", ".join(parts).replace("chain", "consumer limit")


def _judge(result: CaseResult, measured: Measured) -> None:
    chain, asked = result.row(CHAIN), result.row(ASKED)
    if chain is None or chain.ratio is None or asked is None:
        return
    found = measured.rounds
    result.verdicts.append(Verdict("chain, CPU per request", chain.ratio.median, "x nginx", CPU))
    with_store = chain.figures[WITH_STORE]
    result.verdicts.append(Verdict("chain, CPU per request with the store's", with_store, "x nginx", CPU))
    if ENVOY in found:
        ratio = stats.median(rounds.against(found, CHAIN, "total us", ENVOY, "total us"))
        result.verdicts.append(Verdict("chain, CPU per request", ratio, "x Envoy's", TO_ENVOY))
    for row, goal in ((chain, COMMANDS_LEASED), (asked, COMMANDS_ASKED)):
        what = f"{row.label}, commands for 1,000 requests"
        result.verdicts.append(Verdict(what, row.figures["commands/1000"], "", goal))

"""Does a request that may not be repeated ever reach a target twice? POSTs, each with an id of its own, while targets
cut connections at random: with the head of the request, after its body, within the answer; closed, or reset.
"""

from __future__ import annotations

from bench.load import arrivals
from bench.load.arrivals import Job
from bench.results import CaseResult, Goal, Row, Verdict
from bench.setting import BASE, OURS, Setting
from bench.sides import faulty
from bench.sides.faulty import Behind
from bench.world import Wanted, World

REQUESTS, QUICK_REQUESTS = 100_000, 4_000
SECONDS = 300.0  # a bound
CONNECTIONS = 64
CUT_SHARE = 0.2
BODIES = (0, 2_000)  # bytes
NONE_TWICE = Goal(0, 0)
HOWS = {"a": "close", "b": "reset"}
# A circuit that opened would keep the requests from being made.
BEHIND_ATTEMPTS = 3


def one(setting: Setting, world: World, kind: str, body: int) -> Row:
    faults = world.start_faults(*HOWS)
    behind = Behind(
        tuple(faults.addresses[name] for name in HOWS), attempts=BEHIND_ATTEMPTS, breaker="", slow_start=""
    )
    instance = world.start(Wanted(f"{kind}-{body}", kind), faulty.writer(kind, behind))
    for seed, (name, how) in enumerate(HOWS.items(), 1):
        faults.tell(
            name, {"mode": "cut", "at": "random", "how": how, "share": CUT_SHARE, "seed": seed + 10 * body}
        )
    job = Job(
        *(instance.port, faulty.PATH + "x", str(world.folder / "arrivals.json"), SECONDS),
        connections=CONNECTIONS,
        requests=(QUICK_REQUESTS if setting.quick else REQUESTS) // len(BODIES),
        method="POST",
        body=body,
    )
    result = arrivals.start(job, world.cores.load).finish()
    world.check_alive()
    cut = sum(int(faults.counts(name)["faults"].get("cut", 0)) for name in HOWS)
    figures = {
        "requests": float(len(result.seen)),
        "reached": float(faults.requests()),
        "cut": float(cut),
        "twice": float(faults.doubles().get("POST", 0)),
        "200": float(result.statuses[200]),
        "502": float(result.statuses[502]),
        "other": float(len(result.seen) - result.statuses[200] - result.statuses[502]),
    }
    label = f"{kind}, {body} bytes"
    setting.say(f"{label}: {figures['twice']:.0f} of {figures['reached']:.0f} came twice, {cut} were cut")
    return Row(label, figures, None, (figures,))


def run(setting: Setting) -> list[CaseResult]:
    rows = []
    for kind in (side for side in (BASE, OURS) if side in setting.sides):
        for body in BODIES:
            with setting.world("twice") as world:
                rows.append(one(setting, world, kind, body))
    return [judged(rows)]


def judged(rows: list[Row]) -> CaseResult:
    total = sum(row.figures["requests"] for row in rows if row.label.startswith(OURS))
    title = f"twice: POSTs over {CONNECTIONS} connections, {CUT_SHARE:.0%} of them cut at random, no breaker"
    result = CaseResult("twice", title, "none", rows)
    ours = [row.figures["twice"] for row in rows if row.label.startswith(OURS)]
    if ours:
        what = f"POSTs that reached a target twice, of {total:,.0f}"
        result.verdicts.append(Verdict(what, sum(ours), "", NONE_TWICE))
    uncut = [row.label for row in rows if row.figures["cut"] < 0.5 * CUT_SHARE * row.figures["reached"]]
    if uncut:
        result.notes.append(f"hardly anything was cut: {', '.join(uncut)}")
    return result

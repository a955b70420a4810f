"""An open circuit: what a refusal costs and how long it takes, beside a request that is forwarded.

Both targets are dead and the circuit stays open. nginx's counterpart is "no live upstreams" (502).
"""

from __future__ import annotations

import http.client
import json

from bench import rounds, stats
from bench.errors import VoidError
from bench.faults import REFUSE
from bench.load import traffic
from bench.load.h2load import H2load
from bench.load.wrk import REFUSED, Load, Wrk
from bench.results import CaseResult, Goal, Verdict
from bench.rounds import Trial
from bench.setting import BASE, OURS, Setting
from bench.sides import faulty
from bench.sides.faulty import FOR_GOOD, Behind
from bench.world import Instance, Wanted

TARGETS = ("a", "b")
PREFIX = faulty.PATH.rstrip("/")
STATUS = {BASE: 502, OURS: 503}
FORWARDED, IN_OPEN = "forwarded", "refused"
ASKED_BEFORE = 100  # enough for every breaker to open
MEDIAN_MS = Goal(0.5, 0.2)
CPU = Goal(1.0, 0.7)


def open_circuit(instance: Instance, kind: str) -> None:
    """Ask until it is open; then it must say so, and when to come back."""
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=10)
    found: list[tuple[int, str, str | None]] = []
    for _ in range(ASKED_BEFORE):
        connection.request("GET", PREFIX + traffic.path_of(1), headers=dict(traffic.headers(1)))
        response = connection.getresponse()
        body = response.read()
        reason = str(json.loads(body).get("reason")) if kind == OURS else ""
        found.append((response.status, reason, response.headers["Retry-After"]))
    connection.close()
    status, reason, wait = found[-1]
    told = kind != OURS or (
        reason == "breaker_open" and wait is not None and wait.isdigit() and int(wait) >= 1
    )
    if status != STATUS[kind] or not told:
        raise VoidError(f"{instance.label}: the circuit is not open: {sorted(set(found))}")


def run(setting: Setting) -> list[CaseResult]:
    sides = [side for side in (BASE, OURS) if side in setting.sides]
    with setting.world("circuit") as world:
        faults = world.start_faults(*TARGETS)
        for name in TARGETS:
            faults.tell(name, REFUSE)
        behind = Behind(
            tuple(faults.addresses[name] for name in TARGETS), breaker=FOR_GOOD, nginx_open_seconds=3600
        )
        trials = []
        for side in sides:
            instance = world.start(Wanted(side, side), faulty.writer(side, behind))
            open_circuit(instance, side)
            refused = Load(traffic.paths(PREFIX), answers=REFUSED)
            trials += [
                Trial(f"{side}, {FORWARDED}", instance, Load(traffic.paths())),
                Trial(f"{side}, {IN_OPEN}", instance, refused),
            ]
        measured = rounds.interleave(setting, world, Wrk(world.folder, world.cores.load), trials)
        rate = min(stats.median([one["req/s"] for one in found]) for found in measured.rounds.values()) / 2
        h2load = H2load(world.folder, world.cores.load)
        for instance, side in zip(world.instances, sides, strict=True):
            for number in range(setting.rounds):
                status = STATUS[side]
                seconds = max(2.0, setting.seconds)
                late = h2load.run(instance.port, traffic.paths(PREFIX), rate, seconds, status)
                passed = h2load.run(instance.port, traffic.paths(), rate, seconds)
                for label, found in ((IN_OPEN, late), (FORWARDED, passed)):
                    figures = measured.rounds[f"{side}, {label}"][number]
                    figures |= {"open p50 ms": found.p50_us / 1000, "open p99 ms": found.p99_us / 1000}
        world.check_alive()
    result = judged(measured.rounds)
    result.notes.append(
        f"open p50 and p99: at {rate:,.0f}/s, whatever the answers do (half of the least saturation)"
    )
    return [result]


def judged(found: rounds.Rounds) -> CaseResult:
    base = {label: f"{label.partition(',')[0]}, {FORWARDED}" for label in found}
    rows = rounds.rows_of(found, "total us", base)
    title = "circuit: open for good, keep-alive, access log on"
    result = CaseResult("circuit", title, "CPU time per request, to one forwarded by the same side", rows)
    row = result.row(f"{OURS}, {IN_OPEN}")
    if row is not None and row.ratio is not None:
        result.verdicts += [
            Verdict("refusal, median at half of saturation", row.figures["open p50 ms"], "ms", MEDIAN_MS),
            Verdict("CPU of a refusal", row.ratio.median, "x forwarded", CPU),
        ]
    return result

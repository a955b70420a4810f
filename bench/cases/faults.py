"""What clients and targets see when targets fail, and how long until all is well again: ours beside nginx.

An open load of GETs over two targets; after a while of health some of them are told to fail, and later to be well.
Every trial has a gateway of its own, so that nothing of the one before is remembered. No health checks: nginx has
none. What fails in a way that cannot be repeated (half an answer) is there to be seen, not to be judged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench import stats
from bench.faults import BLACK_HOLE, OK, REFUSE, RESET, SAYS_503, STALL, Faults
from bench.load import arrivals
from bench.load.arrivals import Job, Result
from bench.results import CaseResult, Goal, Row, Verdict
from bench.rounds import Rounds, rows_of
from bench.setting import BASE, OURS, Setting
from bench.sides import faulty
from bench.sides.faulty import Behind
from bench.world import Wanted, World

RATE = 500.0
TARGETS = ("a", "b")
LEAD_SECONDS = 2.0  # of health, before
START_SECONDS = 0.7  # of the load's own start
MOST_ROUNDS = 3  # counts are what is read here
OPEN_AFTER = 2  # whole seconds after which a circuit must have opened
BACK_SHARE = 0.8  # of what is due to a target: from then on it is back
PROBES = 5  # requests in a second that are no more than probes
STATUSES = (200, 502, 503, 504)

DEAD_P99 = Goal(1.5, 1.1)
MET = Goal(40, 10)
FIRST_SECONDS = Goal(80, 50)  # % of its share, in the two seconds in which a target comes back
NONE_FAILED = Goal(0, 0)
ATTEMPTS_OPEN = Goal(0.01, 0.002)

HEALTHY, DEAD, STALLED, DOWN = "healthy", "one dead", "one stalls", "all reset"


@dataclass(frozen=True)
class Trouble:
    name: str
    befallen: tuple[str, ...] = ()
    order: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 6.0
    after: float = 6.0  # of load once it is over
    quick: bool = False  # part of a quick run, at half the time


TROUBLES = (
    Trouble(HEALTHY, after=0, quick=True),
    Trouble(DEAD, ("b",), REFUSE, quick=True),
    Trouble("one drops SYNs", ("b",), BLACK_HOLE),
    Trouble(STALLED, ("b",), STALL, 8, 14, quick=True),
    Trouble("one resets", ("b",), RESET),
    Trouble("one talks garbage", ("b",), {"mode": "garbage"}),
    Trouble("one says 503", ("b",), SAYS_503),
    Trouble("one sends halves", ("b",), {"mode": "halve"}),
    Trouble(DOWN, TARGETS, RESET, 8, 8, quick=True),
)


@dataclass(frozen=True)
class Observed:
    """One trial. `bad` and `good`: seconds since the load began; the lists count requests by second since then."""

    result: Result
    bad: float
    good: float
    reached: int  # requests that any target got between the two
    met: int  # of those, the befallen
    while_bad: Sequence[int]
    once_good: Sequence[int]  # by the befallen
    after: float


def chosen(quick: bool) -> list[Trouble]:
    if not quick:
        return list(TROUBLES)
    return [replace(one, seconds=one.seconds / 2, after=one.after / 2) for one in TROUBLES if one.quick]


def _summed(services: Sequence[Mapping[str, object]]) -> list[int]:
    """Requests by second, of several services."""
    lists = [one["seconds"] for one in services]
    length = max((len(one) for one in lists if isinstance(one, list)), default=0)
    return [
        sum(one[second] for one in lists if isinstance(one, list) and second < len(one))
        for second in range(length)
    ]


def observe(world: World, faults: Faults, port: int, trouble: Trouble) -> Observed:
    faults.restore()
    job = Job(
        *(port, faulty.PATH + "x", str(world.folder / "arrivals.json")),
        seconds=START_SECONDS + LEAD_SECONDS + trouble.seconds + trouble.after,
        rate=RATE,
    )
    running = arrivals.start(job, world.cores.load)
    try:
        time.sleep(START_SECONDS + LEAD_SECONDS)
        before, met_before = faults.requests(), _met(faults, trouble)
        for name in trouble.befallen:
            faults.tell(name, trouble.order)
        bad = time.time()
        time.sleep(trouble.seconds)
        while_bad = _summed([faults.counts(name) for name in TARGETS])
        reached, met = faults.requests() - before, _met(faults, trouble) - met_before
        good = time.time()
        for name in trouble.befallen:
            faults.tell(name, OK)
        result = running.finish()
    finally:
        running.abandon()
    once_good = _summed([faults.counts(name) for name in trouble.befallen])
    return Observed(
        *(result, bad - result.began, good - result.began, reached, met, while_bad, once_good, trouble.after)
    )


def _met(faults: Faults, trouble: Trouble) -> int:
    return sum(int(faults.counts(name)["requests"]) for name in trouble.befallen)


def recovered(found: Observed, due: float) -> float:
    """Seconds from the end of the trouble until nothing fails any more and the befallen have their share again; the
    length of the run where that did not come."""
    failed = [
        one.began + one.took - found.good
        for one in found.result.seen
        if one.status != 200 and one.began + one.took > found.good
    ]
    back = [second for second, count in enumerate(found.once_good) if count >= BACK_SHARE * due]
    return max([0.0, *failed, float(back[0]) if back else found.after])


def first_seconds(once_good: Sequence[int], due: float) -> float:
    """In % of what is due to it: what a target got in the second in which it came back, or the next."""
    first = next((second for second, count in enumerate(once_good) if count > PROBES), None)
    return max(once_good[first : first + 2]) / due * 100 if first is not None else 0.0


def figures_of(found: Observed, befallen: int) -> dict[str, float]:
    bad = found.result.between(found.bad, found.good)
    open_for = found.result.between(found.bad + OPEN_AFTER, found.good)
    due = RATE * befallen / len(TARGETS)
    count = max(1, len(bad.seen))
    figures = {"requests": float(len(bad.seen)), "failed": float(bad.failed)}
    figures |= {str(status): float(bad.statuses[status]) for status in STATUSES}
    figures["none"] = float(bad.failed - sum(bad.statuses[status] for status in STATUSES[1:]))
    return figures | {
        "p50 ms": bad.milliseconds(0.5),
        "p99 ms": bad.milliseconds(0.99),
        "reached/req": found.reached / count,
        "once open": sum(found.while_bad[OPEN_AFTER:]) / max(1, len(open_for.seen)),
        "met": float(found.met),
        "first s %": first_seconds(found.once_good, due) if befallen else 0.0,
        "well after s": recovered(found, due) if befallen else 0.0,
        "dropped": float(found.result.dropped),
    }


def run(setting: Setting) -> list[CaseResult]:
    sides = [side for side in (BASE, OURS) if side in setting.sides]
    troubles = chosen(setting.quick)
    rounds: Rounds = {f"{side}, {one.name}": [] for one in troubles for side in sides}
    with setting.world("faults") as world:
        faults = world.start_faults(*TARGETS)
        behind = Behind(tuple(faults.addresses[name] for name in TARGETS))
        for number in range(1 if setting.quick else min(MOST_ROUNDS, setting.rounds)):
            for trouble in troubles:
                for side in stats.rotated(sides, number):
                    instance = world.start(Wanted(side, side), faulty.writer(side, behind))
                    figures = figures_of(
                        observe(world, faults, instance.port, trouble), len(trouble.befallen)
                    )
                    world.check_alive()
                    world.stop(instance)
                    rounds[f"{side}, {trouble.name}"].append(figures)
                    setting.say(
                        f"{side}, {trouble.name}: {figures['failed']:.0f} of {figures['requests']:.0f} failed, "
                        f"p99 {figures['p99 ms']:.2f} ms"
                    )
    return [judged(rounds)]


def judged(rounds: Rounds) -> CaseResult:
    base = {label: f"{label.partition(',')[0]}, {HEALTHY}" for label in rounds}
    # A median would hide the round in which something failed.
    rows = [
        replace(row, figures={**row.figures, "failed": max(one["failed"] for one in row.rounds)})
        for row in rows_of(rounds, "p99 ms", base)
    ]
    title = (
        f"faults: {RATE:.0f} GETs a second over two targets, {faulty.RESPONSE_SECONDS:g} s for an answer, two "
        "attempts; `met`: requests that a failing target got; `once open`: attempts that reached any target, for "
        f"each request from {OPEN_AFTER} s on"
    )
    result = CaseResult("faults", title, "p99, to that of the same side in health; failed: worst round", rows)
    _judge(result)
    return result


def _judge(result: CaseResult) -> None:
    def ours(name: str) -> Row | None:
        return result.row(f"{OURS}, {name}")

    for name in (DEAD, STALLED):
        if row := ours(name):
            result.verdicts.append(Verdict(f"{name}: failed", row.figures["failed"], "", NONE_FAILED))
    if (row := ours(DEAD)) and row.ratio:
        result.verdicts.append(Verdict(f"{DEAD}: p99", row.ratio.median, "x healthy", DEAD_P99))
    if row := ours(STALLED):
        result.verdicts += [
            Verdict(f"{STALLED}: requests that met it", row.figures["met"], "", MET),
            Verdict(
                f"{STALLED}: share when it comes back",
                row.figures["first s %"],
                "% of its due",
                FIRST_SECONDS,
            ),
        ]
    if row := ours(DOWN):
        what = f"{DOWN}: attempts for each request, once open"
        result.verdicts.append(Verdict(what, row.figures["once open"], "", ATTEMPTS_OPEN))
    dropped = [row.label for row in result.rows if row.figures["dropped"]]
    if dropped:
        result.notes.append(f"the load ran out of connections: {', '.join(dropped)}")

"""Runs a scenario whose upstream is guarded: tokens, limits in a store, and what happens to that store meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from bench import admin, cpu, stats
from bench.backend import Fault
from bench.errors import BenchError, VoidError
from bench.sides.table import OURS
from bench.world import Instance, Wanted, World
from k6 import drive, guards, modes, summary, timeline, trouble, verdicts
from k6.drive import Driver, Run
from k6.guards import GuardedWriter
from k6.outcome import Outcome
from k6.scenario import Bucket, Event, Guards, Scenario
from k6.setting import LEAD_SECONDS, SPOILT, Setting
from k6.store import Store
from k6.summary import Round, Threshold
from k6.timeline import Moment, Timeline
from k6.verdicts import Verdict

MEMORY_INTERVAL = 0.25
DELAYS = (0, 10, 100, 0)  # milliseconds, of the slow store
ALONE, PASSING, FLOODED = "alone", "flood elsewhere", "flooded"


@dataclass(frozen=True)
class Step:
    """Something done to the store, at a share of the time."""

    share: float
    what: str
    act: Callable[[Store], None]


STEPS: Mapping[Event, tuple[Step, ...]] = {
    Event.SLOW: (
        Step(0.25, "10 ms late", Store.slower),
        Step(0.5, "100 ms late", Store.slower),
        Step(0.75, "in time", Store.slower),
    ),
    Event.OUTAGE: (
        Step(0.2, "stopped", Store.halt),
        Step(0.4, "continued", Store.go_on),
        Step(0.55, "killed", Store.kill),
        Step(0.75, "started empty", Store.start),
    ),
}


@dataclass(frozen=True)
class Load:
    """One run of k6 of a round: whom it loads, under which name, with which values of its own."""

    instance: Instance
    label: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Stand:
    """Everything that a scenario needs, running."""

    scenario: Scenario
    world: World
    store: Store
    driver: Driver
    seconds: int

    def values(self, instance: Instance, flood: int = 0, past: bool = False) -> dict[str, str]:
        plan = self.scenario.guards
        return {
            "LIMITS": "1" if instance.wanted.kind == OURS else "0",
            "SLOTS": "1" if self.scenario.timed else "0",
            "DUE": str(plan.due(self.seconds) if plan else 0),
            "FLOOD_RATE": str(flood),
            "FLOOD_BASE": f"http://127.0.0.1:{self.world.upstream_port if past else instance.port}",
        }

    def loads(self, number: int) -> list[Load]:
        """The runs of round `number`, in its order."""
        if not self.scenario.flood:
            return [
                Load(one, one.label, self.values(one)) for one in stats.rotated(self.world.instances, number)
            ]
        ours, rate = self.world.instances[0], self.scenario.flood
        found = [
            Load(ours, ALONE, self.values(ours)),
            Load(ours, PASSING, self.values(ours, rate, past=True)),
            Load(ours, FLOODED, self.values(ours, rate)),
        ]
        return stats.rotated(found, number)


@dataclass
class Seen:
    """What a run of k6 left, beside its own figures."""

    round: Round
    decisions: Mapping[str, int] = field(default_factory=dict)  # of its limits, by mode
    timeline: Timeline | None = None
    sizes: list[int] = field(default_factory=list)  # resident bytes of the gateway, again and again


@contextmanager
def _stand(setting: Setting, scenario: Scenario, fault: Fault | None = None) -> Iterator[Stand]:
    plan = scenario.guards
    sides = [side for side in setting.sides if side in scenario.sides]
    if plan is None or not sides:
        raise BenchError(f"{scenario.name} is for {', '.join(scenario.sides)} only")
    delays = DELAYS if scenario.event is Event.SLOW else ()
    with setting.world(scenario, fault) as world, Store(world.cores.load, delays) as store:
        signer = guards.make_signer(world.folder)
        clients = guards.make_clients(signer, plan.clients)
        forgery = world.folder / "forgery.json"
        guards.write_forgery(signer, forgery)
        writer = GuardedWriter(plan, store.url, signer.public_key)
        for side in sides:
            wanted = Wanted(side, side, workers=scenario.workers)
            instance = world.start(wanted, writer if side == OURS else None)
            if side == OURS and fault is None:
                guards.check_guarded(instance, clients)
        inputs = drive.prepare(world.folder, world.folder / "upstream" / "files", clients.headers)
        driver = Driver(world.folder, setting.cores, inputs, {"FLOOD_TOKEN": str(forgery)})
        yield Stand(scenario, world, store, driver, setting.seconds(scenario))


@dataclass(frozen=True)
class GuardedRunner:
    setting: Setting

    def run(self, scenario: Scenario) -> Outcome:
        with _stand(self.setting, scenario) as stand:
            rounds = [self._round(stand, number) for number in range(self.setting.rounds)]
            stand.world.check_alive()
        return outcome(scenario, stand.seconds, rounds)

    def _round(self, stand: Stand, number: int) -> dict[str, Seen]:
        name, count = stand.scenario.name, self.setting.rounds
        found: dict[str, Seen] = {}
        for load in stand.loads(number):
            seen = _observe(stand, load, f"timeline-{name}-{number + 1}.csv")
            found[load.label] = seen
            print(f"  round {number + 1}/{count}: {load.label} p99 {seen.round.p99:.2f} ms", flush=True)
            if stand.scenario.calm and (seen.round.failed or seen.round.wrong):
                raise VoidError(f"{name}: {load.label} failed {seen.round.failed}, wrong {seen.round.wrong}")
        return found

    def spoil(self, scenario: Scenario) -> tuple[Threshold, ...]:
        """As for the other scenarios; and where more is bounded, once more with just that made wrong."""
        runs = []
        with _stand(self.setting, scenario, SPOILT) as stand:
            ours = stand.world.instances[0]
            runs.append(_spoilt(stand, stand.values(ours, scenario.flood), stalled=True))
            if scenario.flood:  # nothing is wrong with these tokens
                values = {**stand.values(ours, scenario.flood), "FLOOD_RIGHT": "1"}
                runs.append(_spoilt(stand, values, stalled=False))
        if scenario.name == "over" and scenario.guards is not None:
            with _stand(self.setting, replace(scenario, guards=_generous(scenario.guards))) as stand:
                values = stand.values(stand.world.instances[0])
                values["DUE"] = str(scenario.guards.due(stand.seconds))
                runs.append(_spoilt(stand, values, stalled=False))
        return summary.unbroken(runs)


def _generous(plan: Guards) -> Guards:
    return replace(plan, consumer=Bucket(plan.consumer.rate * 3 // 2, plan.consumer.burst))


def _spoilt(stand: Stand, values: Mapping[str, str], stalled: bool) -> tuple[Threshold, ...]:
    ours = stand.world.instances[0]
    stand.store.empty()
    run = stand.driver.start(stand.scenario, ours.port, stand.seconds, values)
    try:
        if stalled:
            time.sleep(LEAD_SECONDS)
            trouble.stall(ours)
        return run.finish().thresholds
    finally:
        run.abandon()


def _observe(stand: Stand, load: Load, file: str) -> Seen:
    stand.store.empty()
    before = _decisions(load.instance)
    run = stand.driver.start(stand.scenario, load.instance.port, stand.seconds, load.values)
    try:
        seen = _timed(stand, load, run, file) if stand.scenario.timed else _weighed(stand, load, run)
    finally:
        run.abandon()
    return replace(seen, decisions=modes.more(before, _decisions(load.instance)))


def _decisions(instance: Instance) -> Mapping[str, float]:
    return admin.limit_modes(instance.plan.admin_port) if instance.wanted.kind == OURS else {}


def _timed(stand: Stand, load: Load, run: Run, file: str) -> Seen:
    """While things happen to the store."""
    with modes.Watch(load.instance.plan.admin_port) as watch:
        moments = _act(stand)
        document = run.document()
    began = float(document["metrics"]["began"]["values"]["min"]) / 1000
    seen = modes.intervals(watch.samples)
    line = timeline.build(file, timeline.slots_of(document), began, moments, seen)
    return Seen(summary.read(document), timeline=line)


def _weighed(stand: Stand, load: Load, run: Run) -> Seen:
    """Beside a flood the gateway's memory is looked at again and again."""
    sizes = []
    while stand.scenario.flood and run.popen.poll() is None:
        sizes.append(sum(cpu.resident(load.instance.pids()).values()))
        time.sleep(MEMORY_INTERVAL)
    return Seen(run.finish(), sizes=sizes)


def _act(stand: Stand) -> list[Moment]:
    begin = time.monotonic()
    moments = []
    for step in STEPS[stand.scenario.event]:
        time.sleep(max(0.0, begin + step.share * stand.seconds - time.monotonic()))
        moments.append(Moment(step.what, time.time()))
        step.act(stand.store)
    return moments


def judge(scenario: Scenario, found: Mapping[str, Seen]) -> list[Verdict]:
    """What one round says beyond k6's own thresholds."""
    if scenario.flood:
        flooded, passing = found[FLOODED], found[PASSING]
        return [verdicts.flooded(flooded.round.p99, passing.round.p99), verdicts.growth(flooded.sizes)]
    line = next((one.timeline for one in found.values() if one.timeline is not None), None)
    if line is None:
        return []
    if scenario.event is Event.SLOW:
        before, late, too_late, again = verdicts.stretches(line)
        return [
            *verdicts.late(late, DELAYS[1], before),
            *verdicts.away(before, too_late),
            verdicts.back(again),
        ]
    before, stopped, continued, killed, started = verdicts.stretches(line)
    return [
        *verdicts.away(before, stopped),
        verdicts.back(continued),
        *verdicts.away(before, killed),
        verdicts.back(started),
    ]


def outcome(scenario: Scenario, seconds: float, rounds: Sequence[Mapping[str, Seen]]) -> Outcome:
    labels: dict[str, list[Seen]] = {}
    for label, seen in (pair for found in rounds for pair in found.items()):
        labels.setdefault(label, []).append(seen)
    figures = {label: [seen.round for seen in all_seen] for label, all_seen in labels.items()}
    broken = [
        (label if label in scenario.sides else OURS, text)
        for label, all_rounds in figures.items()
        for text in summary.broken(all_rounds)
    ]
    lines = [seen.timeline for found in rounds for seen in found.values() if seen.timeline is not None]
    made = verdicts.over_rounds([judge(scenario, found) for found in rounds])
    rows = [summary.row(label, all_rounds) for label, all_rounds in figures.items()]
    return Outcome(scenario, rows, figures, broken, notes(scenario, seconds, labels), made, lines)


def notes(scenario: Scenario, seconds: float, labels: Mapping[str, Sequence[Seen]]) -> list[str]:
    """The figures that the table has no column for."""
    found = []
    for label, all_seen in labels.items():
        found += [f"{label}: {text}" for text in _notes_of(scenario, seconds, all_seen)]
    if {ALONE, FLOODED} <= labels.keys():
        alone, flooded = (stats.median([one.round.p99 for one in labels[key]]) for key in (ALONE, FLOODED))
        found.append(
            f"p99 of honest clients beside the flood is {flooded / alone:.2f} times that of theirs alone; k6's work "
            "for the flood, on cores that it shares, is part of that. The verdict compares with a flood elsewhere."
        )
    return found


def _notes_of(scenario: Scenario, seconds: float, all_seen: Sequence[Seen]) -> Iterator[str]:
    all_rounds = [seen.round for seen in all_seen]
    refused = sum(one.refused for one in all_rounds)
    if refused:
        p50 = stats.median([one.refusal_p50 for one in all_rounds])
        p99 = stats.median([one.refusal_p99 for one in all_rounds])
        yield f"{refused:,} refused with 429, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    if refused and scenario.flood:
        denied = sum(one.denied for one in all_rounds)
        yield f"{denied:,} invalid tokens looked at and refused with 401"
    elif refused and scenario.guards is not None:
        due = scenario.guards.due(seconds)
        shares = [f"{one.admitted:,} ({(one.admitted / due - 1) * 100:+.2f} %)" for one in all_rounds]
        yield f"due {due:,.0f} a round, admitted {', '.join(shares)}"
    decided: Counter[str] = Counter()
    for seen in all_seen:
        decided.update(seen.decisions)
    if decided:
        yield f"decisions of limits by mode: {modes.shown(decided)}"

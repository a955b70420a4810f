"""Runs a scenario whose upstream is guarded: tokens, limits in a store, and what happens to that store meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bench import admin, cpu, stats
from bench.backend import Fault
from bench.errors import BenchError, VoidError
from bench.sides.table import OURS
from bench.world import Instance, Wanted, World
from k6 import drive, findings, guards, modes, steps, summary, timeline, trouble
from k6.drive import Driver, Run
from k6.findings import Seen
from k6.guards import GuardedWriter
from k6.outcome import Outcome
from k6.scenario import Bucket, Event, Guards, Scenario
from k6.setting import LEAD_SECONDS, SPOILT, Setting
from k6.store import Store
from k6.summary import Threshold

MEMORY_INTERVAL = 0.25


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
            Load(ours, findings.ALONE, self.values(ours)),
            Load(ours, findings.PASSING, self.values(ours, rate, past=True)),
            Load(ours, findings.FLOODED, self.values(ours, rate)),
        ]
        return stats.rotated(found, number)


@contextmanager
def _stand(setting: Setting, scenario: Scenario, fault: Fault | None = None) -> Iterator[Stand]:
    plan = scenario.guards
    sides = [side for side in setting.sides if side in scenario.sides]
    if plan is None or not sides:
        raise BenchError(f"{scenario.name} is for {', '.join(scenario.sides)} only")
    delays = steps.DELAYS if scenario.event is Event.SLOW else ()
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
        return findings.outcome(scenario, stand.seconds, rounds)

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
        setting = replace(self.setting, quick=True)
        with _stand(setting, scenario, SPOILT) as stand:
            ours = stand.world.instances[0]
            runs.append(_spoilt(stand, stand.values(ours, scenario.flood), stalled=True))
            if scenario.flood:  # nothing is wrong with these tokens
                values = {**stand.values(ours, scenario.flood), "FLOOD_RIGHT": "1"}
                runs.append(_spoilt(stand, values, stalled=False))
        if scenario.name == "over" and scenario.guards is not None:
            with _stand(setting, replace(scenario, guards=_generous(scenario.guards))) as stand:
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
    with modes.Watch(load.instance.plan.admin_port, load.instance.process.output) as watch:
        moments = steps.act(stand.scenario.event, stand.store, stand.seconds)
        document = run.document()
        time.sleep(modes.PUBLISH_SECONDS)  # the last counts
        ended = time.time()
    began = float(document["metrics"]["began"]["values"]["min"]) / 1000
    slots, workers = timeline.slots_of(document), stand.scenario.workers
    line = timeline.build(file, slots, began, moments, workers, watch.changes)
    return Seen(
        summary.read(document),
        timeline=line,
        verdicts=[*findings.story(stand.scenario, line), *findings.counts(watch.samples, moments, ended)],
    )


def _weighed(stand: Stand, load: Load, run: Run) -> Seen:
    """Beside a flood the gateway's memory is looked at again and again."""
    sizes = []
    while stand.scenario.flood and run.popen.poll() is None:
        sizes.append(sum(cpu.resident(load.instance.pids()).values()))
        time.sleep(MEMORY_INTERVAL)
    found = run.finish()
    if load.instance.wanted.kind == OURS:
        time.sleep(modes.PUBLISH_SECONDS)  # the last counts
    return Seen(found, sizes=sizes)

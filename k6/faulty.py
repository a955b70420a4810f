"""Runs a scenario with services that fail as told behind the sides (bench/sides/faulty.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bench import stats
from bench.backend import Fault
from bench.errors import BenchError
from bench.faults import REFUSE, Faults
from bench.sides import faulty
from bench.sides.faulty import Behind
from bench.sides.side import Writer
from bench.sides.table import BASE
from bench.world import Instance, Wanted, World
from k6 import canary, drive, stories, summary, trouble, verdicts
from k6.canary import CanaryWriter
from k6.drive import Driver
from k6.outcome import Outcome
from k6.scenario import Event, Scenario
from k6.setting import LEAD_SECONDS, SPOILT, Setting
from k6.stories import Told
from k6.summary import Round, Threshold
from k6.verdicts import Verdict

CALM, TROUBLED = "well", "in trouble"
BESIDE_BOUND = 1.3
BESIDE_NOISE_MS = 0.3  # k6 shares its core with all that it loads
ODD = {"mode": "status", "status": 418, "share": 0.5}  # no scenario expects it


@dataclass(frozen=True)
class Load:
    """One run of k6: whom it loads, and what the services are told before."""

    instance: Instance
    label: str
    order: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Stand:
    scenario: Scenario
    world: World
    faults: Faults
    driver: Driver
    seconds: int

    def loads(self, number: int) -> list[Load]:
        found = []
        for one in self.world.instances:
            if self.scenario.event is Event.TROUBLE:
                found.append(Load(one, f"{one.label}, {CALM}"))
                found.append(Load(one, f"{one.label}, {TROUBLED}", self.scenario.order))
            else:
                found.append(Load(one, one.label))
        return stats.rotated(found, number)


def writer(scenario: Scenario, kind: str, faults: Faults) -> Writer:
    if scenario.event is Event.CANARY:
        return CanaryWriter(kind, faults.addresses, canary.SHARES[0])
    behind = Behind(tuple(faults.addresses[name] for name in scenario.services))
    if scenario.event is Event.CIRCUIT:
        behind = replace(behind, breaker=stories.CIRCUIT, attempts=1)
    if scenario.event is Event.TROUBLE:
        behind = replace(behind, attempts=1)
    return faulty.writer(kind, behind)


@contextmanager
def _stand(setting: Setting, scenario: Scenario, fault: Fault | None = None) -> Iterator[Stand]:
    sides = [side for side in setting.sides if side in scenario.sides]
    if not scenario.services or not sides:
        raise BenchError(f"{scenario.name} is for {', '.join(scenario.sides)} only")
    with setting.world(scenario, fault) as world:
        faults = world.start_faults(*scenario.services)
        for side in sides:
            world.start(Wanted(side, side, workers=scenario.workers), writer(scenario, side, faults))
        inputs = drive.prepare(world.folder, world.folder / "upstream" / "files")
        values = {
            "TARGETS": ",".join(scenario.services),
            "TROUBLED_RATE": str(scenario.troubled),
            "SLOTS": "1" if scenario.timed else "0",
        }
        driver = Driver(world.folder, setting.cores, inputs, values)
        yield Stand(scenario, world, faults, driver, setting.seconds(scenario))


@dataclass(frozen=True)
class FaultyRunner:
    setting: Setting

    def run(self, scenario: Scenario) -> Outcome:
        rounds: dict[str, list[Round]] = {}
        told: dict[str, list[Told]] = {}
        judged: list[list[Verdict]] = []
        with _stand(self.setting, scenario) as stand:
            for number in range(self.setting.rounds):
                found: dict[str, Round] = {}
                for load in stand.loads(number):
                    seen = _observe(stand, load)
                    found[load.label] = summary.read(seen.document)
                    told.setdefault(load.label, []).append(seen)
                    print(
                        f"  round {number + 1}/{self.setting.rounds}: {load.label} p99 {found[load.label].p99:.2f} ms",
                        flush=True,
                    )
                for label, one in found.items():
                    rounds.setdefault(label, []).append(one)
                judged.append([*beside(found), *_of_ours(label_told(told, number))])
            stand.world.check_alive()
        return outcome(scenario, rounds, told, judged)

    def spoil(self, scenario: Scenario) -> tuple[Threshold, ...]:
        """As for the other scenarios; the services fail oddly, and no service has the right name."""
        runs = []
        with _stand(replace(self.setting, quick=True), scenario, SPOILT) as stand:
            values = {"TARGETS": "elsewhere"}
            runs.append(_spoilt(stand, ODD, values))
            if scenario.event is Event.CIRCUIT:
                runs.append(_spoilt(stand, REFUSE, values))
        return summary.unbroken(runs)


def _observe(stand: Stand, load: Load) -> Told:
    stand.faults.restore()
    for name in stand.faults.addresses if load.order is not None else ():
        stand.faults.tell(name, load.order or {})
    run = stand.driver.start(stand.scenario, load.instance.port, stand.seconds)
    try:
        return stories.tell(stand.scenario.event, stand.faults, load.instance, run)
    finally:
        run.abandon()
        stand.faults.restore()
        if stand.scenario.event is Event.CANARY:
            _first_split(stand, load.instance)


def _first_split(stand: Stand, instance: Instance) -> None:
    CanaryWriter(instance.wanted.kind, stand.faults.addresses, canary.SHARES[0])(instance.plan)
    trouble.serve(instance, instance.command.config.read_text())


def _spoilt(stand: Stand, order: Mapping[str, object], values: Mapping[str, str]) -> tuple[Threshold, ...]:
    ours = stand.world.instances[0]
    stand.faults.restore()
    for name in stand.faults.addresses:
        stand.faults.tell(name, order)
    run = stand.driver.start(stand.scenario, ours.port, stand.seconds, values)
    try:
        time.sleep(LEAD_SECONDS)
        trouble.stall(ours)
        return run.finish().thresholds
    finally:
        run.abandon()


def label_told(told: Mapping[str, list[Told]], number: int) -> dict[str, Told]:
    return {label: found[number] for label, found in told.items()}


def _of_ours(told: Mapping[str, Told]) -> list[Verdict]:
    return [
        verdict for label, seen in told.items() if not label.startswith(BASE) for verdict in seen.verdicts
    ]


def beside(found: Mapping[str, Round]) -> list[Verdict]:
    """The healthy requests beside an upstream in trouble, to those while it is well; ours only."""
    made = []
    for label, one in found.items():
        side, _, state = label.partition(", ")
        if state == TROUBLED and side != BASE:
            well = found[f"{side}, {CALM}"]
            bound = well.p99 * BESIDE_BOUND + BESIDE_NOISE_MS
            made.append(Verdict(f"{side}: p99 beside the upstream in trouble", one.p99, bound, "ms"))
    return made


def outcome(
    scenario: Scenario,
    rounds: Mapping[str, list[Round]],
    told: Mapping[str, list[Told]],
    judged: list[list[Verdict]],
) -> Outcome:
    broken = [(label, text) for label, found in rounds.items() for text in summary.broken(found)]
    notes = [f"{label}: {note}" for label, all_told in told.items() for note in all_told[0].notes]
    notes += [
        f"{label}: {note}"
        for label, all_told in told.items()
        for note in (troubled_note([one.document for one in all_told]),)
        if note
    ]
    return Outcome(
        scenario,
        [summary.row(label, found) for label, found in rounds.items()],
        dict(rounds),
        # nginx is there to be seen: cli.run knows the plain label of its rows only.
        [(BASE if label.startswith(BASE) else label, text) for label, text in broken],
        notes,
        verdicts.over_rounds(judged),
        tables=[seen.table for all_told in told.values() for seen in all_told[:1] if seen.table is not None],
    )


def troubled_note(documents: list[Mapping[str, Any]]) -> str:
    """What those got who asked the upstream in trouble."""
    values = [one["metrics"]["troubled"]["values"] for one in documents if "troubled" in one["metrics"]]
    if not values:
        return ""
    p50, p99 = (stats.median([one[key] for one in values]) for key in ("med", "p(99)"))
    count = sum(int(one["count"]) for one in values)
    refused = sum(
        int(one["metrics"]["refused"]["values"]["count"]) for one in documents if "refused" in one["metrics"]
    )
    return f"{count:,} asked the other upstream, p50 {p50:.2f} ms, p99 {p99:.2f} ms; {refused:,} met an open circuit"

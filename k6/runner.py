"""Runs a scenario: starts upstream and sides, loads them in turn, does to them what the scenario asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench import compare, stats
from bench.errors import VoidError
from bench.load import traffic
from bench.world import Instance, Wanted, World
from k6 import drive, summary, trouble
from k6.drive import Driver
from k6.outcome import Outcome
from k6.scenario import Event, Scenario
from k6.setting import LEAD_SECONDS, SPOILT, Setting
from k6.summary import Round, Threshold

# What is done to a side: how often, over how many seconds; each event's seconds come back.
ACTS: Mapping[Event, Callable[[Instance, int, float], list[float]]] = {
    Event.RELOADS: trouble.reloads,
    Event.PUBLISHES: trouble.publishes,
    Event.KILLS: trouble.kills,
}


@dataclass(frozen=True)
class Runner:
    setting: Setting

    def _driver(self, world: World) -> Driver:
        inputs = drive.prepare(world.folder, world.folder / "upstream" / "files")
        return Driver(world.folder, self.setting.cores, inputs)

    def run(self, scenario: Scenario) -> Outcome:
        notes: list[str] = []
        with self.setting.world(scenario) as world:
            for side in self.setting.sides:
                world.start(Wanted(side, side, workers=scenario.workers))
            compare.same_answers(world.upstream_port, world.instances, traffic.paths(count=100))
            driver = self._driver(world)
            rounds: dict[str, list[Round]] = {side: [] for side in self.setting.sides}
            for number in range(self.setting.rounds):
                for instance in stats.rotated(world.instances, number):
                    found, took = self._load(scenario, driver, instance)
                    if took:
                        notes.append(_event_note(scenario, instance.label, took))
                    rounds[instance.label].append(found)
                    print(
                        f"  round {number + 1}/{self.setting.rounds}: {instance.label} p99 {found.p99:.2f} ms",
                        flush=True,
                    )
                    if scenario.calm and (found.failed or found.wrong):
                        raise VoidError(
                            f"{scenario.name}: {instance.label} failed {found.failed}, wrong {found.wrong}"
                        )
            world.check_alive()
            notes += [f"{one.label} wrote {one.log_lines():,} log lines" for one in world.instances]
        rows = [summary.row(side, found) for side, found in rounds.items()]
        broken = [(side, text) for side, found in rounds.items() for text in summary.broken(found)]
        return Outcome(scenario, rows, rounds, broken, notes)

    def _load(self, scenario: Scenario, driver: Driver, instance: Instance) -> tuple[Round, list[float]]:
        seconds = self.setting.seconds(scenario)
        run = driver.start(scenario, instance.port, seconds)
        took: list[float] = []
        try:
            if scenario.event is not Event.NONE:
                time.sleep(LEAD_SECONDS)
                count = scenario.quick_events if self.setting.quick else scenario.events
                took = ACTS[scenario.event](instance, count, seconds - LEAD_SECONDS)
            return run.finish(), took
        finally:
            run.abandon()

    def spoil(self, scenario: Scenario) -> tuple[Threshold, ...]:
        """One run against an upstream that fails and lies, through a gateway that is stopped for a while."""
        side = self.setting.sides[0]
        with self.setting.world(scenario, SPOILT) as world:
            instance = world.start(Wanted(side, side, workers=scenario.workers))
            driver = self._driver(world)
            run = driver.start(scenario, instance.port, scenario.quick_seconds)
            try:
                time.sleep(LEAD_SECONDS)
                trouble.stall(instance)
                return run.finish().thresholds
            finally:
                run.abandon()


def _event_note(scenario: Scenario, side: str, took: list[float]) -> str:
    what = "successor there" if scenario.event is Event.KILLS else "each served"
    worst, middle = max(took) * 1000, stats.median(took) * 1000
    return f"{side}: {len(took)} {scenario.event.value}, {what} after {middle:.0f} ms (worst {worst:.0f} ms)"

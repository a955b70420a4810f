"""Runs a scenario: starts upstream and sides, loads them in turn, does to them what the scenario asks for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import compare, stats
from bench.backend import Fault
from bench.errors import VoidError
from bench.load import traffic
from bench.machine import Pinning
from bench.world import Instance, Wanted, World
from k6 import drive, summary, trouble
from k6.drive import Driver
from k6.scenario import Event, Scenario
from k6.summary import Round, Row

LEAD_SECONDS = 1.5  # k6 needs about a second to start; events begin when load flows
SPOILT = Fault(failing=5, wrong=5)


@dataclass
class Outcome:
    scenario: Scenario
    rows: list[Row]
    rounds: dict[str, list[Round]]
    broken: list[tuple[str, str]]  # (side, threshold)
    notes: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, object]:
        return {
            "scenario": self.scenario.name,
            "rate": self.scenario.rate,
            "rows": [row.plain() for row in self.rows],
            "rounds": {side: [one.plain() for one in found] for side, found in self.rounds.items()},
            "broken": self.broken,
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Runner:
    folder: Path
    cores: tuple[int, ...]
    rounds: int
    quick: bool
    sides: tuple[str, ...]

    def _pinning(self) -> Pinning:
        """Load apart from the gateways even where two workers then share a core.

        Latency is what is read here.
        """
        if len(self.cores) >= 4:
            return Pinning(self.cores[:2], self.cores[2:])
        return Pinning(self.cores[:1], self.cores[1:] or self.cores)

    def _world(self, scenario: Scenario, fault: Fault | None = None) -> World:
        folder = self.folder / scenario.name
        folder.mkdir(parents=True, exist_ok=True)
        return World(folder, self._pinning(), fault)

    def _seconds(self, scenario: Scenario) -> int:
        return scenario.quick_seconds if self.quick else scenario.seconds

    def _driver(self, world: World) -> Driver:
        inputs = drive.prepare(world.folder, world.folder / "upstream" / "files")
        return Driver(world.folder, self.cores, inputs)

    def run(self, scenario: Scenario) -> Outcome:
        notes: list[str] = []
        with self._world(scenario) as world:
            for side in self.sides:
                world.start(Wanted(side, side, workers=scenario.workers))
            compare.same_answers(world.upstream_port, world.instances, traffic.paths(count=100))
            driver = self._driver(world)
            rounds: dict[str, list[Round]] = {side: [] for side in self.sides}
            for number in range(self.rounds):
                for instance in stats.rotated(world.instances, number):
                    found, took = self._load(scenario, driver, instance)
                    if took:
                        notes.append(_event_note(scenario, instance.label, took))
                    rounds[instance.label].append(found)
                    print(
                        f"  round {number + 1}/{self.rounds}: {instance.label} p99 {found.p99:.2f} ms",
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
        seconds = self._seconds(scenario)
        run = driver.start(scenario, instance.port, seconds)
        took: list[float] = []
        try:
            if scenario.event is not Event.NONE:
                time.sleep(LEAD_SECONDS)
                act = trouble.reloads if scenario.event is Event.RELOADS else trouble.kills
                count = scenario.quick_events if self.quick else scenario.events
                took = act(instance, count, seconds - LEAD_SECONDS)
            return run.finish(), took
        finally:
            run.abandon()

    def spoil(self, scenario: Scenario) -> Round:
        """One run against an upstream that fails and lies, through a gateway that is stopped for a while."""
        side = self.sides[0]
        with self._world(scenario, SPOILT) as world:
            instance = world.start(Wanted(side, side, workers=scenario.workers))
            driver = self._driver(world)
            run = driver.start(scenario, instance.port, scenario.quick_seconds)
            try:
                time.sleep(LEAD_SECONDS)
                trouble.stall(instance)
                return run.finish()
            finally:
                run.abandon()


def _event_note(scenario: Scenario, side: str, took: list[float]) -> str:
    what = "reload served" if scenario.event is Event.RELOADS else "successor there"
    worst, middle = max(took) * 1000, stats.median(took) * 1000
    return f"{side}: {len(took)} {scenario.event.value}, {what} after {middle:.0f} ms (worst {worst:.0f} ms)"

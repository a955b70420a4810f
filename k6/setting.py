"""How a run is made: rounds, sides, cores, folder. Frozen, and passed whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.backend import Fault
from bench.machine import Pinning
from bench.world import World
from k6.scenario import Scenario

LEAD_SECONDS = 1.5  # k6 needs about a second to start; events begin when load flows
SPOILT = Fault(failing=5, wrong=5)


@dataclass(frozen=True)
class Setting:
    folder: Path
    cores: tuple[int, ...]
    rounds: int
    quick: bool
    sides: tuple[str, ...]

    def pinning(self) -> Pinning:
        """Load apart from the gateways even where two workers then share a core.

        Latency is what is read here.
        """
        if len(self.cores) >= 4:
            return Pinning(self.cores[:2], self.cores[2:])
        return Pinning(self.cores[:1], self.cores[1:] or self.cores)

    def world(self, scenario: Scenario, fault: Fault | None = None) -> World:
        folder = self.folder / scenario.name
        folder.mkdir(parents=True, exist_ok=True)
        return World(folder, self.pinning(), fault)

    def seconds(self, scenario: Scenario) -> int:
        return scenario.quick_seconds if self.quick else scenario.seconds

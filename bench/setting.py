"""How a run is made: rounds, seconds, sides, cores, folder. Frozen, and passed whole to every case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.machine import Pinning, pinning
from bench.sides.table import BASE, OURS
from bench.world import Wanted, World


@dataclass(frozen=True)
class Setting:
    folder: Path
    cores: tuple[int, ...]
    rounds: int
    seconds: float
    quick: bool
    sides: tuple[str, ...]  # with the base

    @property
    def with_ours(self) -> bool:
        return OURS in self.sides

    def pinning(self, workers: int = 1) -> Pinning:
        return pinning(workers, self.cores)

    def world(self, case: str, workers: int = 1) -> World:
        folder = self.folder / case
        folder.mkdir(parents=True, exist_ok=True)
        return World(folder, self.pinning(workers))

    def wanted(self, workers: int = 1) -> list[Wanted]:
        return [Wanted(kind, kind, workers=workers) for kind in self.sides]

    def say(self, text: str) -> None:
        print(f"  {text}", flush=True)


__all__ = ["BASE", "OURS", "Setting"]

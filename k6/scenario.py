"""The scenarios: rate, time, workers, and what happens meanwhile.

Their thresholds stand in their scripts (js/).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent / "js"


class Event(Enum):
    """What the runner does to a side while the load runs."""

    NONE = "none"
    RELOADS = "reloads"
    KILLS = "kills"


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    rate: int  # arrivals a second, whatever the answers do
    seconds: int
    quick_seconds: int
    virtual_users: int  # a bound: arrivals beyond it are dropped, and a threshold counts those
    workers: int = 1
    event: Event = Event.NONE
    events: int = 0
    quick_events: int = 0

    @property
    def script(self) -> Path:
        return SCRIPTS / f"{self.name}.js"

    @property
    def calm(self) -> bool:
        """Nothing is done to the sides: one failure on either side voids the comparison."""
        return self.event is Event.NONE


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("plain", "small requests, kept connections", 1500, 10, 4, 60),
        Scenario("fresh", "small requests, a connection each", 500, 10, 4, 100),
        Scenario("bodies", "1 MB bodies up and down", 30, 10, 4, 20),
        Scenario(
            "reloads",
            "reloads under load",
            2000,
            16,
            5,
            100,
            workers=2,
            event=Event.RELOADS,
            events=50,
            quick_events=10,
        ),
        Scenario(
            "kill",
            "kill -9 of workers under load",
            1000,
            10,
            5,
            100,
            workers=2,
            event=Event.KILLS,
            events=4,
            quick_events=2,
        ),
    )
}

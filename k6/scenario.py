"""The scenarios: rate, time, workers, what guards the upstream, and what happens meanwhile.

Their thresholds stand in their scripts (js/); what takes more than one run of k6 to judge, in k6/verdicts.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from bench.faults import STALL
from bench.sides.table import BASE, OURS

SCRIPTS = Path(__file__).resolve().parent / "js"


class Event(Enum):
    """What the runner does to a side, or to its store, while the load runs."""

    NONE = "none"
    RELOADS = "reloads"
    PUBLISHES = "publishes"
    KILLS = "kills"
    SLOW = "slow store"
    OUTAGE = "store away"
    TROUBLE = "an upstream beside in trouble"
    CIRCUIT = "an upstream that fails and comes back"
    ROLLING = "targets restarted one after another"
    CANARY = "a split that is shifted"


@dataclass(frozen=True)
class Bucket:
    rate: int  # tokens a second
    burst: int


@dataclass(frozen=True)
class Guards:
    """Before the upstream: a signed token, a limit by address and one by consumer, both in a store."""

    clients: int  # each with an address and a token of its own; they take turns
    address: Bucket
    consumer: Bucket

    def due(self, seconds: float) -> float:
        """What the limit by consumer admits of a load that is over it from beginning to end."""
        return self.clients * (self.consumer.burst + self.consumer.rate * seconds)


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
    guards: Guards | None = None
    sides: tuple[str, ...] = (OURS, BASE)  # nginx has no counterpart of a limit in a store
    flood: int = 0  # invalid tokens a second, from one address, beside the arrivals
    services: tuple[str, ...] = ()  # that fail as told, behind /faulty/
    order: Mapping[str, object] = field(
        default_factory=dict
    )  # what they are told where the script asks them beside
    troubled: int = 0  # such requests a second

    @property
    def script(self) -> Path:
        return SCRIPTS / f"{self.name}.js"

    @property
    def calm(self) -> bool:
        """Nothing is done to the sides: one failure on either side voids the comparison."""
        return self.event is Event.NONE

    @property
    def timed(self) -> bool:
        """Its script keeps the times of every 100 ms apart."""
        return self.event in (Event.SLOW, Event.OUTAGE, Event.CIRCUIT)


_BASICS = (
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
        "publish",
        "publishing twice a second (nginx: reloading)",
        2000,
        16,
        5,
        100,
        workers=2,
        event=Event.PUBLISHES,
        events=29,
        quick_events=7,
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

# Sixteen clients use a third of what they may: in an outage a worker's own share must do for half of them each.
_AMPLE = Guards(16, Bucket(200, 200), Bucket(200, 200))

_GUARDED = (
    Scenario(
        "under",
        "token, address and consumer limit, all under them",
        1500,
        10,
        4,
        60,
        guards=Guards(64, Bucket(100, 200), Bucket(50, 100)),
    ),
    Scenario(
        "over",
        "ten times over the consumer limit",
        2000,
        10,
        4,
        200,
        # A small burst: what waits through a stall must not find as many tokens saved up.
        guards=Guards(4, Bucket(5000, 5000), Bucket(50, 10)),
        sides=(OURS,),
    ),
    Scenario(
        "slow",
        "the store behind a delay of 10 ms, of 100 ms, of none",
        1000,
        16,
        10,
        100,
        workers=2,
        event=Event.SLOW,
        guards=_AMPLE,
        sides=(OURS,),
    ),
    Scenario(
        "outage",
        "the store stopped and continued, killed and started empty",
        1000,
        16,
        12,
        100,
        workers=2,
        event=Event.OUTAGE,
        guards=_AMPLE,
        sides=(OURS,),
    ),
    Scenario(
        "flood",
        "invalid tokens, each another, from one address beside honest clients",
        500,
        16,  # what the gateway remembers of heads is full after five seconds, and must not grow from then on
        12,
        100,
        guards=Guards(50, Bucket(100, 100), Bucket(100, 100)),
        sides=(OURS,),
        flood=2000,
    ),
)

_FAULTY = (
    Scenario(
        "timeouts",
        "an upstream that never answers, beside healthy ones",
        1000,
        10,
        5,
        150,
        event=Event.TROUBLE,
        services=("a",),
        order=STALL,
        troubled=50,
    ),
    Scenario(
        "resets",
        "an upstream that resets its connections, beside healthy ones",
        1000,
        10,
        5,
        100,
        event=Event.TROUBLE,
        services=("a",),
        order={"mode": "cut", "at": "random", "how": "reset", "share": 0.5},
        troubled=100,
    ),
    Scenario(
        "circuit",
        "an upstream that fails and comes back: circuit closed, open, half-open, closed",
        500,
        16,
        12,
        200,
        event=Event.CIRCUIT,
        services=("a",),
        sides=(OURS,),  # nginx keeps asking where there is one target only
    ),
    Scenario(
        "rolling",
        "four targets restarted one after another",
        1000,
        14,
        8,
        100,
        event=Event.ROLLING,
        services=("a", "b", "c", "d"),
    ),
    Scenario(
        "canary",
        "a split of 5, 50 and 100 % by reloads",
        1000,
        12,
        6,
        100,
        workers=2,
        event=Event.CANARY,
        services=("stable", "next"),
    ),
)

SCENARIOS = {scenario.name: scenario for scenario in (*_BASICS, *_GUARDED, *_FAULTY)}

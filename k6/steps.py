"""What happens to the store of the limits while a load runs, and when."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from k6.scenario import Event
from k6.store import Store
from k6.timeline import Moment

DELAYS = (0, 10, 100)  # milliseconds, of the slow store, over and over


@dataclass(frozen=True)
class Step:
    """Something done to the store, at a share of the time."""

    share: float
    what: str
    act: Callable[[Store], None]


AWAY = ("100 ms late", "stopped", "killed")  # after these steps the store is not to be had
STEPS: Mapping[Event, tuple[Step, ...]] = {
    Event.SLOW: (
        Step(0.25, "10 ms late", Store.next_delay),
        Step(0.5, "100 ms late", Store.next_delay),
        Step(0.75, "in time", Store.next_delay),
    ),
    Event.OUTAGE: (
        Step(0.2, "stopped", Store.halt),
        Step(0.4, "continued", Store.go_on),
        Step(0.55, "killed", Store.kill),
        Step(0.75, "started empty", Store.start),
    ),
}


def act(event: Event, store: Store, seconds: float) -> list[Moment]:
    begin = time.monotonic()
    moments = []
    for step in STEPS[event]:
        time.sleep(max(0.0, begin + step.share * seconds - time.monotonic()))
        moments.append(Moment(step.what, time.time()))
        step.act(store)
    return moments

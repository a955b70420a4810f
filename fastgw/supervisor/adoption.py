"""Who accepts on the sockets of a worker that cannot: a pure decision over the standing of every worker.

A SO_REUSEPORT socket that nobody accepts from swallows its share of new connections, so a sibling has to.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto


class Standing(Enum):
    SERVING = auto()  # accepts, and may accept for others
    COMING = auto()  # will accept in a moment: its queue can wait
    LOST = auto()  # dead for a while, or silent: somebody has to accept for it


def assign(standings: Sequence[Standing], current: Sequence[int]) -> list[int]:
    """For each worker 0 (nobody) or 1 + the index of its adopter. Who serves well keeps what it has; new
    orphans go to whoever has the fewest."""
    load = {index: 0 for index, standing in enumerate(standings) if standing is Standing.SERVING}
    chosen = [0] * len(standings)
    for index, standing in enumerate(standings):
        adopter = current[index] - 1
        if standing is Standing.LOST and adopter in load:
            chosen[index] = adopter + 1
            load[adopter] += 1
    for index, standing in enumerate(standings):
        if standing is Standing.LOST and not chosen[index] and load:
            adopter = min(load, key=lambda candidate: (load[candidate], candidate))
            chosen[index] = adopter + 1
            load[adopter] += 1
    return chosen

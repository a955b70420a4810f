"""Which workers are silent, and who accepts for those that cannot: the tick's view of the process table."""

from __future__ import annotations

from collections.abc import Sequence

from fastgw.account.series import Slot, Word
from fastgw.supervisor.adoption import Standing, assign
from fastgw.supervisor.processes import Process, State, Table
from fastgw.supervisor.settings import Timing

# A worker that will be there within this time needs nobody to accept for it: its queue holds 4096
# connections.
_SOON = 0.1

# A birth takes 5 ms; one that waits (for names to be resolved) longer than this needs a sibling.
_LONG_BIRTH = 1.0


class Health:
    def __init__(self, table: Table, slots: Sequence[Slot], timing: Timing) -> None:
        self._table = table
        self._slots = slots
        self._timing = timing

    def silent(self) -> list[Process]:
        """Feels every pulse, once per tick; returns those that have missed too many."""
        dead = []
        for worker, slot in zip(self._table.workers, self._slots, strict=True):
            if worker.state in {State.STARTING, State.SERVING, State.ENDING}:
                missed = worker.pulse.beat(slot.get(Word.HEARTBEAT))
                # One that is ending has its own deadline.
                if missed >= self._timing.dead_ticks and worker.state is not State.ENDING:
                    dead.append(worker)
        return dead

    def adopt(self, now: float) -> None:
        """Write into each slot who accepts for it."""
        current = [slot.get(Word.ADOPT_BY) for slot in self._slots]
        standings = [self._standing(worker, current[worker.index], now) for worker in self._table.workers]
        for slot, adopter in zip(self._slots, assign(standings, current), strict=True):
            slot.set(Word.ADOPT_BY, adopter)

    def _standing(self, worker: Process, adopted_by: int, now: float) -> Standing:
        silent = worker.pulse.missed >= self._timing.stale_ticks
        match worker.state:
            case State.SERVING | State.ENDING:
                return Standing.LOST if silent else Standing.SERVING
            case State.STARTING:
                # An adopter stays until the worker serves by itself.
                late = silent or adopted_by or now - worker.born_at > _LONG_BIRTH
                return Standing.LOST if late else Standing.COMING
            case State.WAITING:
                return Standing.LOST if adopted_by or worker.due_at - now > _SOON else Standing.COMING
            case State.KILLED:
                return Standing.LOST
            case State.DOOMED | State.GONE:
                return Standing.LOST

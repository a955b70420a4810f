"""Deadlines of a whole worker: timestamps, renewed lazily, swept once per tick.

A connection writes `deadline` (monotonic seconds, `NEVER` for none) whenever its phase changes; that is one attribute
write on the hot path and no timer object (loop.call_later + cancel costs 1.6 us a request). The heap only holds
the earliest moment at which somebody must look at the connection again (`wake`). A deadline that has moved on in the
meantime is pushed once more when its old moment comes. What lives here: the heap. What may not: clocks, loops, I/O.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Protocol

NEVER = float("inf")

# Below this many dead entries a rebuild of the heap is not worth its cost.
COMPACT_AT = 1024


class Timed(Protocol):
    """Whoever has a deadline. `wake` belongs to the heap: nobody else writes it, except to NEVER at birth."""

    if not TYPE_CHECKING:  # mypy takes slots of a protocol for all the attributes that there are
        __slots__ = ()

    deadline: float
    wake: float

    def on_deadline(self, now: float) -> None:
        """Called at most one tick after `deadline`; must renew or clear it, or close its owner."""


class Deadlines:
    """One heap for all durations. Entries of closed owners are dropped by `forget` in amortised constant time."""

    __slots__ = ("_dead", "_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timed]] = []
        self._serial = 0  # ties must never compare the owners themselves
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap)

    def watch(self, owner: Timed, deadline: float) -> None:
        """Set `owner.deadline`; hot callers inline the first line and call only where `deadline < owner.wake`."""
        owner.deadline = deadline
        before = owner.wake
        if deadline < before:
            owner.wake = deadline
            self._serial += 1
            heappush(self._heap, (deadline, self._serial, owner))
            if before is not NEVER:
                self._died()  # the later entry is superseded

    def forget(self, owner: Timed) -> None:
        """The owner is closed: its entry is dead. Under a flood of short connections dead entries would otherwise
        hold every closed connection for the length of its longest deadline."""
        owner.deadline = NEVER
        if owner.wake is not NEVER:
            owner.wake = NEVER
            self._died()

    def _died(self) -> None:
        self._dead += 1
        if self._dead > COMPACT_AT and self._dead * 2 > len(self._heap):
            # In place: a sweep may be under way. An entry lives where it is its owner's next moment, and of several at
            # that moment (forgotten, then watched again) one does.
            self._heap[:] = {entry[2]: entry for entry in self._heap if entry[0] == entry[2].wake}.values()
            heapify(self._heap)
            self._dead = 0

    def sweep(self, now: float) -> int:
        """Call `on_deadline` on every owner whose time has come; returns how many were called. An owner that asks for a
        moment that has passed already is called again by the next sweep, not by this one."""
        heap = self._heap
        last = self._serial
        fired = 0
        late: list[Timed] = []
        while heap and heap[0][0] <= now:
            due, serial, owner = heappop(heap)
            if due != owner.wake:
                self._dead -= 1  # superseded by an earlier entry of the same owner, or its owner is closed
                continue
            owner.wake = NEVER
            if serial > last:
                late.append(owner)
                continue
            if owner.deadline <= now:
                fired += 1
                owner.on_deadline(now)
            if owner.deadline <= now:
                late.append(owner)
            elif owner.deadline < owner.wake:
                self.watch(owner, owner.deadline)
        for owner in late:
            if owner.deadline < owner.wake:
                self.watch(owner, owner.deadline)
        return fired

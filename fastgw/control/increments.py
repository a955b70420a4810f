"""What was counted since the last look: the difference of two copies of the workers' shared cells.

Reads shared memory and nothing else. Who adds the differences up lives elsewhere.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from operator import sub
from sys import intern

from fastgw.account.families import Family, Kind
from fastgw.account.series import Slot

_CELL = 8
_PAGE = 4096 // _CELL  # cells that are compared at once


@dataclass(frozen=True, slots=True)
class _Place:
    """The cells of one series in its slot."""

    family: Family
    labels: tuple[str, ...]
    start: int
    end: int


@dataclass(slots=True)
class _Copy:
    """What is known of one slot: its directory, which only grows, and its cells at the last look."""

    slot: Slot
    position: int = 0
    used: int = 0  # cells that belong to a series
    places: list[_Place] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # of the places; they rise, as the places do
    cells: bytes = b""


class Increments:
    """Of the counters and histograms among `families`; the gauges among them are read as they are."""

    __slots__ = ("_copies", "_families", "_gauges")

    def __init__(self, slots: Sequence[Slot], families: Collection[Family]) -> None:
        self._copies = [_Copy(slot) for slot in slots]
        self._families = frozenset(families)
        self._gauges: dict[Family, list[tuple[tuple[str, ...], Slot, int]]] = {}

    def take(self) -> Iterator[tuple[Family, tuple[str, ...], list[int]]]:
        """Every series of a slot that has changed, with the difference of its cells. The first look gives all that was
        ever counted.

        Pages of cells are compared first: 10,000 idle routes cost 1 ms a slot, as many busy ones 50 ms.
        """
        for copy in self._copies:
            self._read_directory(copy)
            new = copy.slot.cells[: copy.used].tobytes()
            old = copy.cells.ljust(len(new), b"\0")
            copy.cells = new
            now, before = memoryview(new).cast("Q"), memoryview(old).cast("Q")
            for places in _changed(copy, new, old):
                base, end = places[0].start, places[-1].end
                difference = list(map(sub, now[base:end].tolist(), before[base:end].tolist()))
                for place in places:
                    cells = difference[place.start - base : place.end - base]
                    if any(cells):
                        yield place.family, place.labels, cells

    def gauges(self, family: Family) -> Iterator[tuple[tuple[str, ...], int]]:
        """The gauges of a family as they stand, one for each slot that has it. As of the directories of `take`."""
        for labels, slot, offset in self._gauges.get(family, ()):
            yield labels, slot.cells[offset]

    def _read_directory(self, copy: _Copy) -> None:
        for entry, position in copy.slot.entries(copy.position):
            copy.position = position
            # A route's name is in seven series of each slot: interned, 10,000 routes cost 35 MB here instead of 58.
            labels = tuple(map(intern, entry.labels))
            family = entry.family
            # Cells are given out in order, so the last entry ends where the free cells begin.
            copy.used = entry.offset + family.width
            if family not in self._families:
                continue
            if family.kind is Kind.GAUGE:
                self._gauges.setdefault(family, []).append((labels, copy.slot, entry.offset))
            else:
                copy.places.append(_Place(family, labels, entry.offset, copy.used))
                copy.ends.append(copy.used)


def _changed(copy: _Copy, new: bytes, old: bytes) -> Iterator[list[_Place]]:
    """Runs of neighbouring places, each touching a page that differs. No place comes twice."""
    size = _PAGE * _CELL
    done = 0
    for start in range(0, len(new), size):
        if new[start : start + size] != old[start : start + size]:
            page = start // _CELL
            first = max(done, bisect_right(copy.ends, page))
            # The last one begins in this page and may end in the next.
            done = max(first, bisect_left(copy.places, page + _PAGE, key=_start))
            if first < done:
                yield copy.places[first:done]


def _start(place: _Place) -> int:
    return place.start

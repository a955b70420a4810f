"""Series in shared memory: a slot per worker index, a directory of series that only grows, cells to count in.

One anonymous mapping, made by the supervisor before the first fork and inherited by every process. A slot has
one writer (its worker; the supervisor for ADOPT_BY and RESPAWNS) and any number of readers, and no locks.

    slot      = fixed words (one page) | directory | cells
    entry     = crc32 u32, family u16, key length u16, offset u64, key (labels joined by 0x1f), padding to 8
    cell      = u64; counter and gauge: one; histogram: bucket 0 .. bucket n (infinity), then the sum in us

Rendering lives in control; nothing here knows about Prometheus.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from zlib import crc32

from fastgw.account.families import FAMILIES, Family, Kind

# Ten thousand routes need about 450,000 cells and 7 MB of directory; untouched pages cost nothing.
CELLS = 2 * 1024 * 1024
DIRECTORY_BYTES = 16 * 1024 * 1024
MAX_KEY = 200
OTHER = "other"

_SEPARATOR = "\x1f"
_HEAD = struct.Struct("<IHHQ")
_CRC_SIZE = 4
_PAGE = mmap.PAGESIZE

# Room for one `other` series of each family, kept free under the cap.
_CELLS_KEPT = sum(family.width for family in FAMILIES)
_BYTES_KEPT = len(FAMILIES) * (_HEAD.size + MAX_KEY)


class Word(IntEnum):
    """The fixed words of a slot. Those from PID on belong to one life of a worker and are zeroed at birth."""

    DIRECTORY_USED = 0  # bytes of complete entries; written after the entry itself
    HEARTBEAT = 1
    LOG_DROPPED = 2
    ADOPT_BY = 3  # written by the supervisor: 1 + index of the sibling that accepts for this slot, 0 = nobody
    RESPAWNS = 4  # written by the supervisor
    PID = 5
    BORN_AT = 6  # monotonic milliseconds
    VERSION = 7
    VERSION_AT = 8  # monotonic milliseconds
    CONNECTIONS = 9
    IN_FLIGHT = 10
    LOOP_LAG_US = 11
    RSS_BYTES = 12
    STATE = 13


class WorkerState(IntEnum):
    STARTING = 0
    SERVING = 1
    DRAINING = 2


_OF_ONE_LIFE = tuple(word for word in Word if word >= Word.PID)


@dataclass(frozen=True, slots=True)
class Entry:
    """One series of a slot as a reader sees it."""

    family: Family
    labels: tuple[str, ...]
    offset: int


class Slot:
    """The memory of one worker index. `cells[offset] += 1` is the whole cost of counting (0.12 us)."""

    __slots__ = ("_cells_used", "_directory", "_families", "_index", "_loaded", "_words", "cells")

    def __init__(self, words: memoryview, directory: memoryview, cells: memoryview) -> None:
        self.cells = cells
        self._words = words
        self._directory = directory
        self._families = {family.number: family for family in FAMILIES}
        # What this process knows of the directory, up to byte `_loaded`.
        self._index: dict[bytes, int] = {}
        self._loaded = 0
        self._cells_used = 0

    def get(self, word: Word) -> int:
        return self._words[word]

    def set(self, word: Word, value: int) -> None:
        self._words[word] = value

    def counter(self, family: Family, labels: tuple[str, ...]) -> int:
        """The offset of a counter's cell. Find or create: not for the hot path, which keeps the offset."""
        return self._series(family, labels, Kind.COUNTER)

    def gauge(self, family: Family, labels: tuple[str, ...]) -> int:
        """The offset of a gauge's cell; a gauge never goes below zero."""
        return self._series(family, labels, Kind.GAUGE)

    def histogram(self, family: Family, labels: tuple[str, ...]) -> int:
        """The offset of bucket 0. Buckets are not cumulative; the sum in us follows the infinity bucket."""
        return self._series(family, labels, Kind.HISTOGRAM)

    def reset_for_birth(self) -> None:
        """A new worker takes the slot over: gauges and the words of one life become zero, counters go on."""
        for word in _OF_ONE_LIFE:
            self._words[word] = 0
        self._catch_up()
        for key, offset in self._index.items():
            family = self._families.get(int.from_bytes(key[:2], "little"))
            if family is not None and family.kind is Kind.GAUGE:
                self.cells[offset] = 0

    def entries(self, position: int = 0) -> Iterator[tuple[Entry, int]]:
        """The complete entries from a byte position on, each with the position behind it. For readers."""
        used = self._words[Word.DIRECTORY_USED]
        while position < used:
            found = self._entry_at(position, used)
            if found is None:
                return
            key, offset, position = found
            family = self._families.get(int.from_bytes(key[:2], "little"))
            if family is not None:
                labels = tuple(key[2:].decode().split(_SEPARATOR)) if family.labels else ()
                yield Entry(family, labels, offset), position

    def _entry_at(self, position: int, used: int) -> tuple[bytes, int, int] | None:
        """Key (family number and labels), offset and next position; None while the bytes are not all there.

        The checksum is for machines that may show the count before the bytes (ARM): readers come back later.
        """
        if position + _HEAD.size > used:
            return None
        crc, number, length, offset = _HEAD.unpack_from(self._directory, position)
        end = position + _HEAD.size + length
        if end > used or crc32(self._directory[position + _CRC_SIZE : end]) != crc:
            return None
        key = number.to_bytes(2, "little") + bytes(self._directory[position + _HEAD.size : end])
        return key, offset, _padded(end)

    def _catch_up(self) -> None:
        """Learn the entries that an earlier worker of this slot left behind."""
        used = self._words[Word.DIRECTORY_USED]
        while self._loaded < used:
            found = self._entry_at(self._loaded, used)
            if found is None:
                raise RuntimeError(f"the directory of series is damaged at byte {self._loaded}")
            key, offset, self._loaded = found
            self._index[key] = offset
            family = self._families[int.from_bytes(key[:2], "little")]
            self._cells_used = max(self._cells_used, offset + family.width)

    def _series(self, family: Family, labels: tuple[str, ...], kind: Kind) -> int:
        if family.kind is not kind or len(labels) != len(family.labels):
            raise ValueError(f"{family.name} is a {family.kind.value} with the labels {family.labels}")
        number = family.number.to_bytes(2, "little")
        text = _SEPARATOR.join(labels)
        key = number + text.encode("utf-8", "replace")
        offset = self._index.get(key)
        if offset is not None:
            return offset
        self._catch_up()
        fits = len(key) - 2 <= MAX_KEY and text.count(_SEPARATOR) == max(len(labels) - 1, 0)
        if not fits or not self._has_room(family, len(key) - 2):
            # The cap: everything beyond it counts in one series per family, whose room is kept free.
            key = number + _SEPARATOR.join([OTHER] * len(labels)).encode()
        offset = self._index.get(key)
        return self._append(family, key) if offset is None else offset

    def _has_room(self, family: Family, key_length: int) -> bool:
        cells_kept = sum(each.width for each in self._families.values())
        bytes_kept = len(self._families) * _padded(_HEAD.size + MAX_KEY)
        return self._cells_used + family.width + cells_kept <= len(self.cells) and _padded(
            self._loaded + _HEAD.size + key_length
        ) + bytes_kept <= len(self._directory)

    def _append(self, family: Family, key: bytes) -> int:
        """A new entry: its bytes first, the count of bytes last, so that no reader sees half of one."""
        offset = self._cells_used
        text = key[2:]
        start = self._loaded
        end = start + _HEAD.size + len(text)
        _HEAD.pack_into(self._directory, start, 0, family.number, len(text), offset)
        self._directory[start + _HEAD.size : end] = text
        crc = crc32(self._directory[start + _CRC_SIZE : end])
        _HEAD.pack_into(self._directory, start, crc, family.number, len(text), offset)
        self._loaded = _padded(end)
        self._words[Word.DIRECTORY_USED] = self._loaded
        self._cells_used = offset + family.width
        self._index[key] = offset
        return offset


class SeriesMemory:
    """The mapping and its slots. Made once, before the first fork; it ends with its last process."""

    __slots__ = ("_map", "_slots")

    def __init__(self, slots: int, cells: int = CELLS, directory_bytes: int = DIRECTORY_BYTES) -> None:
        directory_size = -(-directory_bytes // _PAGE) * _PAGE
        cells_size = -(-cells * 8 // _PAGE) * _PAGE
        size = _PAGE + directory_size + cells_size
        # Not reserved: hundreds of slots may exist on a machine that could not hold all of them full.
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
        self._map = mmap.mmap(-1, size * slots, flags=flags)
        view = memoryview(self._map)
        self._slots = tuple(
            Slot(
                view[start : start + _PAGE].cast("Q"),
                view[start + _PAGE : start + _PAGE + directory_size],
                view[start + _PAGE + directory_size : start + _PAGE + directory_size + cells * 8].cast("Q"),
            )
            for start in range(0, size * slots, size)
        )

    def __len__(self) -> int:
        return len(self._slots)

    def slot(self, index: int) -> Slot:
        return self._slots[index]


def _padded(position: int) -> int:
    return (position + 7) & ~7

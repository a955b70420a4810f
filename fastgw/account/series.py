"""Series in shared memory: a slot per worker index, a directory of series that only grows, cells to count in.

One anonymous mapping, made by the supervisor before the first fork and inherited by every process. A slot has
one writer (its worker; the supervisor for ADOPT_BY and RESPAWNS) and any number of readers, and no locks.

    slot      = fixed words (one page) | directory | cells
    entry     = crc32 u32, key length u32, offset u64, key, padding to 8
    key       = family u16, labels joined by 0x1f
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
_HEAD = struct.Struct("<IIQ")
_FAMILY_SIZE = 2
_CRC_SIZE = 4
_PAGE = mmap.PAGESIZE

# Room for one `other` series of each family, kept free under the cap.
_CELLS_KEPT = sum(family.width for family in FAMILIES)
_BYTES_KEPT = len(FAMILIES) * (_HEAD.size + _FAMILY_SIZE + MAX_KEY + 7)


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
        self._families = {_number(family): family for family in FAMILIES}
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

    def has(self, family: Family, labels: tuple[str, ...]) -> bool:
        """Whether this series is there already; asking makes none."""
        return _number(family) + _SEPARATOR.join(labels).encode("utf-8", "replace") in self._index

    def reset_for_birth(self) -> None:
        """A new worker takes the slot over: gauges and the words of one life become zero, counters go on."""
        for word in _OF_ONE_LIFE:
            self._words[word] = 0
        self._catch_up()
        gauges = {_number(family) for family in FAMILIES if family.kind is Kind.GAUGE}
        for key, offset in self._index.items():
            if key[:_FAMILY_SIZE] in gauges:
                self.cells[offset] = 0

    def entries(self, position: int = 0) -> Iterator[tuple[Entry, int]]:
        """The complete entries from a byte position on, each with the position behind it. For readers."""
        for key, offset, end in _complete(self._read(position)):
            family = self._families.get(key[:_FAMILY_SIZE])
            if family is not None:
                labels = tuple(key[_FAMILY_SIZE:].decode().split(_SEPARATOR)) if family.labels else ()
                yield Entry(family, labels, offset), position + end

    def _read(self, position: int) -> bytes:
        return bytes(self._directory[position : self._words[Word.DIRECTORY_USED]])

    def _catch_up(self) -> None:
        """Learn the entries that an earlier worker of this slot left behind. 40,000 of them take 50 ms."""
        if self._loaded == self._words[Word.DIRECTORY_USED]:
            return
        data = self._read(self._loaded)
        index = self._index
        last = b"", 0, 0
        for last in _complete(data):
            index[last[0]] = last[1]
        key, offset, end = last
        if end != len(data):
            raise RuntimeError(f"the directory of series is damaged at byte {self._loaded + end}")
        self._loaded += end
        # Cells are given out in order, so the last series ends where the free ones begin.
        self._cells_used = offset + self._families[key[:_FAMILY_SIZE]].width

    def _series(self, family: Family, labels: tuple[str, ...], kind: Kind) -> int:
        if family.kind is not kind or len(labels) != len(family.labels):
            raise ValueError(f"{family.name} is a {family.kind.value} with the labels {family.labels}")
        text = _SEPARATOR.join(labels)
        key = _number(family) + text.encode("utf-8", "replace")
        offset = self._index.get(key)
        if offset is not None:
            return offset
        self._catch_up()
        fits = len(key) - _FAMILY_SIZE <= MAX_KEY and text.count(_SEPARATOR) == max(len(labels) - 1, 0)
        if not fits or not self._has_room(family, len(key)):
            # The cap: everything beyond it counts in one series per family, whose room is kept free.
            key = _number(family) + _SEPARATOR.join([OTHER] * len(labels)).encode()
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
        position = self._loaded
        end = position + _HEAD.size + len(key)
        _HEAD.pack_into(self._directory, position, 0, len(key), offset)
        self._directory[position + _HEAD.size : end] = key
        crc = crc32(self._directory[position + _CRC_SIZE : end])
        _HEAD.pack_into(self._directory, position, crc, len(key), offset)
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


def _complete(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Key, offset and end of each entry, up to the first one whose bytes are not all there.

    The checksum is for machines that may show the count before the bytes (ARM): readers come back later.
    """
    position = 0
    size = len(data)
    while (start := position + _HEAD.size) <= size:
        crc, length, offset = _HEAD.unpack_from(data, position)
        end = start + length
        if end > size or crc32(data[position + _CRC_SIZE : end]) != crc:
            return
        position = _padded(end)
        yield data[start:end], offset, position


def _padded(position: int) -> int:
    return (position + 7) & ~7


def _number(family: Family) -> bytes:
    return family.number.to_bytes(_FAMILY_SIZE, "little")

"""One accepted document, what it changed, and what a store of them can do. No store lives here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

# Names that are kept of each kind of change: a document has 10,000 routes, a list of versions 1,000 entries.
MOST_NAMES: Final = 100


@dataclass(frozen=True, slots=True)
class Changes:
    """The parts by which a version differs from the one before it, by their keys ("base", "route:orders",
    "upstream:orders"): at most MOST_NAMES of each kind, and how many there are in all."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    total: int = 0

    @classmethod
    def between(cls, before: Mapping[str, str], after: Mapping[str, str]) -> Changes:
        """From the hashes of all parts; 10,000 of them: 2 ms."""
        added = after.keys() - before.keys()
        removed = before.keys() - after.keys()
        changed = [key for key, digest in after.items() if before.get(key, digest) != digest]
        return cls(_few(added), _few(changed), _few(removed), len(added) + len(changed) + len(removed))

    def plain(self) -> dict[str, Any]:
        return {
            "added": list(self.added),
            "changed": list(self.changed),
            "removed": list(self.removed),
            "total": self.total,
        }


def _few(keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(keys)[:MOST_NAMES])


@dataclass(frozen=True, slots=True)
class Entry:
    """A version without its content."""

    number: int
    hash: str
    at: float  # seconds since the epoch
    by: str
    note: str
    from_file: bool
    changes: Changes | None = None  # None: not known, or the first version


@dataclass(frozen=True, slots=True)
class Version:
    number: int
    hash: str
    at: float
    by: str
    note: str
    from_file: bool
    plain: dict[str, Any]
    changes: Changes | None = None

    @property
    def entry(self) -> Entry:
        return Entry(self.number, self.hash, self.at, self.by, self.note, self.from_file, self.changes)


class StoreError(Exception):
    """The store cannot be used; the message names the place and the cure."""


class StoreAway(StoreError):
    """Nothing is wrong with what is kept: the store cannot be reached now, or takes nothing. Ask again later."""


class Raced(StoreError):
    """Somebody else published first: the newest version is not the one that was expected."""

    def __init__(self, newest: int) -> None:
        super().__init__(f"version {newest} was published meanwhile; read it, and publish on top of it")
        self.newest = newest


class VersionStore(Protocol):
    """Numbers begin at 1 and have no meaning but their order. Every call may wait (for a disk, or a network), so none
    is made on an event loop; every call may raise StoreError."""

    def newest_number(self) -> int:
        """0: there is none. Cheap enough to be asked twice a second."""
        ...

    def newest(self) -> Version | None: ...

    def newest_from_file(self) -> Version | None: ...

    def get(self, number: int) -> Version | None: ...

    def list(self) -> Sequence[Entry]:
        """Oldest first."""
        ...

    def add(
        self,
        plain: dict[str, Any],
        digest: str,
        by: str,
        note: str,
        from_file: bool,
        changes: Changes | None = None,
        expected: int | None = None,
    ) -> Version:
        """The next version. With `expected`, only if that is the newest number; else Raced, and nothing is kept."""
        ...

    def put_back(self, version: Version) -> None:
        """What is served, under its own number, into a store that knows none as new: it lost what it had. So that no
        number is given to two contents."""
        ...

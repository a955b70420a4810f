"""One accepted document, and what a store of them can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """A version without its content."""

    number: int
    hash: str
    at: float  # seconds since the epoch
    by: str
    note: str
    from_file: bool


@dataclass(frozen=True, slots=True)
class Version:
    number: int
    hash: str
    at: float
    by: str
    note: str
    from_file: bool
    plain: dict[str, Any]

    @property
    def entry(self) -> Entry:
        return Entry(self.number, self.hash, self.at, self.by, self.note, self.from_file)


class StoreError(Exception):
    """The store cannot be used; the message names the place and the cure."""


class VersionStore(Protocol):
    """Numbers begin at 1 and have no meaning but their order."""

    def newest(self) -> Version | None: ...

    def newest_from_file(self) -> Version | None: ...

    def get(self, number: int) -> Version | None: ...

    def add(self, plain: dict[str, Any], digest: str, by: str, note: str, from_file: bool) -> Version: ...

    def list(self) -> Sequence[Entry]:
        """Oldest first."""
        ...

"""Credentials that were verified, by their exact bytes: bounded in number and in bytes, the least used forgotten first.

Two generations: what is used moves to the young one, and when that is full the old one is forgotten. A hit costs one
look-up and no bookkeeping. (An OrderedDict that is kept in order costs 0.1 us a hit more.)
"""

from __future__ import annotations

from typing import Final

from fastgw.model.identity import Identity

MAX_ENTRIES: Final = 16_384  # of one generation
MAX_BYTES: Final = 16 * 1024 * 1024  # of one generation
_OVERHEAD: Final = 1_500  # bytes of an entry beside its claims: a token of 212 bytes takes 1,900 in all (tracemalloc)
_CLAIMS: Final = 3  # an entry's claims and lines are at most so many times its token
_FREED_AT_ONCE: Final = 500  # 0.3 ms; a whole generation would be 10


class Remembered:
    __slots__ = ("_dying", "_max_bytes", "_max_entries", "bytes", "old", "young")

    def __init__(self, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self.young: dict[bytes, Identity] = {}
        self.old: dict[bytes, Identity] = {}
        self.bytes = 0  # of the young
        self._dying: dict[bytes, Identity] = {}
        self._max_entries = max_entries
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def find(self, credential: bytes) -> Identity | None:
        """Also where it has expired."""
        found = self.young.get(credential)
        if found is None:
            found = self.old.pop(credential, None)
            if found is not None:
                self.add(credential, found)
        return found

    def add(self, credential: bytes, identity: Identity) -> None:
        size = len(credential) * (1 + _CLAIMS) + _OVERHEAD
        if len(self.young) >= self._max_entries or self.bytes + size > self._max_bytes:
            self._dying = self.old
            self.old = self.young
            self.young = {}
            self.bytes = 0
        self.young[credential] = identity
        self.bytes += size

    def forget(self, credential: bytes) -> None:
        # The size stays counted until the generation ends: too much is on the safe side.
        self.young.pop(credential, None)
        self.old.pop(credential, None)

    def forget_all(self, issuer: str | None = None) -> None:
        """`issuer`: only its tokens."""
        if issuer is None:
            self.young, self.old, self.bytes = {}, {}, 0
            return
        self.young = {key: each for key, each in self.young.items() if each.issuer != issuer}
        self.old = {key: each for key, each in self.old.items() if each.issuer != issuer}

    def sweep(self) -> None:
        """Frees some of what was forgotten."""
        dying = self._dying
        for _ in range(min(len(dying), _FREED_AT_ONCE)):
            dying.popitem()

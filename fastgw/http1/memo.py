"""The memo of validated heads: exact bytes -> the parsed and rendered result (design section 6).

Clients and upstreams on keep-alive connections repeat their bytes, and the same bytes mean the same thing: a hit
halves the user time of an exchange (facts: 13.1 -> 5.8 us). Where bytes never repeat it only costs, so a
`Streak` gives it up per connection and asks again now and then. Two generations bound it in bytes and in age:
whatever is not used for two rotations is gone, secrets included.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from fastgw.http1.volatile import LEARN_AFTER, Volatile

T = TypeVar("T")

MAX_BYTES: Final = 2 * 1024 * 1024  # per generation and worker
MAX_ENTRIES: Final = 8192  # per generation: an entry weighs 2-3 KiB with its dict
MAX_KEY: Final = 8 * 1024  # larger heads are rare; they would push the others out
GIVE_UP_AFTER: Final = 64  # misses in a row
KNOWN: Final = -1
ASK_AGAIN_AFTER: Final = 1024  # exchanges without the memo, before it is tried again


class Memo(Generic[T]):
    __slots__ = ("_bytes", "misses", "old", "young")

    def __init__(self) -> None:
        self.young: dict[bytes, T] = {}
        self.old: dict[bytes, T] = {}
        self._bytes = 0
        self.misses = 0  # counted by callers; hits are all other exchanges, and not counted one by one

    def promote(self, key: bytes) -> T | None:
        """A key that is not in `young`: the older generation's value moves to the younger."""
        found = self.old.get(key)
        if found is not None:
            self.store(key, found)
        return found

    def store(self, key: bytes, value: T) -> None:
        if len(key) > MAX_KEY:
            return
        if self._bytes > MAX_BYTES or len(self.young) >= MAX_ENTRIES:
            self.rotate()
        self.young[key] = value
        self._bytes += len(key)

    def rotate(self) -> None:
        """Forget what was not used since the last rotation. Called on a slow timer, and when a bound is reached."""
        self.old = self.young
        self.young = {}
        self._bytes = 0

    def clear(self) -> None:
        self.young = {}
        self.old = {}
        self._bytes = 0


class Streak:
    """Misses in a row on one connection. `skip` is the number of exchanges that pass the memo by from now on; KNOWN
    while `volatile` knows which line to leave out of the key."""

    __slots__ = ("_limit", "misses", "skip", "volatile")

    def __init__(self, limit: int = GIVE_UP_AFTER) -> None:
        self._limit = limit
        self.misses = 0
        self.skip = 0
        self.volatile: Volatile | None = None  # made when the first misses come in a row

    def missed(self) -> None:
        self.misses += 1
        if self.misses >= self._limit:
            # One more miss after the pause gives it up again at once: a hostile peer pays one lookup in a thousand.
            self.misses = self._limit - 1
            self.skip = ASK_AGAIN_AFTER
            self.volatile = None

    def learn(self, head: bytes) -> None:
        """A head (with the CRLF of its last line) that the memo did not know: which line makes it new?"""
        if self.misses < LEARN_AFTER or self.skip > 0:
            return
        if self.volatile is None:
            self.volatile = Volatile()
        if self.volatile.learn(head.split(b"\r\n")[:-1]):
            self.misses = 0
            self.skip = KNOWN

"""What a worker remembers of buckets: tokens leased, what the store said last, and a local bucket for outages.

One Record for each (limit, value) that was asked lately, bounded for the whole worker, kept by identity outside the
snapshots. Bookkeeping only: no decisions over several limits, no I/O.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import Final
from weakref import WeakValueDictionary

from fastgw.limiter.limit import Limit, Verdict
from fastgw.limiter.script import MICRO, spec

NEVER: Final = float("-inf")
# About 0.6 KB each: 20 MB in a worker under a flood of addresses. Who is forgotten is asked for anew.
MAX_RECORDS: Final = 32_768
SECOND_CHANCES: Final = 8  # records used again that one eviction passes over, at most
LEASE_SECONDS: Final = 0.010  # of its rate, and
LEASE_SHARE: Final = 0.01  # of its burst, is the most that one worker holds of a bucket
LEASE_LIFE: Final = 1.0  # what is not used by then is lost: the bucket is at most a lease poorer
LEASE_AHEAD: Final = 0.1  # a lease covers what was used in so many seconds before
LEASE_GROWTH: Final = 4  # and at most so many times what was used since the last
# The longest time that an empty bucket is refused without asking: an operator may delete it, or the store lose it.
REFUSE_FOR: Final = 1.0


class Record:
    """One bucket as this worker knows it. All times are the worker's monotonic seconds."""

    __slots__ = (
        "batch", "expires", "granted", "index", "key", "leased_at", "line", "local", "local_at", "low", "pair",
        "pair_line", "refilling", "refusal", "refusal_line", "refusal_until", "refuse_until", "seen", "seen_at",
        "single", "stash", "table", "touched", "used", "value",
    )  # fmt: skip

    def __init__(self, table: Table, value: bytes, key: bytes) -> None:
        self.table = table
        self.value = value
        self.key = key  # as the wire wants it
        # The lease
        self.stash = 0  # tokens in hand: charged in the store already
        self.expires = NEVER
        self.low = -1  # the stash at which more is asked for
        self.refilling = False
        self.granted = 0  # in hand after the last refill
        self.used = 0  # asked of the store one by one since the last refill
        self.leased_at = NEVER
        # What the store said last: so many tokens, before that moment or at it
        self.seen = 0.0
        self.seen_at = NEVER
        self.refuse_until = NEVER
        self.line = b""  # for the client; a shadow limit has none
        # Verdicts ready for reuse: of this limit alone, and of this one with another whose line is `pair_line`
        self.single: Verdict | None = None
        self.pair: Verdict | None = None
        self.pair_line: bytes | None = None
        # And the refusal, with the other's line (None: it was asked alone), as long as its Retry-After is true
        self.refusal: Verdict | None = None
        self.refusal_line: bytes | None = None
        self.refusal_until = NEVER
        # The bucket in process
        self.local = 0.0
        self.local_at = NEVER
        # Its place in the command that is being made
        self.batch = 0
        self.index = 0
        self.touched = False  # since eviction last came by

    def learn(self, micro: int, granted: int, asked_at: float, now: float) -> None:
        """The store's answer. `asked_at` is before the store decided, so a refusal that ends by it ends in time."""
        table = self.table
        tokens = micro / MICRO
        self.seen = tokens
        self.seen_at = asked_at
        if granted:
            self.stash += granted
            self.granted += granted
            self.expires = now + LEASE_LIFE
            self.low = self.stash >> 2
        if tokens < 1.0:
            self.refuse_until = asked_at + min((table.worth - tokens) / table.rate, REFUSE_FOR)
        else:
            self.refuse_until = NEVER
        if not table.shadow:
            self.line = b"%s%d;t=%d\r\n" % (table.line, tokens, ceil((table.burst - tokens) / table.rate))
        self.single = self.pair_line = None
        self.refusal_until = NEVER

    def keep_refusal(
        self, verdict: Verdict, records: list[Record], wait: float, until: float, now: float
    ) -> None:
        """A flood past one or two limits hears the same verdict `until` then, or until its Retry-After would have to be a
        second less. `wait` is what Retry-After was made from."""
        if len(records) > 2:
            return
        other = records[-1] if records[0] is self else records[0]
        self.refusal = verdict
        self.refusal_line = None if other is self else other.line
        self.refusal_until = (
            until if verdict.retry_after == 1 else min(until, now + wait - (verdict.retry_after - 1))
        )

    def next_token_in(self, now: float) -> float:
        """Seconds until the store has a token again, by what it said last."""
        return self.seen_at + (1.0 - self.seen) / self.table.rate - now

    def lease_wanted(self, now: float) -> int:
        """How many tokens more to lease: what LEASE_AHEAD needs at the pace since this was asked last. So a worker
        that sees little of a caller holds little of its tokens, and loses little when they expire."""
        if self.expires <= now:
            self.granted -= self.stash  # lost, not used
            self.stash = 0
        used = self.used + self.granted - self.stash
        elapsed = now - self.leased_at
        factor = LEASE_AHEAD / elapsed if elapsed > LEASE_AHEAD / LEASE_GROWTH else LEASE_GROWTH
        self.leased_at = now
        self.used = 0
        self.granted = self.stash
        return min(self.table.lease, int(used * factor)) - self.stash


class Family:
    """The tables that ask the same buckets: other tiers, other snapshots. How many there were, ever."""

    __slots__ = ("__weakref__", "tables")

    def __init__(self) -> None:
        self.tables = 0


class Table(dict[bytes, Record]):
    """The records of one limit at one rate, by value."""

    __slots__ = ("__weakref__", "burst", "family", "lease", "line", "rate", "shadow", "spec", "worth")

    def __init__(self, limit: Limit, family: Family, workers: int) -> None:
        super().__init__()
        self.family = family
        family.tables += 1
        self.rate = limit.rate
        self.burst = limit.burst
        self.lease = lease_of(limit)
        # An empty bucket is asked again when it may have so many tokens. Exactly one; but where leases are allowed,
        # half a lease for each worker, or eight of them would ask for single tokens at every turn of an overload.
        self.worth = max(1.0, min(workers * self.lease / 2, limit.rate * LEASE_SECONDS, limit.burst / 2))
        self.shadow = limit.shadow
        self.line = b'RateLimit: "%s";r=' % limit.name.encode()
        packed = spec(limit.rate, limit.burst)
        self.spec = b"$%d\r\n%b\r\n" % (len(packed), packed)


def lease_of(limit: Limit) -> int:
    """The most tokens at a time; 0 where a lease would be a single one."""
    most = int(min(limit.rate * LEASE_SECONDS, limit.burst * LEASE_SHARE))
    return most if limit.leases and most > 1 else 0


class Memory:
    """All records of a worker. The oldest that was not used since the last round gives way to a new one."""

    __slots__ = ("_families", "_most", "_ring", "_tables", "_workers", "prefix")

    def __init__(self, prefix: bytes, workers: int = 1, most: int = MAX_RECORDS) -> None:
        self.prefix = prefix
        self._workers = workers
        self._most = most
        self._ring: deque[Record] = deque()
        # A table lives as long as a snapshot's limit or a record refers to it.
        self._tables: WeakValueDictionary[tuple[object, ...], Table] = WeakValueDictionary()
        self._families: WeakValueDictionary[bytes, Family] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._ring)

    def record(self, limit: Limit, value: bytes) -> Record:
        table = limit.state
        if table is None:
            table = limit.state = self._bind(limit)
        record = table.get(value)
        if record is None:
            if len(self._ring) >= self._most:
                self._evict()
            key = b"%b{%b}%b" % (self.prefix, value, limit.id)
            record = table[value] = Record(table, value, b"$%d\r\n%b\r\n" % (len(key), key))
            self._ring.append(record)
        else:
            record.touched = True
        return record

    def clear(self, prefix: bytes) -> None:
        """Another store, other buckets."""
        self.prefix = prefix
        for table in list(self._tables.values()):
            table.clear()
        self._ring.clear()

    def _bind(self, limit: Limit) -> Table:
        name = (limit.id, limit.name, limit.rate, limit.burst, limit.leases, limit.shadow)
        table = self._tables.get(name)
        if table is None:
            family = self._families.get(limit.id)
            if family is None:
                family = self._families[limit.id] = Family()
            table = self._tables[name] = Table(limit, family, self._workers)
        return table

    def _evict(self) -> None:
        ring = self._ring
        for _ in range(SECOND_CHANCES):
            record = ring.popleft()
            if not record.touched:
                break
            record.touched = False
            ring.append(record)
        else:
            record = ring.popleft()
        record.table.pop(record.value, None)

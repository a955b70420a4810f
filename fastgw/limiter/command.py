"""One command to the store: the decisions of one turn of the event loop, on its way there and back.

It speaks the script's language (script.py): encodes what is asked, checks what is answered, tells each bucket's record.
What becomes of the decisions is limiter.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastgw.limiter.limit import Limit
from fastgw.limiter.memory import Record
from fastgw.limiter.script import MAX_BUCKETS, MICRO, SHA, SHADOW, TEXT

if TYPE_CHECKING:
    from fastgw.limiter.limiter import Waiter

MAX_DECISIONS: Final = 128
MAX_OPS: Final = 4000  # the script unpacks them on Lua's stack, which takes 8,000
_CALL: Final = {
    False: b"$7\r\nEVALSHA\r\n$%d\r\n%b\r\n" % (len(SHA), SHA),
    True: b"$4\r\nEVAL\r\n$%d\r\n%b\r\n" % (len(TEXT), TEXT),
}


class Decision:
    """What waits for the store. `held`: records whose token was taken from the lease; they are not asked for."""

    __slots__ = ("held", "limits", "records", "waiter")

    def __init__(
        self, limits: tuple[Limit, ...], records: list[Record], held: list[Record] | None, waiter: Waiter
    ) -> None:
        self.limits = limits
        self.records = records
        self.held = held
        self.waiter = waiter


class Malformed(Exception):
    """The store's answer is not one of the script's."""


class Command:
    __slots__ = (
        "_keys", "_uses", "decisions", "leases", "ops", "records", "repeated", "sent_at", "serial", "settled",
    )  # fmt: skip

    def __init__(self, serial: int) -> None:
        self.serial = serial  # never 0: a record's `batch` says where its `index` counts
        self.decisions: list[Decision] = []
        self.records: list[Record] = []
        # Record, tokens wanted, its number in this command: by the time of the answer its `index` is another command's.
        self.leases: list[tuple[Record, int, int]] = []
        self.ops = bytearray()
        self.sent_at = 0.0
        self.repeated = False  # with the whole script, after NOSCRIPT
        self.settled = False  # answered or given up: what comes now concerns nobody
        self._uses = 0
        self._keys: set[bytes] | None = None  # in this command, once a bucket came that may have two records

    def has_room(self, records: list[Record]) -> bool:
        if len(self.decisions) >= MAX_DECISIONS or len(self.records) + len(records) > MAX_BUCKETS:
            return False
        if len(self.ops) > MAX_OPS:
            return False
        for record in records:
            # A bucket may stand in a command once. Two records of one are rare: a caller in two tiers at once.
            if record.table.family.tables > 1 and record.batch != self.serial and record.key in self._taken():
                return False
        return True

    def _taken(self) -> set[bytes]:
        if self._keys is None:
            self._keys = {record.key for record in self.records}
        return self._keys

    def decide(self, decision: Decision) -> None:
        self.decisions.append(decision)
        ops = self.ops
        held = decision.held
        for record in decision.records:
            if held is not None and record in held:
                continue
            if record.table.shadow:
                ops.append(SHADOW)
            ops.append(record.index if record.batch == self.serial else self._place(record))
            record.used += 1
            self._uses += 1
        ops.append(0)

    def lease(self, record: Record, wanted: int) -> None:
        if record.batch != self.serial:
            self._place(record)
        record.refilling = True
        self.leases.append((record, wanted, record.index))

    def _place(self, record: Record) -> int:
        self.records.append(record)
        record.batch = self.serial
        record.index = len(self.records)
        if self._keys is not None:
            self._keys.add(record.key)
        return record.index

    def encode(self) -> bytes:
        records = self.records
        count = b"%d" % len(records)
        parts = [
            b"*%d\r\n" % (4 + 2 * len(records) + 2 * len(self.leases)),
            _CALL[self.repeated],
            b"$%d\r\n%b\r\n" % (len(count), count),
        ]
        parts += [record.key for record in records]
        parts += [record.table.spec for record in records]
        parts.append(b"$%d\r\n%b\r\n" % (len(self.ops), bytes(self.ops)))
        for _, wanted, index in self.leases:
            for number in (b"%d" % index, b"%d" % wanted):
                parts.append(b"$%d\r\n%b\r\n" % (len(number), number))
        return b"".join(parts)

    def read(self, answer: object, now: float) -> bytes:
        """The outcomes; each record has learnt what concerns it. Malformed if it is anything else."""
        records, leases = self.records, self.leases
        if type(answer) is not list or len(answer) != 1 + len(records) + len(leases):
            raise Malformed
        outcomes = answer[0]
        if type(outcomes) is not bytes or len(outcomes) != self._uses or outcomes.strip(b"01"):
            raise Malformed
        numbers = answer[1:]
        if numbers and (set(map(type, numbers)) != {int} or min(numbers) < 0):
            raise Malformed
        granted = [0] * len(records)
        for (_, wanted, index), tokens in zip(leases, numbers[len(records) :], strict=True):
            if tokens > wanted:
                raise Malformed
            granted[index - 1] = tokens
        for record, micro in zip(records, numbers, strict=False):
            if micro > record.table.burst * MICRO:
                raise Malformed
        asked_at = self.sent_at
        for record, micro, tokens in zip(records, numbers, granted, strict=False):
            record.learn(micro, tokens, asked_at, now)
        return outcomes

    def settle(self) -> None:
        """Answered or given up. Leases that come all the same are lost."""
        self.settled = True
        for record, _, _ in self.leases:
            record.refilling = False

"""May this request pass? The way through memory, lease, store and fallback; one for each worker.

Everything that arises in one turn of the event loop travels in one command. A decision that can be made in process is
made at once; else it comes to its waiter in a later turn. What may not live here: HTTP, connecting, sums of tokens.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Final, Protocol

from fastgw.clock import Clock
from fastgw.limiter import local
from fastgw.limiter.command import Command, Decision
from fastgw.limiter.limit import Limit, Verdict
from fastgw.limiter.memory import Memory, Record
from fastgw.limiter.options import LimiterOptions
from fastgw.limiter.store import Store

__all__ = ["Limit", "Limiter", "LimiterOptions", "Verdict", "Waiter"]

# The longest that a refusal of a bucket in process is repeated without looking: the store may be back meanwhile.
REFUSE_LOCALLY_FOR: Final = 0.1
MAX_PENDING: Final = 8192  # decisions that wait at a time; at 25 ms each more than a worker can serve


class Waiter(Protocol):
    if not TYPE_CHECKING:  # mypy takes slots of a protocol for all the attributes that there are
        __slots__ = ()

    @property
    def closed(self) -> bool:
        """Nobody waits any more: the verdict is not delivered."""

    def on_verdict(self, verdict: Verdict) -> None:
        """In a later turn than `decide`, once."""


class Limiter:
    __slots__ = (
        "_clock", "_command", "_commands", "_counted", "_instances", "_log", "_loop", "_memory", "_pending", "_serial",
        "_share", "_started", "_store", "_tls", "_workers", "asked", "fallbacks", "leased",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        options: LimiterOptions | None,
        *,
        workers: int,
        log: Callable[[str], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`options` None: there is no store, every limit is a bucket in process. `tls`: instead of the default."""
        self._loop = loop
        self._clock = clock
        self._log = log
        self._tls = tls
        self._workers = workers
        self._instances = 1
        self._memory = Memory(b"" if options is None else options.prefix, workers)
        self._store = self._make_store(options)
        self._share = local.Share(workers, 1, full=options is None)
        self._started = False
        self._serial = 0
        self._command: Command | None = None  # the one that takes what arises now
        self._commands: list[Command] = []  # of this turn
        self._pending = 0
        # Decisions since the start: by the store, in process by what it granted or said, by on_error.
        self.asked = 0
        self.leased = 0
        self.fallbacks = 0
        self._counted = (0, 0, 0)  # commands, timeouts, errors of stores before this one

    # --- deciding ---------------------------------------------------------------------------------------------

    def decide(
        self, limits: tuple[Limit, ...], values: Sequence[bytes], waiter: Waiter, now: float
    ) -> Verdict | None:
        """None: the waiter hears the verdict in a later turn. The cases of one and two limits that need no store are
        written out for speed: two leased limits cost 0.35 us, through `_decide` 2."""
        if len(limits) == 1:
            table = limits[0].state
            if table is not None:
                record = table.get(values[0])
                if record is not None:
                    if record.stash > 0 and record.expires > now:
                        record.stash -= 1
                        if record.stash == record.low:
                            self._refill(record, now)
                        self.leased += 1
                        verdict = record.single
                        if verdict is None:
                            verdict = record.single = Verdict(True, (), (), record.line, 0, "lease")
                        return verdict
                    if record.refusal_until > now and record.refusal_line is None:
                        self.leased += 1
                        return record.refusal
        elif len(limits) == 2:
            table, other = limits[0].state, limits[1].state
            if table is not None and other is not None:
                record, second = table.get(values[0]), other.get(values[1])
                if record is not None and second is not None:
                    if (
                        record.stash > 0
                        and second.stash > 0
                        and record.expires > now
                        and second.expires > now
                    ):
                        record.stash -= 1
                        second.stash -= 1
                        if record.stash == record.low:
                            self._refill(record, now)
                        if second.stash == second.low:
                            self._refill(second, now)
                        self.leased += 1
                        if record.pair_line is not second.line:
                            record.pair_line = second.line
                            record.pair = Verdict(True, (), (), record.line + second.line, 0, "lease")
                        return record.pair
                    if record.refusal_until > now and record.refusal_line is second.line:
                        self.leased += 1
                        return record.refusal
                    if second.refusal_until > now and second.refusal_line is record.line:
                        self.leased += 1
                        return second.refusal
        return self._decide(limits, values, waiter, now)

    def _decide(
        self, limits: tuple[Limit, ...], values: Sequence[bytes], waiter: Waiter, now: float
    ) -> Verdict | None:
        find = self._memory.record
        records: list[Record] = []
        held: list[Record] = []
        refused: list[tuple[Limit, Record]] = []
        shadowed: list[Limit] = []
        for limit, value in zip(limits, values, strict=True):
            record = find(limit, value)
            records.append(record)
            if record.stash > 0 and record.expires > now:
                held.append(record)
            elif record.refuse_until > now:
                if limit.shadow:
                    shadowed.append(limit)
                else:
                    refused.append((limit, record))
        if refused:
            self.leased += 1
            return _refusal(refused, shadowed, records, now, "lease")
        if len(held) + len(shadowed) == len(records):
            for record in held:
                self._take(record, now)
            self.leased += 1
            return Verdict(True, (), tuple(shadowed), _lines(records), 0, "lease")
        store = self._store
        if store is None or not store.asking or self._pending >= MAX_PENDING:
            return self._decide_without(limits, records, now)
        for record in held:
            self._take(record, now)
        command = self._room(records)
        for record in records:
            if record.table.lease and not record.refilling and record not in held:
                wanted = record.lease_wanted(now)
                if wanted > 0:
                    command.lease(record, wanted)
        command.decide(Decision(limits, records, held or None, waiter))
        self._pending += 1
        return None

    def _decide_without(self, limits: tuple[Limit, ...], records: list[Record], now: float) -> Verdict:
        self.fallbacks += 1
        verdict = local.decide(limits, records, self._share, now)
        if verdict.mode == "local" and not verdict.admitted and self.mode == "local":
            record = records[limits.index(verdict.refused[0])]
            wait = local.next_token_in(record, self._share)
            record.keep_refusal(verdict, records, wait, now + min(wait, REFUSE_LOCALLY_FOR), now)
        return verdict

    def _take(self, record: Record, now: float) -> None:
        record.stash -= 1
        if record.stash == record.low:
            self._refill(record, now)

    def _refill(self, record: Record, now: float) -> None:
        """Ahead of the need, on the way of whatever else is asked in this turn."""
        store = self._store
        if record.refilling or record.refuse_until > now or store is None or not store.asking:
            return
        wanted = record.lease_wanted(now)
        if wanted > 0:
            record.touched = True
            self._room([record]).lease(record, wanted)

    # --- the turn's commands ----------------------------------------------------------------------------------

    def _room(self, records: list[Record]) -> Command:
        command = self._command
        if command is None or not command.has_room(records):
            self._serial += 1
            command = self._command = Command(self._serial)
            if not self._commands:
                self._loop.call_soon(self._flush)
            self._commands.append(command)
        return command

    def _flush(self) -> None:
        commands, self._commands = self._commands, []
        self._command = None
        for command in commands:
            if self._store is not None and self._store.asking:
                self._store.send(command)
            else:
                command.settle()
                self.on_failed([command])

    def on_answered(self, command: Command, outcomes: bytes) -> None:
        decisions = command.decisions
        self._pending -= len(decisions)
        self.asked += len(decisions)
        if b"0" not in outcomes:
            last: list[Record] | None = None
            for decision in decisions:
                records = decision.records
                if records != last:  # the callers of one turn often ask for the same
                    verdict = Verdict(True, (), (), _lines(records), 0, "redis")
                    last = records
                self._deliver(decision, verdict)
            return
        now = self._clock.now()
        at = 0
        for decision in decisions:
            refused: list[tuple[Limit, Record]] = []
            shadowed: list[Limit] = []
            held = decision.held
            for limit, record in zip(decision.limits, decision.records, strict=True):
                if held is not None and record in held:
                    continue
                if outcomes[at] == 0x30:
                    if limit.shadow:
                        shadowed.append(limit)
                    else:
                        refused.append((limit, record))
                at += 1
            if refused:
                _give_back(held)
                verdict = _refusal(refused, shadowed, decision.records, now, "redis")
            else:
                verdict = Verdict(True, (), tuple(shadowed), _lines(decision.records), 0, "redis")
            self._deliver(decision, verdict)

    def on_failed(self, commands: list[Command]) -> None:
        """The store will not decide them. Counted first: a waiter that goes on may ask again at once."""
        decisions = [decision for command in commands for decision in command.decisions]
        self._pending -= len(decisions)
        self.fallbacks += len(decisions)
        now = self._clock.now()
        for decision in decisions:
            _give_back(decision.held)
        for decision in decisions:
            if not decision.waiter.closed:
                self._deliver(decision, local.decide(decision.limits, decision.records, self._share, now))

    def _deliver(self, decision: Decision, verdict: Verdict) -> None:
        waiter = decision.waiter
        if waiter.closed:
            return
        try:
            waiter.on_verdict(verdict)
        except Exception as error:  # whatever it is: the others of this command must hear theirs
            self._loop.call_exception_handler({"message": "a verdict was not taken", "exception": error})

    # --- life and looks ---------------------------------------------------------------------------------------

    def start(self) -> None:
        self._started = True
        if self._store is not None:
            self._store.start()

    def close(self) -> None:
        """What waits is decided without the store; so is everything after."""
        self._started = False
        if self._store is not None:
            self._store.close()
        self._flush()

    def configure(self, options: LimiterOptions | None) -> None:
        """A reload. The same store under other terms keeps its connection and what is known of its buckets."""
        before = self._store
        if before is not None and options is not None and _same_store(before.options, options):
            before.options = options
            return
        if before is None and options is None:
            return
        self._counted = (self.commands, self.timeouts, self.errors)
        self._store = None
        self._flush()  # what was asked a moment ago asks for buckets of the store before
        if before is not None:
            before.close()
        self._memory.clear(b"" if options is None else options.prefix)
        self._share = local.Share(self._workers, self._instances, full=options is None)
        self._store = self._make_store(options)
        if self._store is not None and self._started:
            self._store.start()

    def set_instances(self, count: int) -> None:
        """So many gateways share the store, this one included: a bucket in process has its part."""
        self._instances = max(1, count)
        self._share = local.Share(self._workers, self._instances, full=self._share.full)

    @property
    def mode(self) -> str:
        return "redis" if self._store is not None and self._store.asking else "local"

    @property
    def commands(self) -> int:
        return self._counted[0] + (self._store.commands if self._store is not None else 0)

    @property
    def timeouts(self) -> int:
        return self._counted[1] + (self._store.timeouts if self._store is not None else 0)

    @property
    def errors(self) -> int:
        return self._counted[2] + (self._store.errors if self._store is not None else 0)

    def pending(self) -> int:
        """Decisions that wait for the store."""
        return self._pending

    def remembered(self) -> int:
        """Buckets that this worker knows of."""
        return len(self._memory)

    def _make_store(self, options: LimiterOptions | None) -> Store | None:
        return (
            None if options is None else Store(self._loop, self._clock, options, self, self._log, self._tls)
        )


def _refusal(
    refused: list[tuple[Limit, Record]], shadowed: list[Limit], records: list[Record], now: float, mode: str
) -> Verdict:
    wait = max(record.next_token_in(now) for _, record in refused)
    retry = max(1, ceil(wait))
    limits = tuple(limit for limit, _ in refused)
    verdict = Verdict(False, limits, tuple(shadowed), _lines(records), retry, mode)
    if mode == "lease":
        record = refused[0][1]
        record.keep_refusal(verdict, records, wait, record.refuse_until, now)
    return verdict


def _same_store(one: LimiterOptions, other: LimiterOptions) -> bool:
    return one.url == other.url and one.prefix == other.prefix


def _lines(records: list[Record]) -> bytes:
    return b"".join([record.line for record in records])


def _give_back(held: list[Record] | None) -> None:
    if held is not None:
        for record in held:
            record.stash += 1

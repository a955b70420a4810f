"""Decisions without the store: each limit does as its on_error says. Local buckets are part of the records.

A bucket in process has this worker's share of rate and burst. What it starts with is no gift: its share of what the store
said last, or of one second's rate for a caller that was not seen lately.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from fastgw.limiter.limit import Limit, Verdict
from fastgw.limiter.memory import NEVER, Record


class Share:
    """This worker's part of every limit. `full`: there is no store at all, so that a bucket begins full."""

    __slots__ = ("full", "part")

    def __init__(self, workers: int, instances: int, full: bool) -> None:
        self.part = 1.0 / (max(1, workers) * max(1, instances))
        self.full = full


def decide(limits: Sequence[Limit], records: Sequence[Record], share: Share, now: float) -> Verdict:
    """All or nothing, as in the store. Tokens in hand are used first: they were granted."""
    held: list[Record] = []
    charged: list[Record] = []
    refused: list[Limit] = []
    denied: list[Limit] = []
    shadowed: list[Limit] = []
    mode = "allow"
    wait = 0.0
    for limit, record in zip(limits, records, strict=True):
        if record.stash > 0 and record.expires > now:
            held.append(record)
        elif limit.on_error == "local" or share.full:  # without a store nothing is in error
            mode = "local"
            have = refresh(record, share, now)
            if have >= 1.0:
                charged.append(record)
            elif limit.shadow:
                shadowed.append(limit)
            else:
                refused.append(limit)
                wait = max(wait, next_token_in(record, share))
        elif limit.on_error == "deny" and not limit.shadow:
            denied.append(limit)
    if denied:
        return Verdict(False, tuple(denied), (), _lines(limits, records, share, now), 1, "deny")
    if refused:
        lines = _lines(limits, records, share, now)
        return Verdict(False, tuple(refused), tuple(shadowed), lines, max(1, ceil(wait)), mode)
    for record in held:
        record.stash -= 1
    for record in charged:
        record.local -= 1.0
    return Verdict(True, (), tuple(shadowed), _lines(limits, records, share, now), 0, mode)


def next_token_in(record: Record, share: Share) -> float:
    """Seconds, of a bucket that was refreshed now and is empty."""
    return (1.0 - record.local) / (record.table.rate * share.part)


def refresh(record: Record, share: Share, now: float) -> float:
    """The tokens of a bucket in process, as of now."""
    table = record.table
    rate = table.rate * share.part
    burst = max(1.0, table.burst * share.part)
    if record.local_at < record.seen_at:
        # The store has spoken since this bucket was used: what it had then, and has gained, is where we begin.
        have = share.part * min(table.burst, record.seen + max(0.0, now - record.seen_at) * table.rate)
    elif record.local_at is NEVER:
        have = burst if share.full else max(1.0, rate)
    else:
        have = record.local + max(0.0, now - record.local_at) * rate
    record.local = min(burst, have)
    record.local_at = now
    return record.local


def _lines(limits: Sequence[Limit], records: Sequence[Record], share: Share, now: float) -> bytes:
    lines = b""
    for limit, record in zip(limits, records, strict=True):
        table = record.table
        if limit.shadow:
            continue
        if record.local_at == now:
            missing = max(1.0, table.burst * share.part) - record.local
            lines += b"%s%d;t=%d\r\n" % (table.line, record.local, ceil(missing / (table.rate * share.part)))
        elif limit.on_error == "local":
            lines += record.line  # from the lease
    return lines

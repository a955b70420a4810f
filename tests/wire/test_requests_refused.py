"""Requests that must be refused: whole, byte by byte, split at every offset, and with another request
behind them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.client import request
from tests.support.consumed import ReceiveQueues
from tests.support.corpus import Case, load
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.wave import Outcome, Sending, halves, run, run_one, single_bytes

FILES = [
    "request_framing_refused",
    "request_heads_refused",
    "request_targets_refused",
    "request_limits_refused",
]
CASES = [pytest.param(case, id=f"{name}:{case.name}") for name in FILES for case in load(name)]


def sending(parts: list[bytes]) -> Sending:
    return Sending(parts, until_close=True)


def check(case: Case, outcome: Outcome, how: str) -> None:
    assert case.refuse is not None
    where = f"{case.rule}: {case.name}, {how}: "
    assert not outcome.error, where + outcome.error
    first = outcome.first
    assert first.status == case.refuse["status"], where + f"status {first.status}, body {first.body[:300]!r}"
    assert outcome.reason() in case.reasons(), where + f"reason {outcome.reason()}"
    assert (first.get("Connection") or "").lower() == "close", where + "the answer does not say close"
    assert outcome.closed, where + "the connection stays open"
    assert len(outcome.responses) == 1, where + "more than one answer"


def check_not_forwarded(upstream: Upstream, marks: list[str], how: str) -> None:
    """No request with these marks reached the upstream whole (of a bad body its head may have)."""
    for mark in marks:
        whole = [one for one in upstream.find(mark) if one.complete]
        assert not whole, f"forwarded although refused, {how}: {whole[0].raw_head!r}"


@pytest.mark.parametrize("case", CASES)
def test_whole(
    case: Case, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues, marks: Iterator[str]
) -> None:
    mark = next(marks)
    outcome = run_one(gateway, sending([case.bytes(mark)]), queues)
    check(case, outcome, "whole")
    entry = gateway.journal.of(outcome.first.get("X-Request-Id"))
    assert entry["reason"] == outcome.reason()
    assert entry["status"] == outcome.first.status
    assert entry["source"] == "gateway"
    check_not_forwarded(upstream, [mark], "whole")


@pytest.mark.parametrize("case", CASES)
def test_byte_by_byte(
    case: Case, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues, marks: Iterator[str]
) -> None:
    mark = next(marks)
    data = case.bytes(mark)
    # Of a long case only the ends: the middle is a repetition.
    parts = (
        single_bytes(data)
        if len(data) <= 700
        else [*single_bytes(data[:80]), data[80:-40], *single_bytes(data[-40:])]
    )
    check(case, run_one(gateway, sending(parts), queues), "byte by byte")
    check_not_forwarded(upstream, [mark], "byte by byte")


@pytest.mark.parametrize("case", CASES)
def test_split_at_every_offset(
    case: Case, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues, marks: Iterator[str]
) -> None:
    offsets = case.offset_list()
    used = [next(marks) for _ in offsets]
    sendings = [sending(halves(case.bytes(mark), at)) for mark, at in zip(used, offsets, strict=True)]
    for at, outcome in zip(offsets, run(gateway, sendings, queues), strict=True):
        check(case, outcome, f"split at {at}")
    check_not_forwarded(upstream, used, "split")


@pytest.mark.parametrize("case", CASES)
def test_nothing_behind_it_is_served(
    case: Case, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues, marks: Iterator[str]
) -> None:
    """What follows a refused request in the same bytes must not become a request."""
    if case.early:
        pytest.skip("has no end that something could follow")
    mark, smuggled = next(marks), next(marks)
    data = case.bytes(mark) + request(f"/{smuggled}")
    check(case, run_one(gateway, sending([data]), queues), "with a request behind it")
    assert not upstream.find(smuggled), "the request behind a refused one was served"
    check_not_forwarded(upstream, [mark], "with a request behind it")

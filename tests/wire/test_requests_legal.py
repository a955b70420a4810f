"""Strange but legal requests: whole, byte by byte, split at every offset, and two in one write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.consumed import ReceiveQueues
from tests.support.corpus import MARK, Case, load
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.wave import Outcome, Sending, halves, run, run_one, single_bytes
from tests.support.wire import Request, as_fields, grouped

FILES = ["request_heads_legal", "request_framing_legal", "request_targets_legal"]
CASES = [pytest.param(case, id=f"{name}:{case.name}") for name in FILES for case in load(name)]

# What the gateway writes itself (design section 6); Connection is its own affair with the upstream.
WRITTEN = {
    b"host", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port",
    b"x-real-ip", b"x-request-id", b"traceparent", b"connection", b"content-length", b"transfer-encoding",
    b"trailer",
}  # fmt: skip


def methods(case: Case) -> str:
    return case.template.lstrip(b"\r\n").split(b" ")[0].decode()


def sending(case: Case, parts: list[bytes]) -> Sending:
    return Sending(parts, [methods(case)], until_close=bool(case.reply.get("closes")))


def check_reply(case: Case, outcome: Outcome, how: str) -> None:
    where = f"{case.rule}: {case.name}, {how}: "
    assert not outcome.error, where + outcome.error
    assert outcome.first.status == case.reply.get("status", 200), where + repr(outcome.first.body[:300])
    if case.reply.get("closes"):
        assert outcome.closed, where + "the connection stays open"
    else:
        assert (outcome.first.get("Connection") or "").lower() != "close", where + "the answer says close"


def check_received(case: Case, received: Request, mark: str, how: str) -> None:
    expected: dict[str, Any] = case.receive or {}
    where = f"{case.rule}: {case.name}, {how}: "
    if "line" in expected:
        assert received.line == expected["line"].encode("latin-1").replace(MARK, mark.encode()), where
    assert received.version == b"1.1", where
    if "host" in expected:
        assert received.get("Host") == expected["host"], where
    own = [(name, value) for name, value in received.fields if name.lower() not in WRITTEN]
    if "fields" in expected:
        assert grouped(own) == grouped(as_fields(expected["fields"])), where
    if "count" in expected:
        assert len(own) == expected["count"], where
    assert received.body == expected.get("body", "").encode("latin-1"), where
    if "framing" in expected:
        assert received.framing == expected["framing"], where
    assert received.trailers == as_fields(expected.get("trailers", [])), where
    if own_connection := received.get("Connection"):
        assert own_connection.lower() in {"keep-alive", "close"}, where


@pytest.mark.parametrize("case", CASES)
def test_whole(
    case: Case, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues, marks: Iterator[str]
) -> None:
    mark = next(marks)
    outcome = run_one(gateway, sending(case, [case.bytes(mark)]), queues)
    check_reply(case, outcome, "whole")
    check_received(case, upstream.one(mark), mark, "whole")
    entry = gateway.journal.of(outcome.first.get("X-Request-Id"))
    assert (entry["reason"], entry["status"], entry["source"]) == ("ok", 200, "upstream")


@pytest.mark.parametrize("case", CASES)
def test_byte_by_byte(
    case: Case, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues, marks: Iterator[str]
) -> None:
    mark = next(marks)
    data = case.bytes(mark)
    parts = (
        single_bytes(data)
        if len(data) <= 700
        else [*single_bytes(data[:80]), data[80:-40], *single_bytes(data[-40:])]
    )
    check_reply(case, run_one(gateway, sending(case, parts), queues), "byte by byte")
    check_received(case, upstream.one(mark), mark, "byte by byte")


@pytest.mark.parametrize("case", CASES)
def test_split_at_every_offset(
    case: Case, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues, marks: Iterator[str]
) -> None:
    offsets = case.offset_list()
    used = [next(marks) for _ in offsets]
    sendings = [sending(case, halves(case.bytes(mark), at)) for mark, at in zip(used, offsets, strict=True)]
    for at, mark, outcome in zip(offsets, used, run(gateway, sendings, queues), strict=True):
        check_reply(case, outcome, f"split at {at}")
        check_received(case, upstream.one(mark), mark, f"split at {at}")


@pytest.mark.parametrize("case", CASES)
def test_two_in_one_write_are_two_requests(
    case: Case, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues, marks: Iterator[str]
) -> None:
    """The end of the first is where the second begins, to the byte; the answers come in order."""
    if case.reply.get("closes"):
        pytest.skip("the first one closes the connection")
    used = [next(marks), next(marks)]
    data = b"".join(case.bytes(mark) for mark in used)
    outcome = run_one(gateway, Sending([data], [methods(case)] * 2), queues)
    check_reply(case, outcome, "two in one write")
    assert [one.status for one in outcome.responses] == [200, 200]
    for mark in used:
        check_received(case, upstream.one(mark), mark, "two in one write")

"""One line that changes is left out of the memo's key: what comes out equals a parse of the whole, but for its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgw.errors import HttpError
from fastgw.gateway.head_reader import HeadReader
from fastgw.http1.memo import KNOWN, Streak
from fastgw.http1.request import parse_request_block
from fastgw.http1.response import parse_response_head
from fastgw.http1.volatile import LEARN_AFTER, Volatile, take_out, value_of
from fastgw.model.exchange import Exchange

BEFORE = b"Host: a.example\r\nAccept: */*\r\n"
AFTER = b"Authorization: Bearer x\r\nConnection: keep-alive\r\n"


def raw_of(line: bytes) -> bytes:
    return b"GET /a HTTP/1.1\r\n" + BEFORE + line + AFTER + b"\r\n"


def read(reader: HeadReader, raw: bytes, streak: Streak) -> Exchange:
    return reader.read(raw, raw.index(b"\r\n\r\n"), streak, 1.0)


def taught(name: bytes = b"X-Trace") -> tuple[HeadReader, Streak]:
    reader, streak = HeadReader(), Streak()
    for number in range(LEARN_AFTER + 2):
        read(reader, raw_of(b"%b: %d\r\n" % (name, number)), streak)
    return reader, streak


def test_one_plain_line_that_changes_is_learnt_and_its_heads_are_known() -> None:
    reader, streak = taught()
    assert streak.skip == KNOWN and streak.volatile is not None
    assert (streak.volatile.marker, streak.volatile.name) == (b"\r\nX-Trace:", b"x-trace")
    read(reader, raw_of(b"X-Trace: first\r\n"), streak)
    before = reader.memo.misses
    for number in range(100):
        read(reader, raw_of(b"X-Trace: %d\r\n" % number), streak)
    assert reader.memo.misses == before


@given(st.binary(max_size=40).filter(lambda value: not set(value) & {10, 13}))
def test_what_comes_out_equals_a_parse_of_the_whole(value: bytes) -> None:
    reader, streak = taught()
    raw = raw_of(b"X-Trace:" + value + b"\r\n")
    try:
        anew = parse_request_block(raw[raw.index(b"\r\n") + 2 : -2], reader.parser)
    except HttpError as error:
        with pytest.raises(HttpError) as refused:
            read(reader, raw, streak)
        assert (refused.value.reason, refused.value.detail) == (error.reason, error.detail)
        return
    head = read(reader, raw, streak).head
    assert head is not None
    assert head.fields == anew.fields
    assert sorted(head.forward.split(b"\r\n")) == sorted(anew.forward.split(b"\r\n"))
    own = {"block", "fields", "forward", "rewritten", "trusted_forward"}
    for name in set(type(head).__slots__) - own:
        assert getattr(head, name) == getattr(anew, name), name


@pytest.mark.parametrize(
    "name",
    [b"Host", b"Content-Length", b"Connection", b"Transfer-Encoding", b"Expect", b"Upgrade", b"TE", b"X-Request-Id",
     b"X-Forwarded-For", b"X-Forwarded-Custom", b"Traceparent", b"X-Consumer-Id", b"X_Under", b"Authorization",
     b"Cookie"],
)  # fmt: skip
def test_a_line_that_decides_more_than_itself_is_never_left_out(name: bytes) -> None:
    volatile = Volatile()
    volatile.learn([b"A: 1", name + b": 1"])
    assert not volatile.learn([b"A: 1", name + b": 2"])
    assert volatile.marker == b""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([b"X-A: 1", b"X-B: 1"], [b"X-A: 2", b"X-B: 2"]),  # two lines change
        ([b"X-A: 1"], [b"X-A: 1", b"X-B: 1"]),  # one comes
        ([b"X-A: 1", b"X-A: 5"], [b"X-A: 2", b"X-A: 5"]),  # repeated: the order means something
        ([b"X-A: 1", b"x-a: 5"], [b"X-A: 2", b"x-a: 5"]),
        ([b"HTTP/1.1 200 OK"], [b"HTTP/1.1 201 OK"]),  # no field at all
    ],
)
def test_nothing_is_learnt_from(one: list[bytes], other: list[bytes]) -> None:
    volatile = Volatile()
    volatile.learn(one)
    assert not volatile.learn(other)


def test_the_same_name_in_another_spelling_is_parsed_whole() -> None:
    reader, streak = taught()
    raw = raw_of(b"X-Trace: 1\r\nx-trace: 2\r\n")
    head = read(reader, raw, streak).head
    assert head is not None and head.fields[b"x-trace"] == b"1, 2"
    assert head.forward.index(b"X-Trace: 1") < head.forward.index(b"x-trace: 2")


def test_heads_without_the_line_are_read_and_in_the_end_it_is_forgotten() -> None:
    reader, streak = taught()
    for number in range(200):
        head = read(reader, raw_of(b"X-Other: %d\r\n" % number), streak).head
        assert head is not None and head.fields[b"x-other"] == b"%d" % number
    assert streak.volatile is None or streak.volatile.name == b"x-other"


@pytest.mark.parametrize("line", [b"X-A: \x00\r\n", b"X-A: a\rb\r\n"])
def test_a_line_that_breaks_a_rule_is_not_taken_out(line: bytes) -> None:
    raw = b"GET / HTTP/1.1\r\n" + line + b"\r\n"
    assert take_out(raw, b"\r\nX-A:", 16, len(raw) - 2) is None


def test_taking_out_and_the_value() -> None:
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \t b \r\nC: d\r\n\r\n"
    parts = take_out(raw, b"\r\nX-A:", 16, len(raw) - 2)
    assert parts == (b"Host: a\r\nC: d\r\n", b"X-A: \t b \r\n")
    assert value_of(parts[1]) == b"b"
    assert take_out(raw, b"\r\nX-B:", 16, len(raw) - 2) is None


def test_a_head_with_one_more_line_has_every_slot() -> None:
    reader = HeadReader()
    head = parse_request_block(BEFORE, reader.parser).with_line(b"x-a", b"1", b"X-A: 1\r\n")
    answer = parse_response_head(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n", reader.parser)
    answer = answer.with_line(b"x-a", b"1", b"X-A: 1\r\n")
    for made in (head, answer):
        assert all(hasattr(made, name) for name in type(made).__slots__)


def test_a_line_that_connection_names_ends_here_though_it_is_the_one_that_changes() -> None:
    """RFC 9110 7.6.1: in the head it is learnt from, and in one that names it only later."""
    reader, streak = taught()
    for number in range(3):
        raw = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: x-trace\r\nX-Trace: %d\r\n\r\n" % number
        head = read(reader, raw, streak).head
        assert head is not None
        assert b"trace" not in head.forward.lower()


def test_a_second_line_of_the_name_is_joined_in_its_order() -> None:
    reader, streak = taught()
    raw = b"GET /a HTTP/1.1\r\nHost: a\r\nX-Trace: 1\r\nx-trace: 2\r\n\r\n"
    head = read(reader, raw, streak).head
    assert head is not None
    assert head.fields[b"x-trace"] == b"1, 2"
    assert head.forward.startswith(b"Host: a\r\nX-Trace: 1\r\nx-trace: 2\r\n")

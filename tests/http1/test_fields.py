"""A field block is taken whole or refused by its rule, and no block leaves a trace in the parser for the next one."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastgw.errors import HttpError, Reason
from fastgw.http1 import rules
from fastgw.http1.fields import FieldParser, lines_of
from tests.http1.blocks import STATEFUL, VALUES, blocks_of, lines, plainly

ACCEPTED = [
    (b"", {}),
    (b"A:1\r\n", {b"a": b"1"}),
    (b"A:\r\n", {b"a": b""}),
    (b"A: \t \r\n", {b"a": b""}),
    (b"A: \t1\t \r\n", {b"a": b"1"}),
    (b"A: 1 \r\nB: 2\t\r\n", {b"a": b"1", b"b": b"2"}),
    (b"A: a\tb c\r\n", {b"a": b"a\tb c"}),
    (b"a!#$%&'*+-.^_`|~9Z: 1\r\n", {b"a!#$%&'*+-.^_`|~9z": b"1"}),
    (b"A: \x80\xff\r\n", {b"a": b"\x80\xff"}),
    (b"A: :::\r\n", {b"a": b":::"}),
    (b"A: 1\r\nA: 2\r\n", {b"a": b"1, 2"}),
    (b"A: 1\r\na: 2\r\nB: 3\r\nA:\r\n", {b"a": b"1, 2, ", b"b": b"3"}),
    (b"Content-Length: 5 \r\n", {b"content-length": b"5"}),
    (b"Transfer-Encoding: chunked\t\r\n", {b"transfer-encoding": b"chunked"}),
    (b"Host: a.example \r\n", {b"host": b"a.example"}),
    (b"Proxy-Connection: close \r\n", {b"proxy-connection": b"close"}),
]
REFUSED = [
    (b"A: 1\n", Reason.BAD_FRAMING),
    (b"A: 1\r", Reason.BAD_REQUEST),
    (b"A: 1\rB: 2\r\n", Reason.BAD_FRAMING),
    (b"A: 1\r\r\n", Reason.BAD_FRAMING),
    (b"A: 1\nB: 2\r\n", Reason.BAD_FRAMING),
    (b"A: 1\r\n\r\n", Reason.BAD_REQUEST),
    (b" A: 1\r\n", Reason.BAD_FRAMING),
    (b"A: 1\r\n b\r\n", Reason.BAD_FRAMING),
    (b"A: 1\r\n\tb\r\n", Reason.BAD_FRAMING),
    (b"A : 1\r\n", Reason.BAD_REQUEST),
    (b"A\t: 1\r\n", Reason.BAD_REQUEST),
    (b": 1\r\n", Reason.BAD_REQUEST),
    (b"A\r\n", Reason.BAD_REQUEST),
    (b"A B: 1\r\n", Reason.BAD_REQUEST),
    (b"A(: 1\r\n", Reason.BAD_REQUEST),
    (b"A\xe9: 1\r\n", Reason.BAD_REQUEST),
    (b"A\x00: 1\r\n", Reason.BAD_REQUEST),
    (b"A: \x00\r\n", Reason.BAD_REQUEST),
    (b"A: \x01\r\n", Reason.BAD_REQUEST),
    (b"A: \x0b\r\n", Reason.BAD_REQUEST),
    (b"A: \x1f\r\n", Reason.BAD_REQUEST),
    (b"A: \x7f\r\n", Reason.BAD_REQUEST),
    (b"A: 1", Reason.BAD_REQUEST),
]


@pytest.mark.parametrize(("block", "expected"), ACCEPTED)
def test_accepted(block: bytes, expected: dict[bytes, bytes]) -> None:
    assert FieldParser().parse(block) == expected


@pytest.mark.parametrize(("block", "reason"), REFUSED)
def test_refused(block: bytes, reason: Reason) -> None:
    with pytest.raises(HttpError) as caught:
        FieldParser().parse(block)
    # A block that merely stops in the middle is never handed over; what counts is that it is refused.
    assert caught.value.reason in (reason, Reason.BAD_FRAMING, Reason.BAD_REQUEST)
    if block.endswith(b"\r\n"):
        assert caught.value.reason is reason


def test_a_refusal_never_repeats_what_was_sent() -> None:
    with pytest.raises(HttpError) as caught:
        FieldParser().parse(b"Secret-Name : hunter2\r\n")
    assert "hunter2" not in caught.value.detail
    assert "Secret" not in caught.value.detail


@pytest.mark.parametrize("name", [b"X-A", b"Content-Length", b"Connection"])
def test_the_count_of_fields_is_bounded(name: bytes) -> None:
    parser = FieldParser()
    assert parser.parse((name + b": 1\r\n") * rules.MAX_FIELDS)
    with pytest.raises(HttpError) as caught:
        parser.parse((name + b": 1\r\n") * (rules.MAX_FIELDS + 1))
    assert caught.value.reason is Reason.HEADER_TOO_LARGE
    assert parser.parse(b"A: 1\r\n") == {b"a": b"1"}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", STATEFUL)
def test_no_block_changes_what_the_next_one_means(name: bytes, value: bytes) -> None:
    parser = FieldParser()
    block = name + b": " + value + b"\r\n"
    for _ in range(2):
        assert parser.parse(block) == plainly(block)
        assert parser.parse(b"X-A: 1\r\nHost: a\r\n") == {b"x-a": b"1", b"host": b"a"}
        assert parser.parse(b"") == {}


@settings(max_examples=150, deadline=None)
@given(st.lists(blocks_of(lines), max_size=6))
@example([b"A:\t a\t b \t\r\n"])
@example([b"Connection: close\r\n", b"A: 1\r\n"])
@example([b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"A: 1\r\n"])
@example([b"Content-Length: 5\r\n", b"A: 1\r\n"])
@example([b"Transfer-Encoding: chunked\r\n", b"A: 1\r\n"])
def test_one_parser_reads_every_block_as_the_plain_one_does(stream: list[bytes]) -> None:
    parser = FieldParser()
    for block in stream:
        assert parser.parse(block) == plainly(block)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(blocks_of(lines), st.binary(max_size=24)), max_size=6))
def test_whatever_comes_is_refused_or_read_plainly(stream: list[bytes]) -> None:
    """Refusals in between leave no trace either."""
    parser = FieldParser()
    for block in stream:
        try:
            fields = parser.parse(block)
        except HttpError:
            assert not rules.BLOCK.fullmatch(block)
        else:
            assert fields == plainly(block)


def test_an_earlier_result_is_not_touched_by_a_later_block() -> None:
    parser = FieldParser()
    first = parser.parse(b"A: 1\r\n")
    parser.parse(b"B: 2\r\n")
    assert first == {b"a": b"1"}


def test_lines_keep_their_bytes() -> None:
    block = b"X-A:1 \r\nx-a: \x80\r\nB:\r\n"
    assert lines_of(block) == [(b"x-a", b"X-A:1 \r\n"), (b"x-a", b"x-a: \x80\r\n"), (b"b", b"B:\r\n")]
    assert b"".join(line for _, line in lines_of(block)) == block
    assert lines_of(b"") == []

"""The memo is bounded in entries, bytes and age; a head that is remembered is the head that would be parsed anew."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fastgw.errors import HttpError
from fastgw.gateway.head_reader import HeadReader
from fastgw.http1.fields import FieldParser
from fastgw.http1.memo import ASK_AGAIN_AFTER, GIVE_UP_AFTER, MAX_BYTES, MAX_ENTRIES, MAX_KEY, Memo, Streak
from fastgw.http1.request import parse_request_block
from fastgw.http1.response import parse_response_head
from tests.support import corpus

REQUESTS = [
    case
    for name in ("request_heads_legal", "request_framing_legal", "request_targets_legal", "request_heads_refused",
                 "request_framing_refused", "request_targets_refused")
    for case in corpus.load(name)
]  # fmt: skip
ANSWERS = [case for name in ("answers_legal", "answers_refused", "answers_cut") for case in corpus.load(name)]


def shown(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in type(record).__slots__}  # type: ignore[attr-defined]


def read(reader: HeadReader, raw: bytes, streak: Streak) -> object:
    raw = raw.removeprefix(b"\r\n")
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return None
    try:
        exchange = reader.read(raw, end, streak, 1.0)
    except HttpError as error:
        return error.reason, error.status, error.detail
    head = shown(exchange.head)
    return (
        exchange.method,
        exchange.path,
        exchange.query,
        exchange.host,
        exchange.http10,
        exchange.bytes_in,
        head,
    )


def without_memo() -> Streak:
    streak = Streak()
    streak.skip = 1 << 30
    return streak


def test_a_remembered_request_head_equals_one_parsed_anew() -> None:
    remembering = HeadReader()
    known = 0
    for _ in range(3):
        for case in REQUESTS:
            raw = case.bytes("00000000")
            anew = read(HeadReader(), raw, without_memo())
            misses = remembering.memo.misses
            assert read(remembering, raw, Streak()) == anew, case.name
            known += remembering.memo.misses == misses
    assert known > len(REQUESTS)  # the memo did answer
    assert remembering.memo.misses  # and did not answer what it never saw


def test_a_remembered_head_is_one_object_and_nobody_writes_to_it() -> None:
    reader = HeadReader()
    raw = b"GET /%b HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n"
    first = reader.read(raw % b"1", (raw % b"1").find(b"\r\n\r\n"), Streak(), 1.0)
    before = shown(first.head)
    second = reader.read(raw % b"2", (raw % b"2").find(b"\r\n\r\n"), Streak(), 2.0)
    assert second.head is first.head
    assert shown(first.head) == before
    assert (first.path, second.path) == (b"/1", b"/2")


@pytest.mark.parametrize(
    ("line", "status"), [(b"GET / HTTP/1.0", None), (b"GET / HTTP/1.1", 400), (b"GET / HTTP/2.0", 505)]
)
def test_what_depends_on_the_request_line_is_not_remembered(line: bytes, status: int | None) -> None:
    """The same block without Host is right on 1.0 and wrong on 1.1, in either order."""
    for first in (b"GET / HTTP/1.0", b"GET / HTTP/1.1"):
        reader = HeadReader()
        for one in (first, line):
            raw = one + b"\r\nX-A: 1\r\n\r\n"
            result = read(reader, raw, Streak())
        assert isinstance(result, tuple)
        if status is None:
            assert result[0] == b"GET"
        else:
            assert result[1] == status


def test_a_chunked_block_remembered_from_1_1_is_refused_on_1_0() -> None:
    reader = HeadReader()
    block = b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert read(reader, b"POST / HTTP/1.1\r\n" + block, Streak())[0] == b"POST"  # type: ignore[index]
    assert read(reader, b"POST / HTTP/1.0\r\n" + block, Streak())[1] == 400  # type: ignore[index]


def test_parsers_that_saw_the_whole_corpus_agree_with_new_ones() -> None:
    worn = FieldParser()
    for case in [*REQUESTS, *ANSWERS]:
        raw = case.bytes("00000000").removeprefix(b"\r\n")
        head = raw[: raw.find(b"\r\n\r\n") + 2]
        _, _, block = head.partition(b"\r\n")
        for parse, data in ((parse_request_block, block), (parse_response_head, head)):
            outcomes = []
            for parser in (worn, FieldParser()):
                try:
                    outcomes.append(shown(parse(data, parser)))
                except HttpError as error:
                    outcomes.append({"reason": error.reason, "detail": error.detail})
            assert outcomes[0] == outcomes[1], case.name


def test_entries_are_bounded() -> None:
    memo: Memo[int] = Memo()
    for number in range(3 * MAX_ENTRIES):
        memo.store(b"%d" % number, number)
    assert len(memo.young) <= MAX_ENTRIES
    assert len(memo.old) <= MAX_ENTRIES


def test_bytes_are_bounded() -> None:
    memo: Memo[int] = Memo()
    for number in range(2000):
        memo.store(b"%08d" % number + b"x" * (MAX_KEY - 8), number)
    for generation in (memo.young, memo.old):
        assert sum(map(len, generation)) <= MAX_BYTES + MAX_KEY


def test_a_large_head_is_not_remembered() -> None:
    memo: Memo[int] = Memo()
    memo.store(b"x" * MAX_KEY, 1)
    memo.store(b"x" * (MAX_KEY + 1), 2)
    assert list(map(len, memo.young)) == [MAX_KEY]


def test_what_is_not_used_for_two_rotations_is_gone() -> None:
    memo: Memo[int] = Memo()
    memo.store(b"used", 1)
    memo.store(b"unused", 2)
    memo.rotate()
    assert memo.promote(b"used") == 1
    assert b"used" in memo.young
    memo.rotate()
    assert memo.promote(b"used") == 1
    assert memo.promote(b"unused") is None
    assert memo.promote(b"never") is None


def test_clear_forgets_everything() -> None:
    memo: Memo[int] = Memo()
    memo.store(b"a", 1)
    memo.rotate()
    memo.store(b"b", 2)
    memo.clear()
    assert not memo.young
    assert memo.promote(b"a") is None


def test_a_connection_that_never_repeats_gives_the_memo_up_and_asks_again() -> None:
    reader, streak = HeadReader(), Streak()
    asked = [0]
    for number in range(GIVE_UP_AFTER + 2 * ASK_AGAIN_AFTER + 3):
        # Two lines change at once: there is no one line to leave out.
        raw = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: %d\r\nX-B: %d\r\n\r\n" % (number, number)
        reader.read(raw, len(raw) - 4, streak, 1.0)
        asked.append(reader.memo.misses)
    steps = [number for number, (before, after) in enumerate(pairwise(asked)) if after > before]
    assert steps[:GIVE_UP_AFTER] == list(range(GIVE_UP_AFTER))
    assert steps[GIVE_UP_AFTER:] == [GIVE_UP_AFTER + ASK_AGAIN_AFTER, GIVE_UP_AFTER + 2 * ASK_AGAIN_AFTER + 1]


def test_a_hit_ends_the_streak() -> None:
    reader, streak = HeadReader(), Streak()
    for number in range(GIVE_UP_AFTER * 3):
        for value in (number, 0):
            raw = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: %d\r\n\r\n" % value
            reader.read(raw, len(raw) - 4, streak, 1.0)
    assert streak.skip == 0

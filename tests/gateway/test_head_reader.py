"""A head, whole or in parts: sizes, what is refused on arrival, and the two memos, which never change a meaning."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.errors import HttpError, Reason
from fastgw.gateway.head_reader import LINES_GIVEN_UP_AFTER, REQUEST_LINE_SLACK, HeadReader, method_of
from fastgw.http1 import rules
from fastgw.http1.memo import Streak
from fastgw.model.exchange import Exchange

T = 1000.0
HOST = b"Host: a.example\r\n"


def head(
    target: bytes = b"/", *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1", host: bytes = HOST
) -> bytes:
    fields = b"".join(line + b"\r\n" for line in lines)
    return method + b" " + target + b" HTTP/" + version + b"\r\n" + host + fields + b"\r\n"


def read(raw: bytes, reader: HeadReader | None = None, streak: Streak | None = None) -> Exchange:
    return (reader or HeadReader()).read(raw, raw.index(b"\r\n\r\n"), streak or Streak(), T)


def refusal(raw: bytes, reader: HeadReader | None = None) -> HttpError:
    with pytest.raises(HttpError) as caught:
        read(raw, reader)
    return caught.value


def part(raw: bytes, *, scanned: int = 0, skipped: bool = False, most: int = 32 * 1024) -> Reason | None:
    reader = HeadReader()
    reader.max_header_size = most
    try:
        reader.check_part(raw, scanned, skipped)
    except HttpError as error:
        return error.reason
    return None


def test_a_head_becomes_an_exchange() -> None:
    raw = head(b"/a/../b?q", b"X-A: 1", method=b"POST")
    one = read(raw)
    assert (one.method, one.path, one.query, one.host, one.http10) == (
        b"POST",
        b"/b",
        b"?q",
        b"a.example",
        False,
    )
    assert (one.bytes_in, one.started) == (len(raw), T)
    assert one.head is not None
    assert one.head.fields == {b"host": b"a.example", b"x-a": b"1"}


def test_what_stands_behind_the_head_is_not_part_of_it() -> None:
    raw = head()
    assert read(raw + b"GET /next HTTP/1.1\r\n\r\n").bytes_in == len(raw)


# --- sizes ---


@pytest.mark.parametrize(("excess", "refused"), [(-1, False), (0, False), (1, True), (5000, True)])
def test_a_target_has_a_bound(excess: int, refused: bool) -> None:
    raw = head(b"/" + b"a" * (rules.MAX_TARGET - 1 + excess))
    if refused:
        error = refusal(raw)
        assert (error.reason, error.status) == (Reason.URI_TOO_LONG, 414)
    else:
        assert len(read(raw).path) == rules.MAX_TARGET + excess


def test_a_request_line_of_many_words_is_no_long_target() -> None:
    assert refusal(b"GET " + b"/a " * (rules.MAX_TARGET // 3) + b"HTTP/1.1\r\n" + HOST + b"\r\n").reason in (
        Reason.BAD_REQUEST,
        Reason.URI_TOO_LONG,
    )


@pytest.mark.parametrize(("excess", "refused"), [(-1, False), (0, False), (1, True)])
def test_a_head_has_a_bound(excess: int, refused: bool) -> None:
    reader = HeadReader()
    reader.max_header_size = 2000
    bare = len(head(b"/", b"X-A: ")) - 4  # what counts: up to the empty line
    raw = head(b"/", b"X-A: " + b"a" * (2000 - bare + excess))
    if refused:
        error = refusal(raw, reader)
        assert (error.reason, error.status) == (Reason.HEADER_TOO_LARGE, 431)
    else:
        read(raw, reader)


@pytest.mark.parametrize("excess", [-2, -1, 0, 1, 2, 3, 100])
def test_the_bound_of_a_head_does_not_depend_on_the_cut(excess: int) -> None:
    reader = HeadReader()
    reader.max_header_size = 500
    bare = len(head(b"/", b"X-A: ")) - 4
    raw = head(b"/", b"X-A: " + b"a" * (500 - bare + excess))
    for at in range(400, len(raw)):
        try:
            reader.check_part(raw[:at], 0, False)
            read(raw, reader)
            accepted = True
        except HttpError as error:
            assert error.reason is Reason.HEADER_TOO_LARGE
            accepted = False
        assert accepted is (excess <= 0), at


@pytest.mark.parametrize("excess", [-1, 0, 1, 20, 100])
def test_the_bound_of_a_target_does_not_depend_on_the_cut(excess: int) -> None:
    raw = head(b"/" + b"a" * (rules.MAX_TARGET - 1 + excess))
    reader = HeadReader()
    for at in (*range(8150, min(8320, len(raw))), len(raw) - 1):
        try:
            reader.check_part(raw[:at], 0, False)
            read(raw, reader)
            accepted = True
        except HttpError as error:
            assert error.reason is Reason.URI_TOO_LONG
            accepted = False
        assert accepted is (excess <= 0), at


# --- parts ---


def test_an_endless_request_line_is_refused_without_its_end() -> None:
    most = rules.MAX_TARGET + REQUEST_LINE_SLACK
    assert part(b"GET /" + b"a" * (most - 5)) is None
    assert part(b"GET /" + b"a" * (most - 4)) is Reason.URI_TOO_LONG


def test_an_endless_head_is_refused_without_its_end() -> None:
    raw = b"GET / HTTP/1.1\r\nX-A: " + b"a" * 1000
    assert part(raw, most=2000) is None
    assert part(raw + b"a" * 1000, most=2000) is Reason.HEADER_TOO_LARGE


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\n", Reason.BAD_FRAMING),
        (b"\rG", Reason.BAD_FRAMING),
        (b"\r\r", Reason.BAD_FRAMING),
        (b" ", Reason.BAD_REQUEST),
        (b"\x00", Reason.BAD_REQUEST),
        (b"\x16\x03\x01", Reason.BAD_REQUEST),  # TLS
        (b"{", Reason.BAD_REQUEST),
        (b":", Reason.BAD_REQUEST),
        (b"\x80", Reason.BAD_REQUEST),
        (b"GET / HTTP/1.1\nHost", Reason.BAD_FRAMING),
        (b"GET / HTTP/1.1\r\nA: 1\n", Reason.BAD_FRAMING),
        (b"GET / HTTP/1.1\r\nA: 1\rB", Reason.BAD_FRAMING),
        (b"GET / HTTP/1.1\r\nA: \x00", Reason.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nA: \x7f", Reason.BAD_REQUEST),
        (b"GET /\x0b", Reason.BAD_REQUEST),
    ],
)
def test_what_no_continuation_can_mend_is_refused_on_arrival(raw: bytes, reason: Reason) -> None:
    assert part(raw) is reason
    seen = 0
    for at in range(1, len(raw) + 1):  # byte by byte, each looked at once
        found = part(raw[:at], scanned=seen)
        if found is not None:
            assert found is reason
            return
        seen = at
    raise AssertionError("never refused byte by byte")


@pytest.mark.parametrize(
    "raw",
    [b"G", b"get", b"!", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\nA:\t\x80", b"GET / HTTP/1.1\r\nA: 1\r\n\r"],
)
def test_what_may_still_become_a_head_is_kept(raw: bytes) -> None:
    for at in range(1, len(raw) + 1):
        assert part(raw[:at]) is None


def test_the_cr_of_an_empty_line_is_waited_for_once() -> None:
    assert part(b"\r") is None
    assert part(b"\r", skipped=True) is Reason.BAD_REQUEST


def test_a_stray_line_end_is_blamed_before_anything_else() -> None:
    reader = HeadReader()
    other = HttpError(Reason.BAD_REQUEST, "something")
    assert reader.blame(other, b"GET /\n HTTP/1.1").reason is Reason.BAD_FRAMING
    assert reader.blame(other, b"GET /\r HTTP/1.1").reason is Reason.BAD_FRAMING
    assert reader.blame(other, b"GET / HTTP/1.1") is other


# --- Host and the absolute form ---


def test_host_is_needed_on_1_1_only() -> None:
    assert refusal(head(host=b"")).reason is Reason.BAD_REQUEST
    assert read(head(host=b"", version=b"1.0")).host == b""


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_host_must_be_the_authority_of_the_target(version: bytes) -> None:
    assert read(head(b"http://A.example/x", version=version)).path == b"/x"
    assert refusal(head(b"http://b.example/x", version=version)).reason is Reason.BAD_REQUEST


def test_an_absolute_target_without_host() -> None:
    assert refusal(head(b"http://b.example/x", host=b"")).reason is Reason.BAD_REQUEST
    one = read(head(b"http://b.example/x", host=b"", version=b"1.0"))
    assert one.host == b"b.example"
    assert one.head is not None
    assert b"Host: b.example\r\n" in one.head.forward


def test_no_transfer_encoding_on_1_0() -> None:
    raw = head(b"/", b"Transfer-Encoding: chunked", version=b"1.0")
    assert refusal(raw).reason is Reason.BAD_FRAMING


# --- the memos ---


def test_a_line_and_a_block_are_parsed_once() -> None:
    reader, streak = HeadReader(), Streak()
    first, second = (read(head(b"/a"), reader, streak) for _ in range(2))
    assert first.head is second.head
    assert first.line is second.line
    other = read(head(b"/b"), reader, streak)
    assert other.head is first.head
    assert other.line is not first.line


def test_what_depends_on_both_is_checked_though_both_are_known() -> None:
    reader, streak = HeadReader(), Streak()
    read(head(b"/", b"Transfer-Encoding: chunked"), reader, streak)
    read(head(b"/", version=b"1.0"), reader, streak)
    raw = head(b"/", b"Transfer-Encoding: chunked", version=b"1.0")
    with pytest.raises(HttpError):
        read(raw, reader, streak)
    read(head(b"/x", host=b"", version=b"1.0"), reader, streak)
    read(head(b"/x"), reader, streak)
    with pytest.raises(HttpError):
        read(head(b"/x", host=b""), reader, streak)


def test_a_refused_head_or_line_is_not_remembered() -> None:
    reader = HeadReader()
    for _ in range(2):
        refusal(head(b"/..%2f"), reader)
        refusal(head(b"/", b"A : 1"), reader)
    assert b"GET /..%2f HTTP/1.1" not in reader.lines.young
    assert not any(b"A : 1" in block for block in reader.memo.young)


def test_lines_that_never_repeat_are_not_remembered_for_ever() -> None:
    reader, streak = HeadReader(), Streak()
    for number in range(LINES_GIVEN_UP_AFTER + 100):
        assert read(head(b"/%d" % number), reader, streak).path == b"/%d" % number
    assert len(reader.lines.young) + len(reader.lines.old) <= LINES_GIVEN_UP_AFTER


def test_a_rotated_memo_still_knows_what_is_used() -> None:
    reader, streak = HeadReader(), Streak()
    first = read(head(b"/a"), reader, streak)
    for _ in range(5):
        reader.memo.rotate()
        reader.lines.rotate()
        again = read(head(b"/a"), reader, streak)
        assert (again.head, again.line) == (first.head, first.line)
    for _ in range(2):
        reader.memo.rotate()
        reader.lines.rotate()
    assert read(head(b"/a"), reader, streak).head is not first.head


@pytest.mark.parametrize(
    ("line", "method"),
    [
        (b"GET / HTTP/1.1", b"GET"), (b"BREW", b"BREW"), (b"", b""), (b"G\x00T /", b""), (b" GET /", b""),
        (b"A" * rules.MAX_METHOD + b" /", b"A" * rules.MAX_METHOD), (b"A" * (rules.MAX_METHOD + 1) + b" /", b""),
        (b'G"T /', b""),
    ],
)  # fmt: skip
def test_the_method_of_a_refused_line_is_a_token_or_nothing(line: bytes, method: bytes) -> None:
    assert method_of(line) == method


pieces = st.lists(
    st.sampled_from(
        [b"GET ", b"/", b"a", b" HTTP/1.1", b"\r\n", b"\r", b"\n", b"Host: a", b"X: ", b"\x00", b" ", b"\x80"]
    ),
    min_size=1,
    max_size=12,
).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(pieces, st.data())
def test_to_look_at_each_byte_once_refuses_what_a_look_at_all_refuses(
    raw: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(raw) - 1))
    whole = part(raw)
    first = part(raw[:at]) if at else None
    assert (first or part(raw, scanned=at)) == (first or whole)

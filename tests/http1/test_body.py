"""Chunked bodies: the same content, end and rest however the bytes are cut; everything that is not strict is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.errors import HttpError, Reason
from fastgw.http1 import rules
from fastgw.http1.body import ChunkedDecoder, chunk, forwardable_trailers, last_chunk
from fastgw.http1.fields import FieldParser

REST = b"GET / HTTP/1.1\r\n"


def decode(parts: list[bytes]) -> tuple[bytes, bytes, bytes, bool]:
    """(content, trailers, what came behind the end, whether the end was seen)."""
    decoder = ChunkedDecoder(FieldParser())
    content, behind = b"", b""
    for part in parts:
        if decoder.done:
            behind += part
            continue
        content += b"".join(decoder.feed(part))
        if decoder.done:
            behind = decoder.rest
    return content, decoder.trailers, behind, decoder.done


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start != end]


def refusal(parts: list[bytes]) -> HttpError:
    with pytest.raises(HttpError) as caught:
        decode(parts)
    return caught.value


ACCEPTED = {
    "empty": (b"0\r\n\r\n", b"", b""),
    "one": (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    "two": (b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello", b""),
    "upper-case-hex": (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", b""),
    "lower-case-hex": (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789", b""),
    "leading-zeros": (b"000000000000005\r\nhello\r\n00\r\n\r\n", b"hello", b""),
    "an-extension": (b'5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n', b"hello", b""),
    "an-empty-extension": (b"5;\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    "the-longest-extension": (
        b"5;" + b"x" * rules.MAX_CHUNK_EXTENSION + b"\r\nhello\r\n0\r\n\r\n",
        b"hello",
        b"",
    ),
    "content-that-looks-like-framing": (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n", b""),
    "a-trailer": (b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", b"hello", b"X-Sum: 1\r\n"),
    "two-trailers": (b"0\r\nX-A: 1\r\nX-A: 2\r\n\r\n", b"", b"X-A: 1\r\nX-A: 2\r\n"),
}
REFUSED = {
    "no-size": b"\r\nhello\r\n0\r\n\r\n",
    "a-sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "a-minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "a-prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "no-hex": b"g\r\n",
    "an-underscore": b"1_0\r\n",
    "a-leading-space": b" 5\r\nhello\r\n0\r\n\r\n",
    "a-trailing-space": b"5 \r\nhello\r\n0\r\n\r\n",
    "a-space-before-the-extension": b"5 ;a\r\nhello\r\n0\r\n\r\n",
    "a-trailing-tab": b"5\t\r\nhello\r\n0\r\n\r\n",
    "sixteen-digits": b"0000000000000005\r\nhello\r\n0\r\n\r\n",
    "only-an-extension": b";a\r\nhello\r\n0\r\n\r\n",
    "a-control-in-an-extension": b"5;a\x00\r\nhello\r\n0\r\n\r\n",
    "a-bare-lf-behind-the-size": b"5\nhello\r\n0\r\n\r\n",
    "a-bare-lf-behind-an-extension": b"5;a\nhello\r\n0\r\n\r\n",
    "a-bare-cr-in-an-extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "two-crs-behind-the-size": b"5\r\r\nhello\r\n0\r\n\r\n",
    "too-long-an-extension": b"5;" + b"x" * (rules.MAX_CHUNK_EXTENSION + 1) + b"\r\nhello\r\n0\r\n\r\n",
    "content-longer-than-its-size": b"4\r\nhello\r\n0\r\n\r\n",
    "content-shorter-than-its-size": b"6\r\nhello\r\n0\r\n\r\n",
    "a-bare-lf-behind-content": b"5\r\nhello\n0\r\n\r\n",
    "a-bare-cr-behind-content": b"5\r\nhello\r0\r\n\r\n",
    "a-bare-lf-behind-the-last-chunk": b"0\n\r\n",
    "a-bare-lf-at-the-end": b"0\r\nX-A: 1\r\n\n",
    "a-trailer-without-a-colon": b"0\r\nX-A\r\n\r\n",
    "a-trailer-with-a-space-before-the-colon": b"0\r\nX-A : 1\r\n\r\n",
    "a-trailer-with-a-nul": b"0\r\nX-A: \x00\r\n\r\n",
    "a-trailer-with-a-bare-cr": b"0\r\nX-A: 1\r2\r\n\r\n",
    "a-folded-trailer": b"0\r\nX-A: 1\r\n 2\r\n\r\n",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_whole_byte_by_byte_and_split_everywhere(name: str) -> None:
    data, content, trailers = ACCEPTED[name]
    whole = data + REST
    expected = (content, trailers, REST, True)
    assert decode([whole]) == expected
    assert decode([whole[at : at + 1] for at in range(len(whole))]) == expected
    for at in range(1, len(whole)):
        assert decode([whole[:at], whole[at:]]) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_refused_whole_byte_by_byte_and_split_everywhere(name: str) -> None:
    data = REFUSED[name]
    reasons = (Reason.BAD_FRAMING, Reason.BAD_REQUEST) if "trailer" in name else (Reason.BAD_FRAMING,)
    assert refusal([data]).reason in reasons
    assert refusal([data[at : at + 1] for at in range(len(data))]).reason in reasons
    for at in range(1, len(data)):
        assert refusal([data[:at], data[at:]]).reason in reasons


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_end_is_never_seen_early(name: str) -> None:
    data = ACCEPTED[name][0]
    for at in range(len(data)):
        assert not decode([data[:at]])[3]


@pytest.mark.parametrize(
    "start",
    [
        b"x",
        b"5 ",
        b"\r",
        b"5;\x00",
        b"5\rx",
        b"5\r\nhellox",
        b"5\r\nhello\rx",
        b"1" * 16,
        b"0\r\nX-A: \x00",
        b"0\r\nX-A: 1\rx",
        b"0\r\n\rx",
    ],
)
def test_what_no_continuation_can_mend_is_refused_on_arrival(start: bytes) -> None:
    assert refusal([start]).reason is Reason.BAD_FRAMING
    assert refusal([start[at : at + 1] for at in range(len(start))]).reason is Reason.BAD_FRAMING


def test_an_endless_size_line_is_refused_without_its_end() -> None:
    assert refusal([b"5;"] + [b"x" * 100] * 12).reason is Reason.BAD_FRAMING


def test_an_endless_trailer_is_refused_without_its_end() -> None:
    error = refusal([b"0\r\nX-A: "] + [b"x" * 1000] * 10)
    assert error.reason is Reason.HEADER_TOO_LARGE
    assert error.status == 431


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_trailer_lines_are_counted_as_they_come(size: int) -> None:
    lines = b"A: 1\r\n" * rules.MAX_FIELDS

    def parts(data: bytes) -> list[bytes]:
        return [data[at : at + size] for at in range(0, len(data), size)]

    assert decode(parts(b"0\r\n" + lines + b"\r\n")) == (b"", lines, b"", True)
    assert refusal(parts(b"0\r\n" + lines + b"A: 1\r\n")).reason is Reason.HEADER_TOO_LARGE  # without its end


@pytest.mark.parametrize("excess", [-8, -1, 0, 1, 2, 3, 8, 4000])
def test_the_bound_of_a_trailer_section_does_not_depend_on_the_cut(excess: int) -> None:
    line = b"X-A: " + b"a" * (rules.MAX_TRAILER - 7 + excess) + b"\r\n"
    data = b"0\r\n" + line + b"\r\n"
    small = [data[at : at + 97] for at in range(0, len(data) - 8, 97)]
    rest = data[len(b"".join(small)) :]
    for parts in ([data], [data[:4000], data[4000:]], [data[:-1], data[-1:]], [*small, rest]):
        if excess <= 0:
            assert decode(parts) == (b"", line, b"", True)
        else:
            assert refusal(parts).reason is Reason.HEADER_TOO_LARGE


def test_content_is_handed_on_before_its_chunk_is_complete() -> None:
    decoder = ChunkedDecoder(FieldParser())
    assert decoder.feed(b"a\r\n0123") == [b"0123"]
    read = b"45"
    pieces = decoder.feed(read)
    assert pieces[0] is read  # a read that is all content is not copied
    assert decoder.feed(b"6789\r") == [b"6789"]
    assert not decoder.done


contents = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
trailer_lines = st.lists(st.sampled_from([b"X-A: 1\r\n", b"X-Sum: \x80\r\n", b"x:\r\n"]), max_size=3).map(
    b"".join
)
extensions = st.sampled_from([b"", b";", b";a=b", b';q="\t "'])


@settings(max_examples=300, deadline=None)
@given(
    contents, trailer_lines, extensions, st.binary(max_size=12), st.lists(st.integers(0, 400), max_size=12)
)
def test_round_trip_under_any_split(
    pieces: list[bytes], trailers: bytes, extension: bytes, rest: bytes, places: list[int]
) -> None:
    data = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    data += b"0" + extension + b"\r\n" + trailers + b"\r\n"
    expected = (b"".join(pieces), trailers, rest, True)
    assert decode(cut(data + rest, places)) == expected


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.binary(max_size=30), min_size=1, max_size=4),
    trailer_lines,
    st.lists(st.integers(0, 300), max_size=6),
)
def test_what_is_written_is_what_is_read(reads: list[bytes], trailers: bytes, places: list[int]) -> None:
    data = b"".join(chunk([read]) for read in reads) + last_chunk(trailers)
    assert decode(cut(data, places)) == (b"".join(reads), trailers, b"", True)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from([*b"0159aF;\r\n\r\nx: \x00"]), max_size=24).map(bytes),
    st.lists(st.integers(0, 24), max_size=4),
)
def test_any_bytes_mean_the_same_under_any_split(data: bytes, places: list[int]) -> None:
    def outcome(parts: list[bytes]) -> object:
        try:
            return decode(parts)
        except HttpError as error:
            return error.reason in (Reason.BAD_FRAMING, Reason.BAD_REQUEST)

    assert outcome(cut(data, places)) == outcome([data])


def test_no_content_makes_no_chunk() -> None:
    """An empty chunk would be the last one."""
    assert chunk([]) == b""
    assert chunk([b"", b""]) == b""
    assert chunk([b"ab", b"", b"c"]) == b"3\r\nabc\r\n"


def test_last_chunk() -> None:
    assert last_chunk(b"") == b"0\r\n\r\n"
    assert last_chunk(b"X-A: 1\r\n") == b"0\r\nX-A: 1\r\n\r\n"


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length",
        "transfer-encoding",
        "Host",
        "Trailer",
        "TE",
        "Connection",
        "Authorization",
        "Set-Cookie",
        "Content-Type",
        "Cache-Control",
        "X-Forwarded-For",
        "X-Forwarded-Anything",
        "Forwarded",
        "X-Real-IP",
        "X-Request-Id",
        "X-Consumer",
        "X-Consumer-Scopes",
        "X_Under",
        "Cookie",
        "Expect",
        "Upgrade",
        "Keep-Alive",
        "traceparent",
    ],
)
def test_fields_that_may_not_come_in_a_trailer_are_dropped(name: str) -> None:
    block = f"{name}: 1\r\nX-Ok: 2\r\n".encode()
    assert forwardable_trailers(block, FieldParser()) == b"X-Ok: 2\r\n"


@pytest.mark.parametrize("name", ["X-Checksum", "ETag", "Server-Timing", "Content-MD5", "grpc-status"])
def test_other_trailers_pass(name: str) -> None:
    block = f"{name}: 1\r\n".encode()
    assert forwardable_trailers(block, FieldParser()) == block

"""A body in: its end, its bound, and the two clocks of a slow sender, which stand still while nobody reads."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.edge.intake import RATE_AFTER, RATE_CHECK, Intake
from fastgw.errors import HttpError, Reason
from fastgw.http1.fields import FieldParser
from fastgw.model.messages import RequestHead

T = 1000.0


def intake(length: int, *, limit: int = 1000, resumed: bool = True) -> Intake:
    """`length` -1: chunked."""
    head = RequestHead({})
    head.length = length
    head.chunked = length < 0
    made = Intake(head, FieldParser(), T)
    made.limit = limit
    if resumed:
        made.resumed(T)
    return made


def test_a_length_ends_the_body_and_the_rest_is_the_next_request() -> None:
    body = intake(5)
    assert b"".join(body.feed(b"he", T)) == b"he"
    assert not body.done
    assert b"".join(body.feed(b"lloGET /", T)) == b"llo"
    assert body.done
    assert (body.rest, body.received, body.trailers) == (b"GET /", 5, b"")


def test_chunks_end_it_too_and_bring_trailers() -> None:
    body = intake(-1)
    assert body.feed(b"5\r\nhel", T) == [b"hel"]
    assert body.feed(b"lo\r\n0\r\nX-A: 1\r\n\r\nGET /", T) == [b"lo"]
    assert body.done
    assert (body.rest, body.received, body.trailers) == (b"GET /", 5, b"X-A: 1\r\n")


@pytest.mark.parametrize("sizes", [[1001], [1000, 1], [500, 500, 1], [1] * 1001])
def test_a_chunked_body_is_counted_as_it_streams(sizes: list[int]) -> None:
    body = intake(-1, limit=1000)
    for size in sizes[:-1]:
        body.feed(b"%x\r\n%b\r\n" % (size, b"a" * size), T)
    with pytest.raises(HttpError) as caught:
        body.feed(b"%x\r\n%b\r\n" % (sizes[-1], b"a" * sizes[-1]), T)
    assert (caught.value.reason, caught.value.status) == (Reason.BODY_TOO_LARGE, 413)


def test_a_body_of_exactly_the_bound_passes() -> None:
    body = intake(-1, limit=1000)
    body.feed(b"3e8\r\n" + b"a" * 1000 + b"\r\n0\r\n\r\n", T)
    assert body.done


def test_a_route_that_takes_no_body_takes_no_chunk_either() -> None:
    """`max_body: 0`: a Content-Length of 1 is refused by the pipeline, and so must be a chunk."""
    body = intake(-1, limit=0)
    with pytest.raises(HttpError) as caught:
        body.feed(b"1\r\na\r\n", T)
    assert caught.value.reason is Reason.BODY_TOO_LARGE


def test_framing_is_not_content() -> None:
    body = intake(-1, limit=10)
    for _ in range(10):
        body.feed(b"1;" + b"x" * 1000 + b"\r\na\r\n", T)
    assert body.received == 10


def test_bad_chunks_are_refused() -> None:
    with pytest.raises(HttpError) as caught:
        intake(-1).feed(b"x\r\n", T)
    assert caught.value.reason is Reason.BAD_FRAMING


# --- the silence ---


def test_silence_is_bounded() -> None:
    body = intake(100)
    due, why = body.verdict(T + 1.0, 30.0, 0.0)
    assert (due, why) == (T + 30.0, "")
    due, why = body.verdict(T + 30.0, 30.0, 0.0)
    assert "30 s" in why


def test_every_read_renews_it() -> None:
    body = intake(100)
    body.feed(b"a", T + 29.0)
    assert body.verdict(T + 31.0, 30.0, 0.0) == (T + 59.0, "")
    assert body.verdict(T + 59.0, 30.0, 0.0)[1]


def test_it_stands_still_while_we_do_not_read() -> None:
    body = intake(100)
    body.paused(T + 1.0)
    body.paused(T + 2.0)
    due, why = body.verdict(T + 500.0, 30.0, 240.0)
    assert not why
    assert due > T + 500.0
    body.resumed(T + 500.0)
    body.resumed(T + 501.0)
    assert body.verdict(T + 504.0, 30.0, 0.0) == (T + 530.0, "")


def test_before_anybody_wants_the_body_no_clock_runs() -> None:
    body = intake(100, resumed=False)
    assert body.verdict(T + 500.0, 30.0, 240.0)[1] == ""
    body.resumed(T + 500.0)
    assert body.verdict(T + 504.0, 30.0, 240.0)[1] == ""


# --- the rate ---


def test_the_average_counts_after_five_seconds_of_reading() -> None:
    body = intake(10_000)
    body.feed(b"a" * 100, T + 4.0)
    due, why = body.verdict(T + 4.5, 30.0, 240.0)
    assert (why, due) == ("", pytest.approx(T + RATE_AFTER))
    _, why = body.verdict(T + 5.0, 30.0, 240.0)
    assert "240 bytes a second" in why


def test_a_sender_that_is_fast_enough_is_looked_at_again() -> None:
    body = intake(10_000)
    body.feed(b"a" * 1200, T + 5.0)
    assert body.verdict(T + 5.0, 30.0, 240.0) == (T + 5.0 + RATE_CHECK, "")
    assert "slower" in body.verdict(T + 5.1, 30.0, 240.0)[1]


def test_without_a_rate_only_silence_counts() -> None:
    body = intake(10_000)
    body.feed(b"a", T + 20.0)
    assert body.verdict(T + 21.0, 30.0, 0.0) == (T + 50.0, "")


def test_time_in_which_we_do_not_read_is_not_the_senders() -> None:
    body = intake(10_000)
    body.feed(b"a" * 600, T + 1.0)
    body.paused(T + 1.0)
    body.resumed(T + 100.0)
    assert body.verdict(T + 101.0, 30.0, 240.0)[1] == ""  # two seconds of reading
    body.feed(b"a" * 600, T + 104.0)
    assert body.verdict(T + 104.0, 30.0, 240.0)[1] == ""  # 1200 bytes in five seconds
    assert body.verdict(T + 105.0, 30.0, 240.0)[1]


@settings(max_examples=300, deadline=None)
@given(
    st.floats(0.0, 1e7), st.floats(0.0, 40.0), st.floats(0.0, 40.0), st.integers(0, 20_000),
    st.sampled_from([0.0, 240.0]), st.floats(0.1, 60.0),
)  # fmt: skip
def test_whoever_is_not_refused_is_looked_at_later(
    start: float, pause: float, reading: float, size: int, rate: float, silence: float
) -> None:
    """A look that asks for another one at the same moment would be a sweep without end."""
    head = RequestHead({})
    head.length = 1 << 40
    start += 1.0
    body = Intake(head, FieldParser(), start)
    body.resumed(start + pause)
    body.feed(b"a" * size, start + pause)
    now = start + pause + reading
    due, why = body.verdict(now, silence, rate)
    assert why or due > now

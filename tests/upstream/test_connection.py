"""An upstream connection frames answers, whole, byte by byte and split; whatever is not strict poisons or ends it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.errors import Reason, Retry
from fastgw.model.messages import Framing
from fastgw.upstream.connection import MAX_ANSWER_HEAD
from fastgw.upstream.wire import State
from tests.upstream.fakes import OK5, Bench, Owner, Rig


def bytes_of(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def test_a_request_is_written_and_an_answer_comes_back(rig: Rig) -> None:
    assert rig.transport.written == b"GET / HTTP/1.1\r\n\r\n"
    rig.feed(OK5)
    assert rig.owner.events == [("answer", 200, Framing.LENGTH, True)]
    assert rig.owner.body == b"hello"
    assert rig.reusable
    assert rig.connection.reused
    assert rig.connection.owner is None


CASES: dict[str, tuple[bytes, bytes, tuple[object, ...], bool]] = {
    "length": (b"GET", OK5, (200, [], b"hello", 1, []), True),
    "length-0": (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (200, [], b"", 1, []), True),
    "chunked": (
        b"GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-A: 1\r\n\r\n",
        (200, [], b"hello", 1, []),
        True,
    ),
    "head": (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", (200, [], b"", 1, []), True),
    "204": (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", (204, [], b"", 1, []), True),
    "304": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", (304, [], b"", 1, []), True),
    "interim": (
        b"GET",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: a\r\n\r\n" + OK5,
        (200, [100, 103], b"hello", 1, []),
        True,
    ),
    "close": (
        b"GET",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        (200, [], b"hello", 1, []),
        False,
    ),
    "http-1.0": (
        b"GET",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        (200, [], b"hello", 1, []),
        False,
    ),
    "keep-alive-1.0": (
        b"GET",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        (200, [], b"hello", 1, []),
        True,
    ),
    "bad-status": (
        b"GET",
        b"HTTP/1.1 99 x\r\n\r\n",
        (0, [], b"", 0, [Reason.UPSTREAM_PROTOCOL_ERROR]),
        False,
    ),
    "bad-start": (b"GET", b"SSH-2.0-x\r\n\r\n", (0, [], b"", 0, [Reason.UPSTREAM_PROTOCOL_ERROR]), False),
    "bare-lf": (
        b"GET",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
        (0, [], b"", 0, [Reason.UPSTREAM_PROTOCOL_ERROR]),
        False,
    ),
    "nul": (
        b"GET",
        b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
        (0, [], b"", 0, [Reason.UPSTREAM_PROTOCOL_ERROR]),
        False,
    ),
    "both-framings": (
        b"GET",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        (0, [], b"", 0, [Reason.UPSTREAM_PROTOCOL_ERROR]),
        False,
    ),
    "101-unasked": (
        b"GET",
        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        (0, [], b"", 0, [Reason.UPSTREAM_PROTOCOL_ERROR]),
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_answers_whole_byte_by_byte_and_split_everywhere(make_bench: Callable[..., Bench], name: str) -> None:
    method, data, expected, reusable = CASES[name]
    ways = [[data], bytes_of(data), *([data[:at], data[at:]] for at in range(1, len(data)))]
    for parts in ways:
        rig = Rig(make_bench(), method).feed(*parts)
        assert rig.outcome() == expected
        assert rig.reusable is reusable
        if not reusable:
            assert rig.connection.state is State.CLOSED
            assert rig.bench.pool.open == 0


@pytest.mark.parametrize(
    ("method", "data"),
    [
        (b"GET", OK5 + b"X"),
        (b"GET", OK5 + OK5),
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nX"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\nhello"),
        (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello"),
        (b"HEAD", OK5),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (b"GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nX"),
    ],
)
def test_bytes_behind_an_answer_reach_nobody_and_end_the_connection(
    make_bench: Callable[..., Bench], method: bytes, data: bytes
) -> None:
    head_end = data.index(b"\r\n\r\n") + 4
    for parts in ([data], bytes_of(data), [data[:head_end], data[head_end:]]):
        rig = Rig(make_bench(), method).feed(*parts)
        status, _, body, whole, failed = rig.outcome()
        bodyless = method == b"HEAD" or status in (204, 304)
        assert body == (b"" if bodyless or b"Length: 0" in data else b"hello")
        assert (whole, failed) == (1, [])
        assert rig.connection.state is State.CLOSED
        assert rig.bench.pool.open == 0


def test_bytes_on_an_idle_connection_end_it(bench: Bench) -> None:
    connection = bench.idle()
    connection.data_received(OK5)
    assert connection.state is State.CLOSED
    assert bench.take() is None


def test_an_answer_until_the_end_of_the_connection(rig: Rig) -> None:
    rig.feed(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")
    assert rig.owner.events[0] == ("answer", 200, Framing.CLOSE, False)
    assert rig.connection.eof_received() is False
    rig.connection.connection_lost(None)
    assert rig.outcome() == (200, [], b"hello", 1, [])
    assert rig.bench.pool.open == 0


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_one_whose_end_nobody_announced_is_truncated(rig: Rig, error: Exception | None) -> None:
    """None: what TLS makes of a connection that ends without close_notify (RFC 9112 9.8)."""
    rig.feed(b"HTTP/1.1 200 OK\r\n\r\nhel")
    rig.connection.connection_lost(error)
    assert rig.outcome() == (200, [], b"hel", 0, [Reason.RESPONSE_TRUNCATED])


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n",
    ],
)
@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_an_answer_that_is_cut_is_truncated(rig: Rig, start: bytes, error: Exception | None) -> None:
    rig.feed(start)
    rig.connection.connection_lost(error)
    assert rig.outcome() == (200, [], b"hel", 0, [Reason.RESPONSE_TRUNCATED])
    assert rig.owner.events[-1][2] is Retry.NEVER


def test_a_bad_chunk_fails_the_answer(rig: Rig) -> None:
    rig.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", b"xyz\r\n")
    assert rig.outcome() == (200, [], b"hel", 0, [Reason.UPSTREAM_PROTOCOL_ERROR])
    assert rig.transport.aborted


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_only_a_reused_connection_that_died_silently_may_be_tried_again(
    bench: Bench, error: Exception | None
) -> None:
    rig = Rig(bench)
    rig.feed(OK5)
    again = bench.take()
    assert again is rig.connection
    rig.owner = Owner()
    rig.begin()
    rig.connection.connection_lost(error)
    assert rig.owner.events == [("failure", Reason.UPSTREAM_RESET, Retry.REUSED_ONLY)]


def test_a_target_that_refuses_our_certificate_after_the_handshake(bench: Bench) -> None:
    error = ssl.SSLError(1, "?")
    error.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    rig = Rig(bench)
    rig.connection.connection_lost(error)
    assert rig.owner.events == [("failure", Reason.TLS_ERROR, Retry.NEVER)]
    rig = Rig(bench)
    rig.feed(b"HTTP")
    rig.connection.connection_lost(error)
    assert rig.owner.events == [("failure", Reason.UPSTREAM_RESET, Retry.NEVER)]


def test_a_fresh_connection_that_died_is_not_tried_again(rig: Rig) -> None:
    rig.connection.connection_lost(None)
    assert rig.owner.events == [("failure", Reason.UPSTREAM_RESET, Retry.NEVER)]


@pytest.mark.parametrize("start", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_one_that_began_to_answer_is_not_tried_again(bench: Bench, start: bytes) -> None:
    rig = Rig(bench)
    rig.feed(OK5)
    bench.take()
    rig.owner = Owner()
    rig.begin()
    rig.feed(start)
    rig.connection.connection_lost(None)
    assert rig.owner.events[-1] == ("failure", Reason.UPSTREAM_RESET, Retry.NEVER)


def test_an_endless_head_is_refused(rig: Rig) -> None:
    rig.feed(b"HTTP/1.1 200 OK\r\n", *[b"X-A: " + b"a" * 1000 + b"\r\n"] * (MAX_ANSWER_HEAD // 1000 + 2))
    assert rig.outcome()[-1] == [Reason.UPSTREAM_PROTOCOL_ERROR]


def test_a_head_beyond_the_bound_is_refused_whole_as_well(rig: Rig) -> None:
    lines = b"".join(b"X-%d: " % number + b"a" * 1000 + b"\r\n" for number in range(70))
    rig.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + lines + b"\r\n")
    assert rig.outcome()[-1] == [Reason.UPSTREAM_PROTOCOL_ERROR]


@pytest.mark.parametrize("together", [True, False])
def test_endless_interim_answers_are_refused(rig: Rig, together: bool) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    rig.feed(*([interim * 33] if together else [interim] * 33))
    assert rig.outcome()[-1] == [Reason.UPSTREAM_PROTOCOL_ERROR]
    assert len(rig.outcome()[1]) == 32  # type: ignore[arg-type]


def test_the_count_of_interims_is_per_answer(rig: Rig) -> None:
    for _ in range(3):
        rig.feed(b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + OK5)
        assert rig.reusable
        rig.bench.take()
        rig.begin()


def test_a_very_long_row_of_interims_does_not_exhaust_the_stack(rig: Rig) -> None:
    rig.feed(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000)
    assert rig.outcome()[-1] == [Reason.UPSTREAM_PROTOCOL_ERROR]


# --- tunnels ---


@pytest.mark.parametrize("early", [b"", b"\x81\x00"])
def test_a_tunnel(bench: Bench, early: bytes) -> None:
    rig = Rig(bench, upgrade=True)
    rig.feed(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + early)
    assert rig.owner.events == [("switched", 101, early)]
    rig.feed(OK5)
    assert rig.owner.events[-1] == ("tunnel", OK5)  # bytes, whatever they look like
    assert rig.connection.eof_received() is False
    assert rig.owner.events[-1] == ("tunnel eof",)
    rig.connection.connection_lost(None)
    assert rig.owner.events[-1] == ("failure", Reason.OK, Retry.NEVER)
    assert bench.pool.open == 0


def test_a_silent_tunnel_ends(bench: Bench) -> None:
    rig = Rig(bench, upgrade=True)
    rig.feed(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    bench.tick(59.0)
    rig.feed(b"x")
    bench.tick(59.0)
    assert rig.owner.names() == ["switched", "tunnel"]
    bench.tick(1.1)
    assert rig.owner.events[-1] == ("failure", Reason.IDLE_TIMEOUT, Retry.NEVER)


@pytest.mark.parametrize("lines", [b"Upgrade: h2c\r\n", b""])
def test_a_switch_to_something_else_is_refused(bench: Bench, lines: bytes) -> None:
    rig = Rig(bench, upgrade=True).feed(b"HTTP/1.1 101 x\r\n" + lines + b"\r\n")
    assert rig.outcome()[-1] == [Reason.UPSTREAM_PROTOCOL_ERROR]


def test_an_upgrade_that_was_declined_is_an_ordinary_answer(bench: Bench) -> None:
    rig = Rig(bench, upgrade=True).feed(OK5)
    assert rig.reusable
    bench.take()
    rig.owner = Owner()
    rig.begin()
    rig.feed(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    assert rig.outcome()[-1] == [Reason.UPSTREAM_PROTOCOL_ERROR]  # the question was another exchange's


def test_a_promise_counts_for_the_answer_that_made_it(rig: Rig) -> None:
    rig.feed(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 0\r\n\r\n")
    assert rig.connection.deadline == pytest.approx(rig.bench.clock.now() + 1.0)


# --- random splits of random answers ---

bodies = st.binary(max_size=30)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    body = draw(bodies)
    head = b"HTTP/1.1 200 OK\r\n"
    if draw(st.booleans()):
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, body
    cuts = sorted(draw(st.sets(st.integers(1, 30), max_size=4)))
    edges = [0, *[cut for cut in cuts if cut < len(body)], len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges) if end > start]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", body


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(answers(), st.lists(st.integers(0, 150), max_size=5)), min_size=1, max_size=4))
def test_one_connection_serves_answer_after_answer_under_any_split(
    row: list[tuple[tuple[bytes, bytes], list[int]]],
) -> None:
    bench = Bench()
    rig: Rig | None = None
    for (data, body), places in row:
        if rig is None:
            rig = Rig(bench)
        else:
            assert bench.take() is rig.connection
            rig.owner = Owner()
            rig.begin()
        edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
        rig.feed(*[data[start:end] for start, end in pairwise(edges) if end > start])
        assert rig.outcome() == (200, [], body, 1, [])
        assert rig.reusable
        assert bench.pool.open == 1

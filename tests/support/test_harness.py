"""The harness against itself: the raw client speaks to the scripted upstream with no gateway between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import scripts
from tests.support.client import Client, request
from tests.support.consumed import ReceiveQueues
from tests.support.metrics import Metrics
from tests.support.upstream import Upstream
from tests.support.wire import Cut, TimedOut, WireError


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    one = Upstream()
    yield one
    one.close()


def client_of(upstream: Upstream) -> Client:
    return Client(("127.0.0.1", upstream.port), timeout=2.0)


def test_two_requests_over_one_connection_are_recorded_with_their_exact_bytes(upstream: Upstream) -> None:
    first = request("/a", fields=["X-Odd:  v "])
    second = request("/b", method="POST", body=b"12345")
    with client_of(upstream) as client:
        client.send(first)
        assert client.read().body == b"ok\n"
        client.send(second)
        assert client.read().status == 200
    a, b = upstream.one("/a"), upstream.one("/b")
    assert a.raw_head == first
    assert b.body == b"12345"
    assert upstream.connection_of(a) is upstream.connection_of(b)
    upstream.wait_closed(upstream.connection_of(a))
    assert bytes(upstream.connection_of(a).raw) == first + second
    upstream.check()


def test_chunked_with_trailers_both_ways(upstream: Upstream) -> None:
    raw = scripts.head(200, "Transfer-Encoding: chunked") + scripts.chunked([b"abc", b"d"], ["X-Sum: 4"])
    path = upstream.script(scripts.answer(raw))
    with client_of(upstream) as client:
        client.send(
            request(path, method="POST", fields=["Transfer-Encoding: chunked"])
            + scripts.chunked([b"xy"], ["X-T: 1"])
        )
        answer = client.read()
    assert (answer.chunks, answer.trailers) == ([b"abc", b"d"], [(b"X-Sum", b"4")])
    got = upstream.one(path)
    assert (got.body, got.trailers) == (b"xy", [(b"X-T", b"1")])


def test_interim_answers_and_a_body_ended_by_the_close(upstream: Upstream) -> None:
    raw = scripts.head(103, "Link: </a>", phrase="Early Hints") + scripts.head(200) + b"until the end"
    path = upstream.script(scripts.answer_and_close(raw))
    with client_of(upstream) as client:
        answer = client.get(path)
    assert [one.status for one in answer.interim] == [103]
    assert (answer.framing, answer.body) == ("close", b"until the end")


def test_a_cut_and_a_stall_are_told_apart(upstream: Upstream) -> None:
    cut = upstream.script(scripts.answer_and_close(scripts.head(200, "Content-Length: 9") + b"123"))
    with client_of(upstream) as client, pytest.raises(Cut):
        client.get(cut)
    stalled = upstream.script(scripts.stall(scripts.head(200, "Content-Length: 9")))
    with Client(("127.0.0.1", upstream.port), timeout=0.1) as client, pytest.raises(TimedOut):
        client.get(stalled)


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        b"GET  /x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        b"GET /x HTTP/1.1\nHost: a\r\n\r\n",
    ],
)
def test_the_upstream_refuses_what_a_gateway_must_never_forward(upstream: Upstream, raw: bytes) -> None:
    with client_of(upstream) as client:
        client.send(raw)
        assert client.closed(2.0)
    upstream.wait(lambda: upstream.errors)
    with pytest.raises(AssertionError):
        upstream.check()


def test_the_client_refuses_an_answer_with_two_lengths(upstream: Upstream) -> None:
    path = upstream.script(scripts.answer(scripts.head(200, "Content-Length: 1", "Content-Length: 2") + b"a"))
    with client_of(upstream) as client, pytest.raises(WireError):
        client.get(path)


def test_parts_are_sent_only_after_the_one_before_was_read(upstream: Upstream, queues: ReceiveQueues) -> None:
    raw = request("/parts")
    with client_of(upstream) as client:
        client.send_parts([raw[i : i + 1] for i in range(len(raw))], queues)
        assert client.read().status == 200


def test_an_upstream_stops_listening_and_listens_again_on_the_same_port(upstream: Upstream) -> None:
    port = upstream.port
    upstream.stop_listening()
    with pytest.raises(ConnectionRefusedError):
        client_of(upstream)
    upstream.listen()
    assert upstream.port == port
    with client_of(upstream) as client:
        assert client.get("/").status == 200


def test_metrics_text_is_read() -> None:
    metrics = Metrics('# HELP a b\na{route="x",code="200"} 3\na{route="y",code="200"} 4.0\nb 1e3\n')
    assert metrics.sum("a") == 7
    assert metrics.sum("a", route="y") == 4
    assert metrics.sum("b") == 1000

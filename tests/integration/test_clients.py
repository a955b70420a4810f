"""Clients that are slow, silent, impatient or gone."""

from __future__ import annotations

import threading
import time

import pytest

from tests.integration.outcome import SLACK, check_refusal, counted, takes
from tests.support import scripts
from tests.support.client import request
from tests.support.consumed import ReceiveQueues
from tests.support.gateway import Gateway
from tests.support.upstream import Exchange, Upstream
from tests.support.wire import Cut, TimedOut, wait_for

BLOCK = b"x" * 65536
HALF_CLOSED = 1.0  # a FIN may come from a client that still reads: it is given that long


# --- slow to send ---


@pytest.mark.parametrize(
    "head", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: test.example\r\nX-A: "]
)
def test_header_timeout(head: bytes, hasty: Gateway) -> None:
    with hasty.client() as client, counted(hasty, "header_timeout"):
        client.send(head)
        with takes(0.4):
            answer = client.read()
        check_refusal(hasty, answer, 408, "header_timeout")
        assert answer.get("Connection") == "close"
        assert client.closed()


def test_header_timeout_is_for_the_whole_head(hasty: Gateway, queues: ReceiveQueues) -> None:
    """A byte now and then does not help (slowloris)."""
    pause = threading.Event()
    with hasty.client() as client, takes(0.4):
        for byte in request("/slowloris", fields=["X-A: " + "a" * 200]):
            if client.stream.buffer or not client.try_send(bytes([byte])):
                break
            pause.wait(0.05)
            try:
                client.stream.fill(0.001)
            except TimedOut:
                continue
        assert client.read().status == 408


def test_a_second_head_has_a_deadline_of_its_own(hasty: Gateway) -> None:
    with hasty.client() as client:
        assert client.get("/first").status == 200
        client.send(b"GET /second HTTP/1.1\r\n")
        with takes(0.4):
            assert client.read().status == 408
        assert client.closed()


def test_an_idle_connection_is_closed_without_a_word(hasty: Gateway) -> None:
    """keepalive_timeout after an answer: a close in order, no 408, no exchange."""
    with hasty.client() as client:
        client.get("/idle")
        with takes(0.5):
            assert client.closed(3)


def test_a_connection_that_never_says_anything_is_closed(hasty: Gateway) -> None:
    with hasty.client() as client, takes(0.3, 0.5 + SLACK):
        try:
            client.stream.to_end()
        except Cut:
            pytest.fail("reset instead of a close")


@pytest.mark.parametrize("chunks", [False, True])
def test_body_timeout(chunks: bool, hasty: Gateway, upstream: Upstream) -> None:
    fields = ["Transfer-Encoding: chunked"] if chunks else ["Content-Length: 10"]
    path = f"/body-timeout-{chunks}"
    with hasty.client() as client, counted(hasty, "body_timeout"):
        client.send(request(path, method="POST", fields=fields, host="patient.example"))
        client.send(b"3\r\nabc\r\n" if chunks else b"abc")
        with takes(0.4):
            answer = client.read()
        check_refusal(hasty, answer, 408, "body_timeout")
        assert client.closed()
    got = upstream.one(path, complete=False)
    upstream.wait_closed(upstream.connection_of(got))
    assert not got.complete


def test_body_timeout_is_between_two_reads(hasty: Gateway, upstream: Upstream) -> None:
    path = upstream.script(scripts.echo)
    pause = threading.Event()
    with hasty.client() as client:
        client.send(request(path, method="POST", fields=["Content-Length: 8"], host="patient.example"))
        for _ in range(8):
            client.send(b"x")
            pause.wait(0.15)
        assert client.read().body == b"x" * 8


def test_body_timeout_stands_still_while_we_do_not_read(hasty: Gateway, upstream: Upstream) -> None:
    """The upstream takes nothing for twice the deadline: that is not the client's fault."""
    gate = threading.Event()

    def script(exchange: Exchange) -> None:
        gate.wait(10)
        exchange.read_body()
        exchange.send(scripts.message(b"done"))

    path = upstream.script(script)
    body = b"x" * (9 << 20)
    with hasty.client(timeout=20) as client:
        sender = threading.Thread(
            target=client.try_send,
            args=(request(path, method="POST", body=body, host="patient.example"),),
            daemon=True,
        )
        sender.start()
        assert client.stream.silent(1.0)
        gate.set()
        assert client.read().body == b"done"
        sender.join(5)


def test_a_body_slower_than_the_least_rate(gateway: Gateway, upstream: Upstream) -> None:
    """min_body_rate is 128 bytes per second after 5 s; a byte every 200 ms keeps body_timeout (30 s)
    quiet."""
    pause = threading.Event()
    path = upstream.script(scripts.echo)
    with gateway.client() as client, counted(gateway, "body_timeout"):
        client.send(request(path, method="POST", fields=["Content-Length: 1000"]))
        with takes(4.5, 7.5):
            while True:
                if not client.try_send(b"x"):
                    break
                try:
                    client.stream.fill(0.2)
                    break
                except TimedOut:
                    pause.wait(0)
            assert client.read().status == 408


# --- slow to read ---


def test_send_timeout(hasty: Gateway, upstream: Upstream) -> None:
    stopped = threading.Event()

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(scripts.head(200, f"Content-Length: {1 << 30}"))
        try:
            for _ in range(16384):
                exchange.send(BLOCK)
        except OSError:
            exchange.connection.peer_closed = True
            exchange.close()
            stopped.set()

    path = upstream.script(script)
    with hasty.client(rcvbuf=65536, timeout=10) as client, counted(hasty, "send_timeout"):
        client.send(request(path, host="patient.example"))
        answer, _ = client.read_start()
        assert stopped.wait(0.6 + 3 * SLACK), "the upstream's connection is still open"
        entry = hasty.journal.of(answer.get("X-Request-Id"))
        assert (entry["reason"], entry["path"]) == ("send_timeout", path)


def test_a_client_that_reads_slowly_but_reads_is_served(hasty: Gateway, upstream: Upstream) -> None:
    """4 MB a second for three times the deadline. (Much slower, and the kernel itself is silent for longer than that:
    a socket is writable again when a third of its send buffer is free.)"""
    size = 24 << 20
    path = upstream.script(scripts.answer(scripts.head(200, f"Content-Length: {size}") + b"x" * size))
    pause = threading.Event()
    with hasty.client(rcvbuf=262144, timeout=10) as client:
        client.send(request(path, host="patient.example"))
        _, got = client.read_start()
        got -= len(client.stream.take(len(client.stream.buffer)))
        start = time.monotonic()
        while got:
            piece = client.sock.recv(min(got, 262144))
            assert piece, f"cut with {got} bytes left after {time.monotonic() - start:.1f} s"
            got -= len(piece)
            if time.monotonic() - start < 1.8:
                pause.wait(0.05)


# --- gone ---


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_vanishes_while_the_upstream_thinks(
    how: str, gateway: Gateway, upstream: Upstream
) -> None:
    path = upstream.script(scripts.stall())
    client = gateway.client()
    client.send(request(path))
    got = upstream.one(path)
    with counted(gateway, "client_closed"):
        getattr(client, how)()
        with takes(0, SLACK if how == "reset" else HALF_CLOSED + SLACK):
            upstream.wait_closed(upstream.connection_of(got))
        entry = gateway.journal.path_is(path)
        assert (entry["reason"], entry["status"], entry["source"]) == ("client_closed", 499, "gateway")


def test_a_client_that_has_said_all_and_still_reads_gets_its_answer(
    gateway: Gateway, upstream: Upstream
) -> None:
    """`printf ... | nc`: the FIN behind a request does not take it back."""
    gate = threading.Event()
    path = upstream.script(scripts.when_allowed(gate, scripts.answer(scripts.message(b"done"))))
    with gateway.client() as client:
        client.send(request(path))
        client.half_close()
        upstream.one(path)
        assert client.stream.silent(0.1)
        gate.set()
        assert client.read().body == b"done"
        assert client.closed()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_vanishes_in_the_answer(how: str, gateway: Gateway, upstream: Upstream) -> None:
    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(scripts.head(200, f"Content-Length: {1 << 30}"))
        try:
            for _ in range(16384):
                exchange.send(BLOCK)
        except OSError:
            exchange.connection.peer_closed = True
            exchange.close()

    path = upstream.script(script)
    client = gateway.client(rcvbuf=65536)
    client.send(request(path))
    client.read_start()
    got = upstream.one(path)
    getattr(client, how)()
    with takes(0, SLACK):
        upstream.wait_closed(upstream.connection_of(got))
    assert gateway.journal.path_is(path)["reason"] == "client_closed"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_vanishes_in_its_body(how: str, gateway: Gateway, upstream: Upstream) -> None:
    path = f"/vanish-in-body-{how}"
    client = gateway.client()
    client.send(request(path, method="POST", fields=["Content-Length: 1000"]) + b"abc")
    got = upstream.one(path, complete=False)
    getattr(client, how)()
    with takes(0, SLACK):
        upstream.wait_closed(upstream.connection_of(got))
    assert not got.complete, "a cut body was forwarded as a whole one"
    assert gateway.journal.path_is(path)["reason"] == "client_closed"


def test_a_client_that_vanishes_in_its_chunked_body(gateway: Gateway, upstream: Upstream) -> None:
    """The last chunk must not be made up."""
    client = gateway.client()
    client.send(
        request("/vanish-chunked", method="POST", fields=["Transfer-Encoding: chunked"]) + b"3\r\nabc\r\n"
    )
    got = upstream.one("/vanish-chunked", complete=False)
    connection = upstream.connection_of(got)
    client.close()
    upstream.wait_closed(connection)
    assert not got.complete
    assert b"0\r\n\r\n" not in connection.raw


def test_a_client_that_vanishes_in_its_head_leaves_nothing(gateway: Gateway, upstream: Upstream) -> None:
    """A head that never ended is no exchange of the upstream's; the gateway goes on."""
    for _ in range(20):
        client = gateway.client()
        client.send(b"GET /vanish-in-head HTTP/1.1\r\nHost: te")
        client.reset()
    with gateway.client() as client:
        assert client.get("/after-vanish").status == 200
    assert not upstream.find("/vanish-in-head")
    wait_for(lambda: gateway.status()["workers"][0]["in_flight"] <= 1, what="no exchange in flight")


# --- refusals with an unread body ---


def test_a_refusal_while_the_body_is_still_coming_arrives(gateway: Gateway) -> None:
    """Closing at once would send a reset that destroys the answer: fifteen clients, none may lose it."""
    for number in range(15):
        with gateway.client() as client:
            client.send(request(f"/small/linger{number}", method="POST", fields=["Content-Length: 500000"]))
            for _ in range(8):
                client.try_send(b"x" * 60000)
            answer = client.read()
            check_refusal(gateway, answer, 413, "body_too_large")
            assert client.closed()


def test_lingering_ends_after_two_seconds(gateway: Gateway) -> None:
    pause = threading.Event()
    with gateway.client() as client:
        client.send(request("/small/linger-long", method="POST", fields=["Content-Length: 500000"]))
        assert client.read().status == 413
        assert client.closed()
        with takes(1.0, 4.0):
            while client.try_send(b"x"):
                pause.wait(0.05)


def test_lingering_discards_a_megabyte_and_no_more(gateway: Gateway) -> None:
    with gateway.client(timeout=5) as client:
        client.send(request("/small/linger-much", method="POST", fields=["Content-Length: 900000000"]))
        assert client.read().status == 413
        taken = 0
        with takes(0, 2.5):
            while taken < 64 << 20 and client.try_send(BLOCK):
                taken += len(BLOCK)
        assert taken < 64 << 20, "it goes on reading"


def test_an_unread_body_of_an_answered_request_does_not_become_a_request(
    gateway: Gateway, upstream: Upstream
) -> None:
    """A static reply does not need the body; what follows must still be found, or the connection closed."""
    body = request("/smuggled-in-body")
    with gateway.client() as client:
        client.send(request("/gone", method="POST", body=body) + request("/after-unread-body"))
        assert client.read().status == 410
        try:
            assert client.read().status == 200
        except Cut as cut:
            assert not cut.got
    assert not upstream.find("/smuggled-in-body")

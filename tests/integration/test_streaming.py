"""Bodies flow, they are not kept: what comes goes on at once, and who does not read stops who sends."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest

from tests.support import scripts
from tests.support.client import request
from tests.support.gateway import Gateway
from tests.support.processes import rss
from tests.support.upstream import Exchange, Upstream
from tests.support.wire import wait_for

MIB = 1 << 20
BLOCK = bytes(range(256)) * 256  # 64 KiB
BIG = 100 * MIB
# What the kernel may hold on both connections before a sender stands still: the receive buffers grow with
# tcp_rmem.
KERNEL = 80 * MIB
FLAT = 4 * MIB


def worker_rss(gateway: Gateway) -> int:
    return rss(gateway.worker_pids()[0])


class Flow:
    """Counts what one side has got rid of, so that the other can wait until it stands still."""

    def __init__(self) -> None:
        self.bytes = 0

    def stalled(self, after: float = 0.3) -> int:
        """Wait until nothing has moved for a while; returns how far it came."""
        seen, since = -1, time.monotonic()

        def still() -> bool:
            nonlocal seen, since
            if self.bytes != seen:
                seen, since = self.bytes, time.monotonic()
            return time.monotonic() - since > after

        wait_for(still, 20.0, "a stalled flow", every=0.02)
        return self.bytes


def sender(flow: Flow, total: int, *fields: str):
    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(scripts.head(200, f"Content-Length: {total}", *fields))
        while flow.bytes < total:
            exchange.send(BLOCK)
            flow.bytes += len(BLOCK)

    return script


def test_a_slow_client_stops_the_read_from_upstream(gateway: Gateway, upstream: Upstream) -> None:
    flow = Flow()
    path = upstream.script(sender(flow, BIG * 2))
    with gateway.client(timeout=20, rcvbuf=65536) as client:
        client.send(request(path))
        before = worker_rss(gateway)
        client.read_start()
        sent = flow.stalled()
        assert sent < KERNEL, f"{sent >> 20} MiB were taken from the upstream for a client that does not read"
        assert worker_rss(gateway) - before < FLAT
        left = BIG * 2 - len(client.stream.buffer)
        while left:
            left -= len(client.sock.recv(1 << 20))
        assert worker_rss(gateway) - before < FLAT
    assert flow.bytes == BIG * 2


def test_a_slow_upstream_stops_the_read_from_the_client(gateway: Gateway, upstream: Upstream) -> None:
    gate = threading.Event()
    got = Flow()

    def script(exchange: Exchange) -> None:
        gate.wait(30)
        left = exchange.length - len(exchange.stream.buffer)
        exchange.stream.buffer.clear()
        while left:
            left -= len(exchange.stream.sock.recv(1 << 20))
        exchange.request.complete = True
        exchange.send(scripts.message(b"done"))

    config_path = upstream.script(script)
    with gateway.client(timeout=20) as client:
        # max_body of the gateway is 10MB: ask for less than that many times over, on one connection.
        client.send(request("/warm"))
        client.read()
        before = worker_rss(gateway)
        body = BLOCK * 152  # 9.5 MiB

        def send() -> None:
            client.send(request(config_path, method="POST", fields=[f"Content-Length: {len(body)}"]))
            view = memoryview(body)
            while got.bytes < len(body):
                got.bytes += client.sock.send(view[got.bytes : got.bytes + 65536])

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        got.stalled()
        assert worker_rss(gateway) - before < FLAT
        gate.set()
        assert client.read().body == b"done"
        thread.join(5)
        assert worker_rss(gateway) - before < FLAT


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream):
    """A gateway that takes bodies of any size."""
    from tests.support.config import simple

    one = Gateway(tmp_path_factory.mktemp("wide"), simple(upstream.url, server={"max_body": "1GB"})).start()
    yield one
    one.check_ledger()
    one.stop()


def test_a_large_upload_is_held_back_and_then_passes_whole(wide: Gateway, upstream: Upstream) -> None:
    gate = threading.Event()
    digest = hashlib.blake2b()
    sent = Flow()

    def script(exchange: Exchange) -> None:
        gate.wait(30)
        left = exchange.length
        data = exchange.stream.take(len(exchange.stream.buffer))
        while True:
            digest.update(data)
            left -= len(data)
            if not left:
                break
            data = exchange.stream.sock.recv(1 << 20)
        exchange.request.complete = True
        exchange.send(scripts.message(b"done"))

    path = upstream.script(script)
    with wide.client(timeout=20) as client:
        client.get("/warm")
        before = worker_rss(wide)
        expected = hashlib.blake2b()

        def send() -> None:
            client.send(request(path, method="PUT", fields=[f"Content-Length: {BIG}"]))
            while sent.bytes < BIG:
                client.sock.sendall(BLOCK)
                expected.update(BLOCK)
                sent.bytes += len(BLOCK)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        held = sent.stalled()
        assert held < KERNEL, (
            f"{held >> 20} MiB were taken from the client for an upstream that does not read"
        )
        assert worker_rss(wide) - before < FLAT
        gate.set()
        assert client.read().body == b"done"
        thread.join(10)
        assert digest.digest() == expected.digest()
        assert worker_rss(wide) - before < FLAT


def test_a_large_answer_passes_whole_in_flat_memory(wide: Gateway, upstream: Upstream) -> None:
    flow = Flow()
    path = upstream.script(sender(flow, BIG))
    with wide.client(timeout=20) as client:
        client.get("/warm")
        before = worker_rss(wide)
        client.send(request(path))
        client.read_start()
        digest, expected, left = hashlib.blake2b(), hashlib.blake2b(), BIG
        data = client.stream.take(len(client.stream.buffer))
        while True:
            digest.update(data)
            left -= len(data)
            if not left:
                break
            data = client.sock.recv(1 << 20)
        for _ in range(BIG // len(BLOCK)):
            expected.update(BLOCK)
        assert digest.digest() == expected.digest()
        assert worker_rss(wide) - before < FLAT


def test_large_chunks_pass_in_flat_memory(wide: Gateway, upstream: Upstream) -> None:
    """A chunk is not a unit of memory: one of 48 MiB flows like any other bytes."""
    size = 48 * MIB

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(scripts.head(200, "Transfer-Encoding: chunked") + b"%x\r\n" % size)
        for _ in range(size // len(BLOCK)):
            exchange.send(BLOCK)
        exchange.send(b"\r\n0\r\n\r\n")

    path = upstream.script(script)
    with wide.client(timeout=20) as client:
        client.get("/warm")
        before = worker_rss(wide)
        answer = client.get(path)
        assert len(answer.body) == size
        assert hashlib.blake2b(answer.body).digest() == hashlib.blake2b(BLOCK * (size // len(BLOCK))).digest()
        assert worker_rss(wide) - before < FLAT


@pytest.mark.parametrize("framing", ["event-stream", "chunked", "close", "length"])
def test_what_comes_goes_on_at_once(framing: str, gateway: Gateway, upstream: Upstream) -> None:
    """The next piece is sent only after the client has the one before."""
    fields = {
        "event-stream": ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"],
        "chunked": ["Transfer-Encoding: chunked"],
        "close": [],
        "length": ["Content-Length: 24"],
    }[framing]
    got = threading.Semaphore(0)
    chunks = "Transfer-Encoding: chunked" in fields

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(scripts.head(200, *fields))
        for number in range(3):
            assert got.acquire(timeout=10)
            data = b"data: %d\n" % number
            exchange.send(b"8\r\n" + data + b"\r\n" if chunks else data)
        exchange.send(b"0\r\n\r\n" if chunks else b"")
        exchange.close()

    path = upstream.script(script)
    with gateway.client() as client:
        client.send(request(path))
        response, _ = client.read_start()
        assert response.status == 200
        seen = b""
        for number in range(3):
            got.release()
            while b"data: %d\n" % number not in seen:
                piece = client.stream.some()
                assert piece, "closed early"
                seen += piece


@pytest.mark.parametrize("chunks", [False, True])
def test_a_request_body_goes_on_at_once(chunks: bool, gateway: Gateway, upstream: Upstream) -> None:
    path = upstream.script(scripts.echo)
    fields = ["Transfer-Encoding: chunked"] if chunks else ["Content-Length: 6"]
    with gateway.client() as client:
        client.send(request(path, method="POST", fields=fields))
        got = upstream.one(path, complete=False)
        connection = upstream.connection_of(got)
        for piece in (b"abc", b"def"):
            client.send(b"3\r\n" + piece + b"\r\n" if chunks else piece)
            wait_for(lambda piece=piece: piece in connection.raw, what=f"{piece!r} at the upstream")
        if chunks:
            client.send(b"0\r\n\r\n")
        assert client.read().body == b"abcdef"


def test_both_directions_flow_at_the_same_time(gateway: Gateway, upstream: Upstream) -> None:
    """An upstream that answers while it reads: no side waits for the end of the other."""

    def script(exchange: Exchange) -> None:
        exchange.send(scripts.head(200, "Transfer-Encoding: chunked"))
        while piece := exchange.read_chunk():
            exchange.send(b"%x\r\n%s\r\n" % (len(piece), piece.upper()))
        exchange.send(b"0\r\n\r\n")

    path = upstream.script(script)
    with gateway.client() as client:
        client.send(request(path, method="POST", fields=["Transfer-Encoding: chunked"]))
        head, _ = client.read_start()
        for piece in (b"abc", b"def", b"ghi"):
            client.send(b"3\r\n" + piece + b"\r\n")
            assert client.stream.until(piece.upper() + b"\r\n")
        client.send(b"0\r\n\r\n")
        assert client.stream.until(b"0\r\n\r\n") == b"0\r\n\r\n"
        if (
            head.get("Connection") == "close"
        ):  # it may: what the client would still have to send is not known yet
            assert client.closed()
        else:
            assert client.get("/after-duplex").status == 200


def test_an_answer_before_the_end_of_the_body_reaches_the_client(
    gateway: Gateway, upstream: Upstream
) -> None:
    """An upstream that refuses early: the client hears it although it is still sending."""

    def script(exchange: Exchange) -> None:
        exchange.send(scripts.message(b"no", 403))
        exchange.connection.wait_peer_closed(5)
        exchange.close()

    path = upstream.script(script)
    with gateway.client() as client:
        client.send(request(path, method="POST", fields=["Content-Length: 1000000"]) + b"x" * 1000)
        answer = client.read()
        assert (answer.status, answer.body) == (403, b"no")


def test_an_upstream_that_answers_and_closes_without_reading_the_body(
    gateway: Gateway, upstream: Upstream
) -> None:
    """Its answer counts, not the reset that follows it, as long as the answer came whole."""

    def script(exchange: Exchange) -> None:
        exchange.send(scripts.head(403, "Content-Length: 2", "Connection: close", phrase="No") + b"no")
        exchange.stream.sock.shutdown(1)
        exchange.connection.wait_peer_closed(5)
        exchange.close()

    path = upstream.script(script)
    with gateway.client() as client:
        client.send(request(path, method="POST", fields=["Content-Length: 1000000"]) + b"x" * 1000)
        answer = client.read()
        assert (answer.status, answer.body) == (403, b"no")

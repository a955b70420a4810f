"""Exchanges that wait for the store, held there until the test lets go: what else may happen to them meanwhile."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.held import config_of, waiting
from tests.integration.outcome import check_refusal
from tests.integration.test_websocket import echo_tunnel, open_tunnel
from tests.support import processes, scripts
from tests.support.client import request
from tests.support.consumed import ReceiveQueues
from tests.support.faulty_store import FaultyStore, held, passing
from tests.support.gateway import Gateway
from tests.support.limits import remaining, running
from tests.support.upstream import Upstream
from tests.support.valkey import Valkey
from tests.support.wire import wait_for

MEGABYTE = 1 << 20


def pattern(size: int) -> bytes:
    """Bytes in which a part that is missing, doubled or moved shows."""
    return b"".join(b"%07d," % n for n in range(size // 8 + 1))[:size]


@pytest.fixture(scope="module")
def store() -> Iterator[FaultyStore]:
    with Valkey() as valkey:
        one = FaultyStore(valkey.socket_path)
        yield one
        one.close()
        assert one.errors == []


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, store: FaultyStore
) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("waiting"), config_of(store, upstream)) as one:
        yield one


@pytest.fixture
def gate(store: FaultyStore, gateway: Gateway) -> Iterator[threading.Event]:
    """From now on the store decides nothing until this is set."""
    with gateway.client() as client:
        assert client.get("/warm").status == 200
    one = threading.Event()
    store.script = held(one)
    yield one
    store.script = passing
    one.set()
    wait_for(lambda: gateway.status()["workers"][0]["in_flight"] == 0, what="nothing in flight", every=0.02)


def test_nothing_happens_before_the_answer(
    gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    with waiting(gateway, store, request("/held")) as client:
        assert client.stream.silent(0.05)
        assert not upstream.find("/held")
        with gateway.client() as other:  # nobody else is held up by it
            assert other.get("/free/x").status == 200
        gate.set()
        answer = client.read()
        assert answer.status == 200
        assert remaining(answer)["many"][0] <= 999
        assert client.get("/held-again").status == 200
    upstream.one("/held")


@pytest.mark.parametrize(
    "options", [{"method": "HEAD"}, {"version": "1.0"}, {"fields": ["Connection: close"]}]
)
def test_any_kind_of_request_can_wait(
    options: dict[str, Any], gateway: Gateway, store: FaultyStore, gate: threading.Event
) -> None:
    with waiting(gateway, store, request("/any-kind", **options)) as client:
        gate.set()
        assert client.read(options.get("method", "GET")).status == 200
        if options.get("method") != "HEAD":
            assert client.closed()


# --- bodies ---


@pytest.mark.parametrize("size", [1, 100, 70_000, 5 * MEGABYTE])
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_that_comes_meanwhile_arrives_whole(
    size: int, coding: str, gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    body, path = pattern(size), f"/body-{coding}-{size}"
    if coding == "length":
        data = request(path, method="POST", body=body)
    else:
        pieces = [body[at : at + 30_011] for at in range(0, size, 30_011)]
        head = request(path, method="POST", fields=["Transfer-Encoding: chunked", "Trailer: X-Sum"])
        data = head + scripts.chunked(pieces, ["X-Sum: 1"])
    with gateway.client(timeout=10) as client:
        asked = store.decisions()
        sender = threading.Thread(target=client.send, args=(data,), daemon=True)
        sender.start()
        store.wait_asked(asked)
        assert not upstream.find(path)
        gate.set()
        assert client.read().status == 200
        sender.join(5)
        got = upstream.one(path)
        assert hashlib.sha256(got.body).digest() == hashlib.sha256(body).digest(), (len(got.body), size)
        assert got.framing == coding
        if coding == "chunked":
            assert got.trailers in ([(b"X-Sum", b"1")], [])
        assert client.get("/after-body").status == 200


@pytest.mark.parametrize("late", [False, True], ids=["meanwhile", "after"])
def test_a_body_in_pieces_around_the_answer(
    late: bool,
    gateway: Gateway,
    store: FaultyStore,
    upstream: Upstream,
    gate: threading.Event,
    queues: ReceiveQueues,
) -> None:
    path, whole = f"/pieces-{late}", request(f"/pieces-{late}", method="PUT", body=b"0123456789")
    with waiting(gateway, store, whole[:-8]) as client:
        if late:
            gate.set()
        # Meanwhile it does not read: then each piece is a segment of its own, and no more can be said.
        client.send_parts([whole[-8 + at : -7 + at] for at in range(7)], queues if late else None)
        gate.set()
        client.send(whole[-1:])
        assert client.read().status == 200
    assert upstream.one(path).body == b"0123456789"


def test_a_waiting_upload_is_not_taken_in(
    gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    """The gateway stops reading: what it holds of 48 MB is what one read brings, and a deadline does not run."""
    pid = gateway.worker_pids()[0]
    before = processes.rss(pid)
    size = 48 * MEGABYTE
    head = request("/huge", method="POST", fields=[f"Content-Length: {size}"])
    with waiting(gateway, store, head) as client:
        piece = pattern(MEGABYTE)
        # The kernel's own buffers of a loopback connection hold up to about ten megabytes.
        sent = client.send_until_blocked(piece, size, patience=0.4)
        assert sent < 20 * MEGABYTE
        assert processes.rss(pid) - before < 2 * MEGABYTE
        gate.set()
        client.sock.settimeout(10)
        view = memoryview(piece)
        while sent < size:
            sent += client.sock.send(view[sent % MEGABYTE :][: size - sent])
        assert client.read().status == 200
    got = upstream.one("/huge")
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(piece * 48).digest()


def test_no_clock_of_the_client_runs_meanwhile(
    gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    with waiting(gateway, store, request("/clock", method="POST", fields=["Content-Length: 3"])) as client:
        assert client.stream.silent(0.7), (
            "a deadline of 400 ms passed while the gateway itself was waited for"
        )
        gate.set()
        client.send(b"abc")
        assert client.read().status == 200
    assert upstream.one("/clock").body == b"abc"


def test_a_body_is_asked_for_after_the_decision(
    gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    fields = ["Expect: 100-continue", "Content-Length: 3"]
    with waiting(gateway, store, request("/limited-expects", method="POST", fields=fields)) as client:
        assert client.stream.silent(0.05)
        gate.set()
        assert client.stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send(b"abc")
        assert client.read().status == 200
    assert upstream.one("/limited-expects").body == b"abc"


@pytest.mark.parametrize("size", [10, 300_000])
def test_an_upload_that_is_refused_after_a_wait(
    size: int, gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    """Two of one caller wait, and there is one token: the second is refused by the answer."""
    caller = f"X-Caller: upload-{size}"
    first = waiting(gateway, store, request("/once/first", fields=[caller]))
    with first, gateway.client() as client:
        data = request("/once/upload", method="POST", fields=[caller], body=pattern(size))
        sender = threading.Thread(target=client.try_send, args=(data,), daemon=True)
        sender.start()
        assert client.stream.silent(0.1)
        gate.set()
        assert first.read().status == 200
        check_refusal(gateway, client.read(), 429, "rate_limited")
        sender.join(5)
    assert not upstream.find("/once/upload")


# --- order, and other connections ---


def test_what_is_pipelined_behind_keeps_its_place(
    gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    path = upstream.script(scripts.echo)
    data = (
        request(f"{path}/a", method="POST", body=b"first" * 9000)
        + request("/free/pipelined")
        + request("/once/p", fields=["X-Caller: pipelined"])
        + request("/once/p", fields=["X-Caller: pipelined"])
        + request(f"{path}/b", method="POST", body=b"last")
    )
    with waiting(gateway, store, data) as client:
        assert client.stream.silent(0.05)
        assert not upstream.find("/free/pipelined"), "answered out of turn"
        gate.set()
        found = [client.read() for _ in range(5)]
    assert [one.status for one in found] == [200, 200, 200, 429, 200]
    assert (found[0].body, found[4].body) == (b"first" * 9000, b"last")


def test_many_wait_and_each_gets_its_own(
    gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    """More than one command holds, in several turns; of the two requests of each caller one is refused."""
    clients = [gateway.client() for _ in range(300)]
    asked = store.decisions()
    for number, client in enumerate(clients):
        client.send(request(f"/once/{number}", fields=[f"X-Caller: many-{number % 150}"]))
    store.wait_asked(asked)
    gate.set()
    found = [client.read().status for client in clients]
    assert sorted(found) == [200] * 150 + [429] * 150
    assert all({found[n], found[n + 150]} == {200, 429} for n in range(150))
    for client in clients:
        client.close()


def test_a_client_that_goes_away_meanwhile(
    gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event, queues: ReceiveQueues
) -> None:
    waiting(gateway, store, request("/gone-a")).reset()
    entry = gateway.journal.path_is("/gone-a")
    assert (entry["reason"], entry["status"]) == ("client_closed", 499)
    # A body, or a request behind it, keeps the gateway from reading on: it may learn of these only afterwards.
    for data in (
        request("/gone-b", method="POST", fields=["Content-Length: 100000"]) + b"x" * 1000,
        request("/gone-c") + request("/gone-d"),
    ):
        with gateway.client() as client:
            client.send(data)
            queues.wait_read(client.sock, 0.1)
            client.reset()
    with gateway.client() as client:
        client.send(request("/stays"))
        gate.set()
        assert client.read().status == 200
    assert not upstream.find("gone-a")
    for path in ("/gone-b", "/gone-c"):
        assert gateway.journal.path_is(path)["reason"] in {"client_closed", "ok"}


def test_a_half_closed_client_gets_its_answer(
    gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    with waiting(gateway, store, request("/half-closed")) as client:
        client.half_close()
        assert client.stream.silent(0.05)
        gate.set()
        assert client.read().status == 200
        assert client.closed()


def test_a_tunnel_after_a_wait(
    gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    path = upstream.script(echo_tunnel)
    timer = threading.Timer(0.05, gate.set)
    timer.start()
    with open_tunnel(gateway, path) as client:
        client.send(b"hello")
        assert client.stream.exactly(5) == b"HELLO"
    timer.join()

"""An upstream that refuses, stalls, cuts or lies: which reason, how soon, and that its connection is not
used again."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from tests.integration.outcome import SLACK, check_refusal, counted, takes
from tests.support import scripts
from tests.support.client import request
from tests.support.config import route, service
from tests.support.consumed import ReceiveQueues
from tests.support.gateway import Gateway
from tests.support.upstream import Exchange, Upstream
from tests.support.wire import Cut


def dropped(upstream: Upstream, path: str) -> None:
    """The connection that carried this request is closed and carried nothing after it."""
    got = upstream.find(path)[-1]
    connection = upstream.connection_of(got)
    upstream.wait_closed(connection)
    assert connection.requests[-1] is got


def test_refused(gateway: Gateway) -> None:
    with gateway.client() as client, counted(gateway, "connect_refused"), takes(0, 0.5):
        entry = check_refusal(gateway, client.get("/dead/x"), 502, "connect_refused")
        assert entry["upstream"] == "dead"
        assert client.get("/after-dead").status == 200


@pytest.fixture
def full_backlog() -> Iterator[int]:
    """A port that neither accepts nor refuses: its queue is full, so the kernel drops what comes."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    yield port
    for one in [*fillers, listener]:
        one.close()


def test_connect_timeout(make_gateway: Callable[..., Gateway], full_backlog: int) -> None:
    url = f"http://127.0.0.1:{full_backlog}"
    config = {
        "upstreams": {"main": service(url, timeouts={"connect": "300ms"})},
        "routes": [route("all")],
    }
    one = make_gateway(config)
    with one.client() as client, counted(one, "connect_timeout"):
        with takes(0.3):
            answer = client.get("/")
        assert check_refusal(one, answer, 504, "connect_timeout")["rule"]
    one.check_ledger()
    one.stop()


def test_dns_error(make_gateway: Callable[..., Gateway]) -> None:
    """`.invalid` never resolves (RFC 6761), whatever the resolver is."""
    config = {"upstreams": {"main": service("http://nowhere.invalid:80")}, "routes": [route("all")]}
    one = make_gateway(config)
    with one.client() as client, counted(one, "dns_error"):
        check_refusal(one, client.get("/"), 502, "dns_error")
    one.stop()


def test_response_timeout(hasty: Gateway, upstream: Upstream) -> None:
    path = upstream.script(scripts.stall())
    with hasty.client() as client, counted(hasty, "response_timeout"):
        with takes(0.4):
            answer = client.get(path)
        assert check_refusal(hasty, answer, 504, "response_timeout")["rule"]
        dropped(upstream, path)
        assert client.get("/after-response-timeout").status == 200


def test_response_timeout_within_the_head(hasty: Gateway, upstream: Upstream) -> None:
    """The first byte has come: from then on it is the time between bytes that counts."""
    path = upstream.script(scripts.stall(b"HTTP/1.1 200 OK\r\nContent-"))
    with hasty.client() as client:
        with takes(0.4):
            answer = client.get(path)
        assert answer.status == 504
        reason = hasty.journal.of(answer.get("X-Request-Id"))["reason"]
        assert reason in {"idle_timeout", "response_timeout"}
        dropped(upstream, path)


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_idle_timeout(framing: str, hasty: Gateway, upstream: Upstream) -> None:
    raw = {
        "length": scripts.head(200, "Content-Length: 10") + b"123",
        "chunked": scripts.head(200, "Transfer-Encoding: chunked") + b"3\r\n123\r\n",
        "close": scripts.head(200) + b"123",
    }[framing]
    path = upstream.script(scripts.stall(raw))
    with hasty.client() as client, counted(hasty, "idle_timeout"):
        with takes(0.4):
            client.send(request(path))
            response, length = client.read_start()
            with pytest.raises(Cut):
                client.read_rest(response, length)
                raise AssertionError(f"looks whole: {response}")
        entry = hasty.journal.of(response.get("X-Request-Id"))
        assert (entry["reason"], entry["status"]) == ("idle_timeout", 200)
        dropped(upstream, path)


def test_idle_timeout_is_between_bytes_not_for_the_whole(hasty: Gateway, upstream: Upstream) -> None:
    """Eight pieces, each after less than the deadline, take longer than it together."""
    import threading

    pause = threading.Event()

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(scripts.head(200, "Content-Length: 8"))
        for _ in range(8):
            pause.wait(0.15)
            exchange.send(b"x")

    path = upstream.script(script)
    with hasty.client() as client:
        assert client.get(path).body == b"x" * 8


def test_total_timeout_before_the_answer(hasty: Gateway, upstream: Upstream) -> None:
    path = upstream.script(scripts.stall())
    with hasty.client() as client, counted(hasty, "total_timeout"):
        with takes(0.6):
            answer = client.get(path, host="total.example")
        assert check_refusal(hasty, answer, 504, "total_timeout")["rule"]
        dropped(upstream, path)


def test_total_timeout_while_it_flows(hasty: Gateway, upstream: Upstream) -> None:
    import threading

    pause = threading.Event()

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(scripts.head(200, "Content-Length: 1000"))
        for _ in range(100):
            pause.wait(0.05)
            exchange.send(b"x")
        raise AssertionError("never cut")

    def quiet(exchange: Exchange) -> None:
        try:
            script(exchange)
        except OSError:
            exchange.close()

    path = upstream.script(quiet)
    with hasty.client() as client, counted(hasty, "total_timeout"), takes(0.6):
        client.send(request(path, host="total.example"))
        response, length = client.read_start()
        with pytest.raises(Cut):
            client.read_rest(response, length)
        assert hasty.journal.of(response.get("X-Request-Id"))["reason"] == "total_timeout"


CUTS = {
    "close-after-the-request": (b"", "upstream_reset"),
    "close-in-the-status-line": (b"HTTP/1.1 20", "upstream_reset"),
    "close-in-a-field": (b"HTTP/1.1 200 OK\r\nContent-Le", "upstream_reset"),
    "close-before-the-empty-line": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", "upstream_reset"),
    "close-after-an-interim-answer": (b"HTTP/1.1 103 Early Hints\r\n\r\n", "upstream_reset"),
}


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("cut", CUTS)
def test_cut_before_the_answer_is_known(
    cut: str, how: str, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues
) -> None:
    raw, reason = CUTS[cut]
    script = scripts.answer_and_close(raw) if how == "close" else scripts.answer_and_reset(raw, queues)
    path = upstream.script(script)
    # A POST: a GET might be tried again on another connection.
    with gateway.client() as client, counted(gateway, reason), takes(0, SLACK):
        check_refusal(gateway, client.get(path, method="POST", body=b"x"), 502, reason)
        assert client.get("/after-cut").status == 200
    assert len(upstream.find(path)) == 1


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_reset_in_the_body_is_visible(
    framing: str, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues
) -> None:
    raw = {
        "length": scripts.head(200, "Content-Length: 10") + b"123",
        "chunked": scripts.head(200, "Transfer-Encoding: chunked") + b"3\r\n123\r\n",
        "close": scripts.head(200) + b"123",
    }[framing]
    path = upstream.script(scripts.answer_and_reset(raw, queues))
    with gateway.client() as client, takes(0, SLACK):
        client.send(request(path))
        response, length = client.read_start()
        with pytest.raises(Cut):
            client.read_rest(response, length)
        entry = gateway.journal.of(response.get("X-Request-Id"))
        assert (entry["reason"], entry["source"]) in {
            ("response_truncated", "gateway"),
            ("response_truncated", "upstream"),
        }


def test_a_large_garbage_answer_is_not_read_to_its_end(gateway: Gateway, upstream: Upstream) -> None:
    sent: list[int] = []

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        try:
            for _ in range(2000):
                exchange.send(b"\x00" * 65536)
                sent.append(1)
        except OSError:
            exchange.close()

    path = upstream.script(script)
    with gateway.client() as client, takes(0, SLACK):
        check_refusal(gateway, client.get(path), 502, "upstream_protocol_error")
    dropped(upstream, path)
    assert len(sent) < 2000


def test_an_endless_head_is_bounded(gateway: Gateway, upstream: Upstream) -> None:
    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\n")
        try:
            for _ in range(100_000):
                exchange.send(b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 20)
        except OSError:
            exchange.close()

    path = upstream.script(script)
    with gateway.client() as client, takes(0, SLACK):
        check_refusal(gateway, client.get(path), 502, "upstream_protocol_error")


def test_endless_interim_answers_are_bounded_in_memory(gateway: Gateway, upstream: Upstream) -> None:
    """Passed on as they come to a client that reads, and whatever the gateway does, the exchange can end."""

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        for _ in range(500):
            exchange.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        exchange.send(scripts.message(b"ok"))

    path = upstream.script(script)
    with gateway.client() as client:
        answer = client.get(path)
        assert answer.status in {200, 502}


def test_an_answer_nobody_asked_for_closes_an_idle_connection(gateway: Gateway, upstream: Upstream) -> None:
    """Bytes on an idle connection poison it: the next request must not get them as its answer."""
    done: list[Exchange] = []
    path = upstream.script(
        lambda exchange: (done.append(exchange), exchange.send(scripts.message(b"one")))[0]
    )
    with gateway.client() as client:
        assert client.get(path).body == b"one"
        done[0].connection.send(scripts.message(b"poison"))
        upstream.wait_closed(done[0].connection)
        assert client.get("/after-poison").body == b"ok\n"

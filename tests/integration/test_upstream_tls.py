"""Targets over https://: who is believed, what a failure is called, and that HTTP is the same as without TLS."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.outcome import check_refusal, counted, takes
from tests.integration.test_websocket import AGREE, echo_tunnel, open_tunnel
from tests.support import scripts
from tests.support.certificates import Authority
from tests.support.client import request
from tests.support.config import route, service
from tests.support.gateway import Gateway
from tests.support.upstream import Exchange, Upstream
from tests.support.wire import Cut

NAME = "orders.internal"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


class Secure:
    """Upstreams with certificates of every kind, and the names that clients asked for."""

    def __init__(self, authority: Authority) -> None:
        self.asked: list[str | None] = []
        context = authority.server("127.0.0.1", NAME)
        context.sni_callback = self._note
        self.good = Upstream(tls=context)
        self.named = Upstream(tls=authority.server(NAME))
        self.expired = Upstream(tls=authority.server("127.0.0.1", expired=True))
        self.mutual = Upstream(tls=authority.server("127.0.0.1", wants_client=True))
        old = authority.server("127.0.0.1", wants_client=True)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        self.mutual12 = Upstream(tls=old)
        self.silent = socket.create_server(("127.0.0.1", 0))  # connects, and says nothing
        self.plain = socket.create_server(("127.0.0.1", 0))
        self.hanging_up = socket.create_server(("127.0.0.1", 0))
        bad = scripts.message(b"", 400)
        for listener, answer in ((self.plain, bad), (self.hanging_up, b"")):
            threading.Thread(target=_answer_all, args=(listener, answer), daemon=True).start()

    def _note(self, _sock: object, name: str | None, _context: object) -> None:
        self.asked.append(name)

    @property
    def scripted(self) -> list[Upstream]:
        return [self.good, self.named, self.expired, self.mutual, self.mutual12]

    def close(self) -> None:
        for one in self.scripted:
            one.close()
        for listener in (self.silent, self.plain, self.hanging_up):
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def _answer_all(listener: socket.socket, answer: bytes) -> None:
    """Whatever comes."""
    while True:
        try:
            sock, _ = listener.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(answer)
        except OSError:
            return


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[Secure]:
    one = Secure(authority)
    yield one
    one.close()


@pytest.fixture(scope="module")
def edge(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, secure: Secure
) -> Iterator[Gateway]:
    ca = {"ca": authority.file}
    patient: dict[str, Any] = {"timeouts": {"connect": "10s"}}
    other = Authority(tmp_path_factory.mktemp("other"))

    def at(port: int) -> str:
        return f"https://127.0.0.1:{port}"

    upstreams = {
        "good": service(secure.good.url, tls=ca, **patient),
        "by-name": service(secure.good.url, tls={**ca, "server_name": NAME}, **patient),
        "narrow": service(secure.good.url, tls=ca, connections={"max": 1}, **patient),
        "blind": service(secure.good.url, tls={"verify": False}, **patient),
        "wrong-name": service(secure.good.url, tls={**ca, "server_name": "payments.internal"}, **patient),
        "wrong-address": service(secure.named.url, tls=ca, **patient),
        "expired": service(secure.expired.url, tls=ca, **patient),
        "untrusted": service(secure.good.url, **patient),
        "other-ca": service(secure.good.url, tls={"ca": other.file}, **patient),
        "mutual": service(secure.mutual.url, tls={**ca, **authority.files("client.internal")}, **patient),
        "mutual12": service(secure.mutual12.url, tls={**ca, **authority.files("client.internal")}, **patient),
        "anonymous": service(secure.mutual.url, tls=ca, **patient),
        "anonymous12": service(secure.mutual12.url, tls=ca, **patient),
        "stranger": service(secure.mutual12.url, tls={**ca, **other.files("client.internal")}, **patient),
        "plain": service(at(secure.plain.getsockname()[1]), tls=ca, **patient),
        "silent": service(at(secure.silent.getsockname()[1]), tls=ca, timeouts={"connect": "300ms"}),
        "hanging-up": service(at(secure.hanging_up.getsockname()[1]), tls=ca, **patient),
    }
    routes = [route(name, match={"hosts": [f"{name}.example"]}, upstream=name) for name in upstreams]
    shared = {"upstreams": upstreams, "routes": [*routes, route("all", upstream="good")]}
    config = json.loads(json.dumps(shared))  # each value its own: the document takes no aliases
    one = Gateway(tmp_path_factory.mktemp("tls"), config).start()
    yield one
    assert "Traceback" not in one.stderr()
    assert "has no effect" not in one.stderr()
    one.check_ledger()
    one.stop()


@pytest.fixture(autouse=True)
def nothing_malformed(secure: Secure) -> Iterator[None]:
    yield
    for one in (secure.good, secure.mutual, secure.mutual12):
        one.check()


@pytest.mark.parametrize("name", ["good", "by-name", "blind", "mutual", "mutual12"])
def test_a_target_that_proves_its_name_is_believed(edge: Gateway, name: str) -> None:
    with edge.client() as client:
        for _ in range(2):
            assert client.get("/x", host=f"{name}.example").body == b"ok\n"


def test_a_name_is_asked_for_and_an_address_is_not(edge: Gateway, secure: Secure) -> None:
    before = len(secure.asked)
    with edge.client() as client:
        client.send(request("/sni", host="by-name.example", fields=["Connection: close"]))
        assert client.read().status == 200
    assert set(secure.asked) <= {None, NAME, "payments.internal"}
    assert NAME in secure.asked
    assert before <= len(secure.asked)


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("wrong-name", "the target's certificate is for another name"),
        ("wrong-address", "the target's certificate is for another address"),
        ("expired", "the target's certificate has expired"),
        ("untrusted", "the target's certificate is not trusted"),
        ("other-ca", "the target's certificate is not trusted"),
        ("anonymous12", "the TLS handshake failed"),
        ("stranger", "the target does not accept the client certificate, or wants one"),
        ("plain", "the TLS handshake failed"),
        ("hanging-up", "the target ended the connection in the TLS handshake"),
    ],
)
def test_what_is_not_believed_gets_no_byte_of_a_request(
    edge: Gateway, secure: Secure, name: str, detail: str
) -> None:
    seen = sum(len(one.requests) for one in secure.scripted)
    with edge.client() as client, counted(edge, "tls_error"):
        answer = client.get(f"/{name}", host=f"{name}.example")
        entry = check_refusal(edge, answer, 502, "tls_error")
    assert detail.encode() in answer.body
    assert entry["upstream"] == name
    assert sum(len(one.requests) for one in secure.scripted) == seen


def test_a_target_that_refuses_us_after_the_handshake_of_tls_1_3(edge: Gateway, secure: Secure) -> None:
    """The refusal may be lost when the target resets the connection: either way it is the target's fault."""
    with edge.client() as client:
        answer = client.get("/anonymous", host="anonymous.example")
    assert answer.status == 502
    assert edge.journal.of(answer.get("X-Request-Id"))["reason"] in ("tls_error", "upstream_reset")
    assert not secure.mutual.find("/anonymous")


def test_the_connect_deadline_covers_the_handshake(edge: Gateway) -> None:
    with edge.client() as client, counted(edge, "connect_timeout"):
        with takes(0.3):
            answer = client.get("/", host="silent.example")
        check_refusal(edge, answer, 504, "connect_timeout")


def test_a_connection_is_used_again(edge: Gateway, secure: Secure) -> None:
    with edge.client() as client:
        for number in range(5):
            assert client.get(f"/again{number}", host="narrow.example").status == 200
    used = {secure.good.connection_of(secure.good.one(f"/again{number}")).number for number in range(5)}
    assert len(used) == 1


def test_large_bodies_both_ways(edge: Gateway, secure: Secure) -> None:
    body = bytes(range(256)) * 16 * 1024  # 4 MB

    def echo(exchange: Exchange) -> None:
        exchange.send(scripts.message(exchange.read_body()))

    path = secure.good.script(echo)
    with edge.client(timeout=20) as client:
        client.send(request(path, method="POST", body=body))
        assert client.read().body == body


@pytest.mark.parametrize("kilobytes", range(2560, 5376, 256))
def test_a_slow_client_gets_all_of_an_answer_whose_target_left(
    edge: Gateway, secure: Secure, kilobytes: int
) -> None:
    """uvloop goes on reading while a TLS connection is paused, and drops what it holds when the peer closes. Sizes from
    what fits into the sockets on the way to the client to what does not."""
    body = b"0123456789abcdef" * 64 * kilobytes
    left = threading.Event()

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(scripts.head(200, f"Content-Length: {len(body)}", "Connection: close") + body)
        exchange.close()
        left.set()

    path = secure.good.script(script)
    with edge.client(timeout=20, rcvbuf=4096) as client:
        client.send(request(path))
        if left.wait(0.5):  # not where it has to wait for us
            secure.good.wait_closed(secure.good.connection_of(secure.good.one(path)))
        assert client.read().body == body


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("announced", [True, False])
def test_an_end_that_was_not_announced_is_a_cut(
    edge: Gateway, secure: Secure, framing: str, announced: bool
) -> None:
    """Only an answer without a length can end with the connection, and only with close_notify (RFC 9112 9.8)."""
    raw = {
        "length": scripts.head(200, "Content-Length: 10") + b"123",
        "chunked": scripts.head(200, "Transfer-Encoding: chunked") + b"3\r\n123\r\n",
        "close": scripts.head(200) + b"123",
    }[framing]

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(raw)
        if announced:
            exchange.connection.announce_end()
        else:
            exchange.close()

    path = secure.good.script(script)
    whole = announced and framing == "close"
    with edge.client() as client:
        client.send(request(path))
        if whole:
            assert client.read().body == b"123"
        else:
            with pytest.raises(Cut):
                client.read()
    assert edge.journal.path_is(path)["reason"] == ("ok" if whole else "response_truncated")


@pytest.mark.parametrize("announced", [True, False])
def test_no_answer_at_all(edge: Gateway, secure: Secure, announced: bool) -> None:
    def script(exchange: Exchange) -> None:
        exchange.read_body()
        if announced:
            exchange.connection.announce_end()
        else:
            exchange.close()

    with edge.client() as client, counted(edge, "upstream_reset"):
        client.send(request(secure.good.script(script), method="POST", body=b"x"))
        check_refusal(edge, client.read(), 502, "upstream_reset")


def test_a_tunnel(edge: Gateway, secure: Secure) -> None:
    path = secure.good.script(echo_tunnel)
    with open_tunnel(edge, path) as client:
        for piece in (b"\x81\x05hello", b"\x00\xff" * 50_000):
            client.send(piece)
            assert client.stream.exactly(len(piece)) == piece.upper()
    assert edge.journal.path_is(path)["reason"] == "ok"


def test_a_tunnel_that_the_target_ends(edge: Gateway, secure: Secure) -> None:
    def script(exchange: Exchange) -> None:
        exchange.send(AGREE + b"bye")
        exchange.connection.announce_end()

    with open_tunnel(edge, secure.good.script(script)) as client:
        assert client.stream.exactly(3) == b"bye"
        assert client.stream.closed(5)


def test_a_client_that_ends_its_half_ends_the_tunnel(edge: Gateway, secure: Secure) -> None:
    """There is no half close here: the target hears close_notify, and what was sent before it."""
    heard: list[bytes] = []

    def script(exchange: Exchange) -> None:
        exchange.send(AGREE)
        while data := exchange.stream.some():
            heard.append(data)
        exchange.connection.announce_end()

    path = secure.good.script(script)
    with open_tunnel(edge, path) as client:
        client.send(b"the last words")
        client.stream.sock.shutdown(socket.SHUT_WR)
        assert client.stream.closed(5)
    assert b"".join(heard) == b"the last words"
    assert edge.journal.path_is(path)["reason"] == "ok"


def test_the_systems_own_authorities_count_where_none_is_named(
    make_gateway: Callable[..., Gateway], authority: Authority, secure: Secure
) -> None:
    main = service(secure.good.url, timeouts={"connect": "10s"})
    one = make_gateway({"upstreams": {"main": main}, "routes": [route("all")]}, start=False)
    one.start({"SSL_CERT_FILE": authority.file})
    with one.client() as client:
        assert client.get("/system").status == 200
    one.check_ledger()
    one.stop()


def test_a_reload_changes_whom_to_believe(
    make_gateway: Callable[..., Gateway], authority: Authority, secure: Secure
) -> None:
    def config(**tls: Any) -> dict[str, Any]:
        main = service(secure.good.url, timeouts={"connect": "10s"}, tls={"ca": authority.file, **tls})
        return {"upstreams": {"main": main}, "routes": [route("all")]}

    one = make_gateway(config())
    with one.client() as client:
        assert client.get("/before").status == 200
        one.reload(config(server_name="payments.internal"))
        assert client.get("/between").status == 502
        one.reload(config(server_name=NAME))
        assert client.get("/after").status == 200
    one.check_ledger()
    one.stop()

"""Unix sockets on both sides."""

from __future__ import annotations

from tests.support import scripts
from tests.support.client import Client
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream


def test_a_unix_listener(gateway: Gateway, upstream: Upstream) -> None:
    with Client(gateway.unix_listener) as client:
        answer = client.get("/over-unix")
        assert (answer.status, answer.body) == (200, b"ok\n")
        assert client.get("/over-unix-again", method="POST", body=b"x" * 100_000).status == 200
    got = upstream.one("/over-unix")
    assert got.get("X-Forwarded-Proto") == "http"
    assert gateway.journal.path_is("/over-unix")["status"] == 200


def test_a_unix_target(gateway: Gateway, unix_upstream: Upstream) -> None:
    unix_upstream.scripts[b"unix"] = scripts.echo
    with gateway.client() as client:
        assert client.get("/unix/echo", method="POST", body=b"12345").body == b"12345"
        assert client.get("/unix/echo2").status == 200
    assert unix_upstream.one("/unix/echo").get("Host") == "test.example"
    assert len(unix_upstream.connections) == 1


def test_unix_to_unix(gateway: Gateway, unix_upstream: Upstream) -> None:
    unix_upstream.scripts[b"unix"] = scripts.echo
    with Client(gateway.unix_listener) as client:
        assert client.get("/unix/both", method="PUT", body=b"abc").body == b"abc"

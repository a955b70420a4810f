"""Every reason, provoked through a real gateway: the same token in body, Proxy-Status, log, metric and live tail.

Two need a defect of ours or a resolver that keeps silent: tests/edge/test_reasons.py has them.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fastgw.errors import STATUS, Reason
from tests.integration.outcome import check_refusal, counted
from tests.support import scripts, tokens
from tests.support.certificates import Authority
from tests.support.client import Client, request
from tests.support.config import route, service
from tests.support.consumed import ReceiveQueues
from tests.support.gateway import Gateway, free_port
from tests.support.tail import Tail
from tests.support.upstream import Upstream
from tests.support.wire import Cut, Response, wait_for

SECRET = "a-secret-of-the-tests-that-is-long-enough"
ELSEWHERE = {"internal_error", "no_healthy_target"}
# What no answer, or not one of ours, can carry.
UNSAID = {"ok", "client_closed", "response_truncated", "send_timeout", "idle_timeout"}


@dataclass
class World:
    gateway: Gateway
    upstream: Upstream
    queues: ReceiveQueues

    def path(self, script: Any = None) -> str:
        return self.upstream.script(script or scripts.stall())

    def get(self, path: str, *fields: str, **more: Any) -> Response:
        with self.gateway.client() as client:
            return client.get(path, fields=fields, **more)

    def raw(self, data: bytes) -> Response:
        with self.gateway.client() as client:
            client.send(data)
            return client.read()


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port that neither accepts nor refuses: its queue is full, so the kernel drops what comes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
        for filler in fillers:
            filler.close()


def here(name: str, **options: Any) -> dict[str, Any]:
    match = {"hosts": ["test.example"], **options.pop("match", {})}
    return route(name, f"/{name}", match=match, **options)


def document(upstream: Upstream, blocked: int, untrusted: str) -> dict[str, Any]:
    once = [{"name": "once", "key": "route", "rate": "1/h", "burst": 1, "on_error": "local"}]
    guarded = [{"name": "strict", "key": "route", "rate": "1/s", "burst": 1, "on_error": "deny"}]
    dead = f"http://127.0.0.1:{free_port()}"
    return {
        "server": {"header_timeout": "300ms", "body_timeout": "300ms", "send_timeout": "400ms"},
        "redis": {"url": "unix:///nowhere/at/all.sock"},
        "issuers": {
            "main": {"algorithms": ["HS256"], "secret": SECRET},
            "away": {"algorithms": ["RS256"], "jwks_url": f"{dead}/jwks"},
        },
        "consumers": [{"name": "app", "keys": [f"sha256:{sha256(b'key').hexdigest()}"], "scopes": ["read"]}],
        "upstreams": {
            "main": service(upstream.url, timeouts={"connect": "300ms", "response": "300ms", "idle": "300ms"}),
            "dead": service(dead),
            "broken": service(dead, breaker={"failures": 1, "open_for": "60s"}),
            "blocked": service(f"http://127.0.0.1:{blocked}", timeouts={"connect": "200ms"}),
            "unknown": service("http://nowhere.invalid:80"),
            "secure": service(untrusted),
        },
        "routes": [
            route("all", match={"hosts": ["test.example"], "methods": ["GET", "POST"]}),
            route("total", match={"hosts": ["total.example"]}, timeouts={"response": "5s", "total": "300ms"}),
            route("few", match={"hosts": ["few.example"]}, max_in_flight=1, timeouts={"response": "5s"}),
            here("small", max_body="1KB"),
            here("nobody", ip_access={"deny": ["127.0.0.0/8"]}),
            here("callers", auth={"any": [{"jwt": "main"}, "api_key"]}),
            here("scoped", auth={"any": ["api_key"], "scopes": ["write"]}),
            here("away", auth={"any": [{"jwt": "away"}]}),
            here("once", limits=once, reply={"status": 200, "body": "ok"}),
            here("strict", limits=guarded),
            *(here(name, upstream=name) for name in ("dead", "broken", "blocked", "unknown", "secure")),
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, queues: ReceiveQueues
) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("reasons")
    untrusted = Upstream(tls=Authority(directory).server("127.0.0.1"))
    with full_backlog() as blocked:
        one = Gateway(directory, document(upstream, blocked, untrusted.url)).start()
        yield World(one, upstream, queues)
        one.check_ledger()
        one.stop()
    untrusted.close()


@pytest.fixture(scope="module")
def tail(world: World) -> Iterator[Tail]:
    with Tail(world.gateway.admin_port) as one:
        assert one.status == 200

        def watched() -> bool:
            world.get("/nobody")
            return bool(one.exchanges())

        wait_for(watched, 5.0, "the worker's first line in the tail", every=0.05)
        yield one


def expired(world: World) -> Response:
    token = tokens.compact({"alg": "HS256"}, {"sub": "x", "exp": time.time() - 3600}, tokens.hmac_with(SECRET.encode()))
    return world.get("/callers", f"Authorization: Bearer {token}")


def keyless(world: World) -> Response:
    token = tokens.compact({"alg": "RS256"}, {"sub": "x", "exp": time.time() + 60}, lambda signed: b"s" * 256)
    return world.get("/away", f"Authorization: Bearer {token}")


def second(path: str) -> Callable[[World], Response]:
    def provoke(world: World) -> Response:
        world.get(path)
        return world.get(path)

    return provoke


def overloaded(world: World) -> Response:
    path = world.path()
    with world.gateway.client() as holding:
        holding.send(request(path, host="few.example"))
        world.upstream.wait(lambda: world.upstream.find(path))
        return world.get("/few-more", host="few.example")


def unfinished_body(world: World) -> Response:
    return world.raw(b"POST /late-body HTTP/1.1\r\nHost: test.example\r\nContent-Length: 9\r\n\r\nabc")


def client_closed(world: World) -> str:
    path = world.path()
    client = world.gateway.client()
    client.send(request(path, host="few.example"))
    world.upstream.wait(lambda: world.upstream.find(path))
    client.reset()
    return path


def idle(world: World) -> str:
    path = world.path(scripts.stall(scripts.head(200, "Content-Length: 10") + b"123"))
    with world.gateway.client() as client:
        client.send(request(path))
        response, length = client.read_start()
        with pytest.raises(Cut):
            client.read_rest(response, length)
    return path


def truncated(world: World) -> str:
    raw = scripts.head(200, "Content-Length: 10") + b"123"
    path = world.path(scripts.answer_and_reset(raw, world.queues))
    with world.gateway.client() as client:
        client.send(request(path))
        response, length = client.read_start()
        with pytest.raises(Cut):
            client.read_rest(response, length)
    return path


def unread(world: World) -> str:
    path = world.path(scripts.answer(scripts.message(b"z" * 16_000_000)))
    with world.gateway.client(rcvbuf=65536, timeout=10) as client:
        client.send(request(path))
        assert world.gateway.journal.path_is(path)["reason"] == "send_timeout"
    return path


def well(world: World) -> str:
    path = world.path(scripts.answer(scripts.message()))
    assert world.get(path).status == 200
    return path


Provoke = Callable[[World], Response | str]  # the answer; where there is none of ours, the path
MANY_FIELDS = b"".join(b"X-%d: 1\r\n" % number for number in range(101))

PROVOKE: dict[str, Provoke] = {
    "ok": well,
    "bad_framing": lambda world: world.raw(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
    "bad_request": lambda world: world.raw(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    "header_timeout": lambda world: world.raw(b"GET / HTTP/1.1\r\nHost: a\r\nX-"),
    "body_timeout": unfinished_body,
    "uri_too_long": lambda world: world.get("/" + "u" * 9000),
    "body_too_large": lambda world: world.get("/small", method="POST", body=b"x" * 2000),
    "header_too_large": lambda world: world.raw(b"GET / HTTP/1.1\r\nHost: a\r\n" + MANY_FIELDS + b"\r\n"),
    "no_route": lambda world: world.get("/nowhere", host="elsewhere.example"),
    "method_not_allowed": lambda world: world.get("/getter", method="DELETE"),
    "missing_credentials": lambda world: world.get("/callers"),
    "invalid_credentials": lambda world: world.get("/callers", "X-API-Key: wrong"),
    "expired_credentials": expired,
    "insufficient_scope": lambda world: world.get("/scoped", "X-API-Key: key"),
    "ip_denied": lambda world: world.get("/nobody"),
    "rate_limited": second("/once"),
    "limit_store_down": lambda world: world.get("/strict"),
    "auth_unavailable": keyless,
    "overloaded": overloaded,
    "breaker_open": second("/broken"),
    "connect_timeout": lambda world: world.get("/blocked"),
    "response_timeout": lambda world: world.get(world.path()),
    "idle_timeout": idle,
    "total_timeout": lambda world: world.get(world.path(), host="total.example"),
    "connect_refused": lambda world: world.get("/dead"),
    "dns_error": lambda world: world.get("/unknown"),
    "tls_error": lambda world: world.get("/secure"),
    "upstream_reset": lambda world: world.get(world.path(scripts.answer_and_close(b"")), method="POST", body=b"x"),
    "upstream_protocol_error": lambda world: world.get(world.path(scripts.answer_and_close(b"nonsense\r\n\r\n"))),
    "response_truncated": truncated,
    "client_closed": client_closed,
    "send_timeout": unread,
}


@pytest.mark.parametrize("reason", PROVOKE)
def test_the_same_token_everywhere(reason: str, world: World, tail: Tail) -> None:
    gateway = world.gateway
    before = gateway.metrics().sum("fastgw_rejections_total", reason=reason)
    outcome = PROVOKE[reason](world)
    if isinstance(outcome, str):
        entry = gateway.journal.path_is(outcome)
        assert entry["reason"] == reason
    else:
        entry = check_refusal(gateway, outcome, STATUS[Reason(reason)], reason)  # body, Proxy-Status, log
    assert isinstance(outcome, str) == (reason in UNSAID)
    assert tail.of(entry["request_id"]) == entry
    rejected = gateway.metrics().sum("fastgw_rejections_total", reason=reason)
    assert rejected == (0 if reason == "ok" else before + 1)
    labels = {"route": entry["route"] or "-", "code": str(entry["status"]), "source": entry["source"]}
    assert gateway.metrics().sum("fastgw_requests_total", **labels) >= 1


def test_draining(make_gateway: Callable[..., Gateway], upstream: Upstream) -> None:
    one = make_gateway({
        "drain": {"delay": "10s"}, "upstreams": {"main": service(upstream.url)}, "routes": [route("all")],
    })  # fmt: skip
    with Tail(one.admin_port) as tail, counted(one, "draining"):
        with one.client() as client:
            wait_for(lambda: client.get("/healthz").status == 200 and tail.exchanges(), 5.0, "a line in the tail")
        one.send_signal(signal.SIGTERM)
        wait_for(lambda: one.admin("/readyz")[0] == 503, 5.0, "the drain")
        with one.client() as client:
            answer = wait_for(lambda: drained(client), 5.0, "503 at the health path")
        entry = check_refusal(one, answer, 503, "draining")
        assert tail.of(entry["request_id"]) == entry
    one.send_signal(signal.SIGINT)
    assert one.wait_exit() == 0


def drained(client: Client) -> Response | None:
    answer = client.get("/healthz")
    return answer if answer.status == 503 else None


def test_no_reason_is_forgotten() -> None:
    here = {"draining", *PROVOKE, *ELSEWHERE}
    assert here == {reason.value for reason in Reason}


def test_the_others_are_where_they_are_said_to_be() -> None:
    text = (Path(__file__).parents[1] / "edge" / "test_reasons.py").read_text()
    for reason in ELSEWHERE:
        assert f"Reason.{reason.upper()}" in text

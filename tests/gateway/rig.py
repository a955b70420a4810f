"""An engine without sockets: a client that keeps what it is sent, exchanges that are begun by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

from fastgw.account.access_log import AccessLog
from fastgw.account.ledger import Ledger
from fastgw.account.series import SeriesMemory
from fastgw.gateway import pipeline
from fastgw.gateway.compile import compile_snapshot
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.engine import Engine
from fastgw.gateway.forward import Forward
from fastgw.gateway.snapshot import Snapshot
from fastgw.http1.fields import FieldParser
from fastgw.http1.request import parse_request_block
from fastgw.limiter.limit import Limit
from fastgw.limiter.limiter import Verdict
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Reply, RequestLine
from fastgw.policy.runtime import Runtime
from fastgw.upstream.breaker import Transition
from fastgw.upstream.registry import Registry
from tests.upstream.fakes import Bench

PLAIN: dict[str, Any] = {
    "listeners": [{"address": "127.0.0.1:8080"}],
    "instance": "test",
    "upstreams": {
        "app": {
            "targets": ["http://127.0.0.1:9001"],
            "connections": {"max": 1, "queue": 2, "queue_timeout": "1s"},
        },
        "other": {"targets": ["http://127.0.0.1:9002"], "connections": {"max": 1, "queue": 2}},
    },
    "routes": [
        {"name": "one", "match": {"path": "/*"}, "upstream": "app"},
        {"name": "two", "match": {"path": "/two"}, "upstream": "other"},
    ],
}


class Client:
    """`unread`: a body is coming that nobody wants."""

    blocked = False
    forward_lines = b"Via: 1.1 fastgw\r\n"
    port = b"8080"
    peer = b"192.0.2.7"

    def __init__(self, health_path: bytes = b"", unread: bool = False) -> None:
        self.written = b""
        self.ended = 0
        self.health_path = health_path
        self.unread = unread
        self.complete = True  # the request's body came whole

    def write(self, data: bytes) -> None:
        self.written += data

    def finished(self, exchange: Exchange, now: float) -> None:
        self.ended += 1

    def start_body(self) -> None: ...

    def body_complete(self) -> bool:
        return self.complete

    def settle_body(self) -> bool:
        return self.unread

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...

    def defect(self, error: Exception, exchange: Exchange) -> None:
        raise error

    def cut(self) -> None: ...

    def enter_tunnel(self) -> None: ...

    def leave_tunnel(self) -> None: ...


class Decisions:
    """A limiter that says what it is told to: `verdict` at once, or nothing until `answer`."""

    def __init__(self) -> None:
        self.verdict: Verdict | None = None
        self.asked: list[tuple[tuple[str, ...], list[bytes]]] = []
        self.waiting: list[Any] = []

    def decide(self, limits: tuple[Limit, ...], values: list[bytes], waiter: Any, now: float) -> Verdict | None:
        self.asked.append((tuple(limit.name for limit in limits), list(values)))
        if self.verdict is None:
            self.waiting.append(waiter)
        return self.verdict

    def answer(self, verdict: Verdict) -> None:
        waiter = self.waiting.pop(0)
        if not waiter.closed:
            waiter.on_verdict(verdict)


class Gateway:
    """The engine of a document with nothing but `plain` in it, its log in a pipe."""

    def __init__(self, **plain: Any) -> None:
        self.reading, self._writing = os.pipe()
        self.bench = Bench()
        self.snapshot = compiled({**PLAIN, **plain})
        self.transitions: list[tuple[str, str, Transition]] = []
        registry = Registry(
            self.bench.shared, Random(1).random, lambda *said: self.transitions.append(said)
        )
        registry.reconcile(self.snapshot.upstreams)
        self.log = AccessLog(self._writing, 0, lambda seconds, call: None, lambda lost: None)
        slot = SeriesMemory(1, 4096, 65536).slot(0)
        self.limiter = Decisions()
        self.runtime = Runtime(self.limiter, None, self.bench.clock, self.resume)  # type: ignore[arg-type]  # a fake
        self.engine = Engine(
            self.snapshot, registry, Ledger(slot, self.log), self.bench.deadlines, self.bench.clock, lambda line: None,
            self.runtime,
        )  # fmt: skip
        self.routes = self.snapshot.routes
        self.route = self.routes["one"]
        self.pool = registry.upstreams["app"].targets[0].pool

    def resume(self, exchange: Exchange, reply: Reply | None) -> None:
        pipeline.resume(self.engine, exchange, reply)

    def close(self) -> None:
        self.bench.loop.close()
        os.close(self.reading)
        os.close(self._writing)

    def begin(self, name: str = "one", forward: Forward | None = None) -> tuple[Forward, Client, Exchange]:
        """A new exchange of a route; with `forward`, the next one of a client's connection that had one before."""
        client = Client()
        forward = forward or Forward(self.engine, client)
        head = parse_request_block(b"Host: a\r\n", FieldParser())
        now = self.bench.clock.now()
        exchange = Exchange(head, b"GET", b"/", b"", False, now, 30)
        exchange.line = RequestLine(b"GET", b"/", b"", False, None)
        route = exchange.route = self.routes[name]
        exchange.request_id = b"id"
        route.in_flight += 1
        self.engine.in_flight += 1
        forward.start(exchange, route, head, now)
        return forward, client, exchange

    def run(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        *lines: bytes,
        client: Client | None = None,
        line: RequestLine | None = None,
        trusted: bool = False,
        http10: bool = False,
    ) -> tuple[Forward, Client, Exchange]:
        """A new exchange through all phases, as the edge begins it."""
        client = client or Client()
        forward = Forward(self.engine, client)
        block = b"".join(one + b"\r\n" for one in (b"Host: a", *lines))
        head = parse_request_block(block, FieldParser())
        now = self.bench.clock.now()
        exchange = Exchange(head, method, path, b"", http10, now, 30)
        exchange.client = client.peer
        exchange.trusted = trusted
        exchange.line = line or RequestLine(method, path, b"", http10, None)
        self.engine.in_flight += 1
        self.engine.stamp(exchange)
        pipeline.run(self.engine, client, forward, exchange, now)
        return forward, client, exchange


def compiled(plain: dict[str, Any]) -> Snapshot:
    steps = compile_snapshot(load_plain(plain, "test"), 1, None)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            assert isinstance(stop.value, Snapshot)
            return stop.value


Make = Callable[..., Gateway]

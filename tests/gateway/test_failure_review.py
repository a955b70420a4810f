"""Many exchanges through whatever can happen to them: nothing is counted twice, kept, sent twice or mixed up."""

from __future__ import annotations

import re
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fastgw.errors import Reason
from fastgw.gateway.choice import ANSWERING, CONNECTING, DRAINING, QUEUED, SENT, TUNNEL
from fastgw.gateway.forward import Forward
from fastgw.http1 import rules
from fastgw.http1.fields import FieldParser
from fastgw.http1.request import parse_request_block
from fastgw.model.exchange import Exchange
from fastgw.model.messages import RequestLine
from fastgw.upstream.target import Target
from fastgw.upstream.upstream import Upstream
from fastgw.upstream.wire import State, Wire
from tests.gateway.rig import PLAIN, Client, Gateway, compiled
from tests.upstream.fakes import FakeTask, FakeTransport

ONE, TWO, THREE = (f"http://127.0.0.1:900{number}" for number in (1, 2, 3))
BREAKER = {"failures": 3, "min_requests": 8, "open_for": "2s", "max_open_for": "8s", "successes": 1}
RETRIES = {"attempts": 3, "when": ["connect", "reset", "timeout", 503]}
WEBSOCKET = (
    b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
ANSWERS = {
    "ok": b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 4\r\n\r\n%04d",
    "half": b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%04d",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n%04d\r\n",
    "until close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%04d",
    "busy": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\n%04d",
    "half busy": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\n%04d",
    "come later": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\n%04d",
    "closing": b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 4\r\n\r\n%04d",
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </%04d>\r\n\r\n",
    "unchanged": b"HTTP/1.1 304 Not Modified\r\nETag: %04d\r\n\r\n",
    "too much": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%04dHTTP/1.1 200 OK\r\n\r\n",
    "garbage": b"\x16\x03\x01 %04d\r\n\r\n",
    "a piece": b"HTTP/1.1 2",
}  # fmt: skip
# What a reload makes of the upstream.
SHAPES: list[dict[str, Any]] = [
    {"targets": [ONE, TWO, THREE], "breaker": BREAKER, "retries": RETRIES},
    {"targets": [ONE, TWO], "breaker": BREAKER, "retries": RETRIES, "slow_start": "5s"},
    {"targets": [TWO, THREE], "retries": RETRIES, "balance": "hash"},
    {"targets": [ONE], "breaker": BREAKER, "retries": RETRIES},
    {"targets": [ONE, THREE], "breaker": {**BREAKER, "probes": 2}, "balance": "round_robin"},
    {"targets": [THREE], "retries": RETRIES},
    {"targets": [ONE, TWO, THREE], "timeouts": {"total": "4s", "response": "2s"}, "retries": RETRIES, "max_in_flight": 6},
]
METHODS = [b"GET", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE"]
BODY = 150_000
# How often what happens in a rush.
RUSH = {
    "begin": 14, "connect": 16, "send": 10, "answer": 10, "turn": 6, "cut": 4, "wait": 3, "go_on": 3, "block": 2,
    "leave": 2, "switch": 1, "reload": 0.5,
}  # fmt: skip
few = st.integers(0, 7)


class Peer(Client):
    """A client that has one request after the other, with a body that comes when it is asked for."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.forward = Forward(world.gateway.engine, self)
        self.exchange: Exchange | None = None  # under way
        self.left = 0  # of the body, still to come
        self.sent = 0
        self.wanted = False
        self.gone = False
        self.since = 0  # where in `written` the present answer begins

    def start_body(self) -> None:
        self.wanted = not self.complete

    def settle_body(self) -> bool:
        self.wanted = False
        return not self.complete

    def finished(self, exchange: Exchange, now: float) -> None:
        assert exchange is self.exchange and exchange.closed
        self.ended += 1
        self.exchange = None
        self.gone = self.gone or not exchange.keep_alive or not self.complete
        self.wanted = False
        finals = re.findall(rb"HTTP/1\.1 (?!10[03])", self.written[self.since :])
        assert len(finals) == 1, "one answer to one request"

    def cut(self) -> None:
        self.exchange = None
        self.gone = True

    leave_tunnel = cut

    def feed(self, size: int) -> None:
        size = min(size, self.left)
        self.left -= size
        piece = body(self.sent, size)
        self.sent += size
        if not self.left:
            self.complete = True
            self.wanted = False
        self.forward.request_body([piece], self.complete, b"")


def body(start: int, size: int) -> bytes:
    """A part of a body of which every part can be told from every other one."""
    lines = b"".join(b"%07d\n" % line for line in range(start // 8, (start + size) // 8 + 1))
    return lines[start % 8 : start % 8 + size]


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.shape = dict(SHAPES[0])
        self.gateway = Gateway(**self.document())
        self.app: Upstream = self.gateway.engine.registry.upstreams["app"]
        self.targets: set[Target] = set(self.app.targets)
        self.peers: list[Peer] = []
        self.begun: list[Exchange] = []
        self.wires: dict[Wire, FakeTransport] = {}
        self.tried: set[FakeTask] = set()
        self.number = 0

    def document(self) -> dict[str, Any]:
        app = {
            "connections": {"max": 2, "idle": 1, "queue": 2, "queue_timeout": "1s", "idle_timeout": "3s"},
            "timeouts": {"connect": "1s", "response": "2s", "idle": "3s"},
        }
        return {"upstreams": {**PLAIN["upstreams"], "app": {**app, **self.shape}}, "routes": PLAIN["routes"]}  # type: ignore[dict-item]

    # --- clients --------------------------------------------------------------------------------------------------

    @rule(method=st.sampled_from(METHODS), has_body=st.booleans(), websocket=st.integers(0, 5), which=few)
    def begin(self, method: bytes, has_body: bool, websocket: int, which: int) -> None:
        free = [peer for peer in self.peers if peer.exchange is None and not peer.gone and not peer.blocked]
        if len(self.busy()) >= 8:
            return
        if which >= len(free):
            self.peers.append(Peer(self))
        peer = free[which] if which < len(free) else self.peers[-1]
        self.number += 1
        lines = [b"Host: a"]
        has_body = has_body and method in (b"PUT", b"POST")
        if has_body:
            lines.append(b"Content-Length: %d" % BODY)
        elif not websocket and method == b"GET":
            lines += WEBSOCKET
        peer.complete = not has_body
        peer.left, peer.sent = (BODY if has_body else 0), 0
        peer.since = len(peer.written)
        head = parse_request_block(b"".join(line + b"\r\n" for line in lines), FieldParser())
        now, path = self.gateway.bench.clock.now(), b"/%d" % self.number
        exchange = Exchange(head, method, path, b"", False, now, 30)
        exchange.client, exchange.request_id = b"192.0.2.%d" % self.number, b"id"
        exchange.line = RequestLine(method, path, b"", False, None)
        route = exchange.route = self.gateway.routes["one"]
        route.in_flight += 1
        self.gateway.engine.in_flight += 1
        peer.exchange = exchange
        self.begun.append(exchange)
        peer.forward.start(exchange, route, head, now)

    def busy(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.exchange is not None]

    @rule(which=few, size=st.sampled_from([10, 40_000, 70_000, BODY]))
    def send(self, which: int, size: int) -> None:
        ready = (SENT, ANSWERING, CONNECTING, QUEUED)
        senders = [peer for peer in self.busy() if peer.wanted and peer.left and peer.forward._stage in ready]
        if senders:
            senders[which % len(senders)].feed(size)

    @rule(which=few)
    def leave(self, which: int) -> None:
        busy = self.busy()
        if busy:
            peer = busy[which % len(busy)]
            peer.gone = True
            peer.forward.abandon(Reason.CLIENT_CLOSED)
            peer.forward.close()
            peer.exchange = None

    @rule(which=few)
    def block(self, which: int) -> None:
        busy = self.busy()
        if busy:
            peer = busy[which % len(busy)]
            peer.blocked = not peer.blocked
            (peer.forward.on_client_blocked if peer.blocked else peer.forward.on_client_writable)()

    # --- targets --------------------------------------------------------------------------------------------------

    @rule(which=few, refused=st.integers(0, 3))
    def connect(self, which: int, refused: int) -> None:
        loop = self.gateway.bench.loop
        waiting = [task for task in loop.tasks if task not in self.tried and not task.cancelled]
        if waiting:
            task = waiting[which % len(waiting)]
            self.tried.add(task)
            loop.outcome = None if refused else ConnectionRefusedError(111, "Connection refused")
            task.run()
            loop.outcome = None

    def asked(self) -> list[tuple[Peer, Wire]]:
        found = [(peer, peer.forward._connection) for peer in self.busy()]
        return [(peer, wire) for peer, wire in found if wire is not None and wire.transport is not None]

    @rule(which=few, kind=st.sampled_from(sorted(ANSWERS)))
    def answer(self, which: int, kind: str) -> None:
        asked = [(peer, wire) for peer, wire in self.asked() if wire.state is State.HEAD]
        if asked:
            peer, wire = asked[which % len(asked)]
            data = ANSWERS[kind]
            number = int(peer.exchange.path[1:]) if peer.exchange else 0
            wire.data_received(data % number if b"%" in data else data)  # type: ignore[attr-defined]

    @rule(which=few)
    def switch(self, which: int) -> None:
        asked = [wire for _, wire in self.asked() if wire.state is State.HEAD and wire.upgrade]
        if asked:
            asked[which % len(asked)].data_received(SWITCH)  # type: ignore[attr-defined]

    @rule(which=few)
    def go_on(self, which: int) -> None:
        asked = [wire for _, wire in self.asked() if wire.state is State.BODY]
        if asked:
            asked[which % len(asked)].data_received(b"0\r\n\r\n")  # type: ignore[attr-defined]

    @rule(which=few, idle=st.booleans())
    def cut(self, which: int, idle: bool) -> None:
        alive = [wire for wire in self.wires if wire.state is not State.CLOSED and (wire.state is State.IDLE) is idle]
        if alive:
            alive[which % len(alive)].connection_lost(None)

    # --- time, operators ------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.1, 2.5]))
    def wait(self, seconds: float) -> None:
        self.gateway.bench.tick(seconds)
        self.gateway.engine.registry.tick(self.gateway.bench.clock.now())

    @rule()
    def turn(self) -> None:
        self.gateway.bench.loop.run()
        self.gateway.bench.outbox.flush()

    @rule(shape=st.sampled_from(range(len(SHAPES))))
    def reload(self, shape: int) -> None:
        self.shape = dict(SHAPES[shape])
        snapshot = compiled({**PLAIN, **self.document()})
        self.gateway.snapshot = self.gateway.engine.snapshot = snapshot
        self.gateway.routes = snapshot.routes
        self.gateway.engine.registry.reconcile(snapshot.upstreams)
        self.targets |= set(self.app.targets)

    @rule(which=few, healthy=st.booleans())
    def check_health(self, which: int, healthy: bool) -> None:
        target = self.app.targets[which % len(self.app.targets)]
        self.app.set_health(target.address, target.port, target.address, healthy)

    @rule(which=few, state=st.sampled_from(["open", "closed", "auto"]), seconds=st.sampled_from([-1.0, 2.0]))
    def force(self, which: int, state: str, seconds: float) -> None:
        labels = ["", *(target.label for target in self.targets)]
        now = self.gateway.bench.clock.now()
        self.app.force(labels[which % len(labels)], state, now + seconds, now)

    @rule(seed=st.integers(0, 2**32))
    def rush(self, seed: int) -> None:
        """A crowd: much at the same time, which rules drawn one by one seldom bring about."""
        random = Random(seed)
        for step in random.choices(list(RUSH), list(RUSH.values()), k=60):
            number = random.randrange(8)
            more: dict[str, list[Any]] = {
                "begin": [random.choice(METHODS), random.random() < 0.7, random.randrange(6), number],
                "send": [number, random.choice([10, 40_000, 70_000, BODY])],
                "connect": [number, random.randrange(5)],
                "answer": [number, random.choice(sorted(ANSWERS))],
                "cut": [number, random.random() < 0.3],
                "wait": [random.choice([0.05, 0.05, 0.3, 1.1])],
                "reload": [random.randrange(len(SHAPES))],
                "turn": [],
            }
            getattr(self, step)(*more.get(step, [number]))
            self.check_all()

    def check_all(self) -> None:
        self.counts_are_those_of_what_is_under_way()
        self.circuits_know_of_no_more_probes_than_there_are_attempts()
        self.what_is_idle_remembers_nothing()
        self.no_request_is_sent_that_must_not_be()
        self.answers_reach_whom_they_are_for()

    # --- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def counts_are_those_of_what_is_under_way(self) -> None:
        busy = self.busy()
        engine = self.gateway.engine
        assert engine.in_flight == len(busy) == len([one for one in self.begun if not one.closed])
        attempts = [peer.forward for peer in busy if peer.forward._target is not None]
        assert self.app.in_flight == len(attempts)
        self.targets |= set(self.app.targets)
        for target in self.targets:
            here = [forward for forward in attempts if forward._target is target]
            assert target.in_flight == len(here)
            silent = [forward for forward in here if forward._stage not in (ANSWERING, DRAINING)]
            assert 0 <= target.unheard <= len(silent)
            pool = target.pool
            assert pool.queued + len(pool._chosen) == len([one for one in here if one._stage is QUEUED])
            assert pool.reserved >= 0
        assert self.app.budget.in_use == len([one for one in attempts if one._budget is not None])
        assert engine.websockets == len([one for one in attempts if one._stage is TUNNEL])

    @invariant()
    def circuits_know_of_no_more_probes_than_there_are_attempts(self) -> None:
        now = self.gateway.bench.clock.now()
        for _, breaker in self.app.breakers():
            tickets = [one for one in self.busy() if breaker.era in (one.forward._ticket, one.forward._own_ticket)]
            assert len([until for until in breaker._places if until > now]) <= len(tickets)
            assert breaker.failures_in_row >= 0

    @invariant()
    def what_is_idle_remembers_nothing(self) -> None:
        for peer in self.peers:
            forward = peer.forward
            if peer.exchange is None:
                assert forward._exchange is None and forward._target is None and forward._budget is None
                assert (forward._ticket, forward._own_ticket, forward._tries, forward._spent) == (0, 0, 0, 0.0)
                assert not (forward.waiting or forward._replayed or forward._sent_before or forward._interim)
                assert forward._held is None
            elif forward._stage in (SENT, ANSWERING) and forward._connection is not None:
                assert forward._connection.state in (State.HEAD, State.BODY)

    @invariant()
    def no_request_is_sent_that_must_not_be(self) -> None:
        for peer in self.peers:  # new connections
            wire = peer.forward._connection
            if wire is not None and isinstance(wire.transport, FakeTransport):
                self.wires.setdefault(wire, wire.transport)
        self.gateway.bench.outbox.flush()
        everything = []
        for transport in self.wires.values():
            if transport.written:
                assert re.match(rb"(GET|HEAD|POST|PUT|DELETE) /", transport.written), transport.written[:40]
                everything += re.findall(rb"([A-Z]+) (/[0-9]+) HTTP/1.1\r\n", transport.written)
        for method, path in set(everything):
            if method not in rules.IDEMPOTENT:
                assert everything.count((method, path)) == 1, "sent twice"
        for peer in self.busy():
            forward, exchange = peer.forward, peer.exchange
            assert exchange is not None
            if forward._connection is None or forward._stage is not SENT or not peer.sent:
                continue
            written = self.wires[forward._connection].written
            start = written.rindex(b"%s %s HTTP/1.1\r\n" % (exchange.method, exchange.path))
            _, _, content = written[start:].partition(b"\r\n\r\n")
            assert content == body(0, peer.sent), "a body with a hole in it"

    @invariant()
    def answers_reach_whom_they_are_for(self) -> None:
        for peer in self.busy():
            exchange = peer.exchange
            assert exchange is not None
            if peer.forward._stage in (SENT, QUEUED, CONNECTING):
                assert not re.search(rb"HTTP/1\.1 [2-5]", peer.written[peer.since :])

    def teardown(self) -> None:
        try:
            for peer in self.busy():
                peer.gone = True
                peer.forward.abandon(Reason.CLIENT_CLOSED)
                peer.exchange = None
            self.gateway.bench.loop.run()
            self.counts_are_those_of_what_is_under_way()
            assert all(one.closed for one in self.begun)
            assert self.gateway.route.in_flight == 0
            assert all(target.unheard == target.in_flight == 0 for target in self.targets)
            for target in self.targets:
                target.pool.retire()
                assert target.pool.open == target.pool.queued == target.pool.reserved == 0
        finally:
            self.gateway.close()


World.TestCase.settings = settings(max_examples=40, stateful_step_count=10, deadline=None)
TestWorld = World.TestCase

"""What stands around the pipeline in a rehearsal, in place of what would read, write, count or wait.

Each is the real class with the one method replaced that would reach out. No decision is made here: those are the
pipeline's and the policies' own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Final, NoReturn

from fastgw.account.families import Family
from fastgw.account.ledger import Ledger
from fastgw.gateway.document.options import RouteOptions
from fastgw.gateway.engine import Engine
from fastgw.gateway.forward import Forward
from fastgw.gateway.snapshot import Snapshot
from fastgw.gateway.steps import SKIPPED, Step, Trace, judged, names_of, phase_of
from fastgw.limiter.limit import Limit, Verdict
from fastgw.limiter.limiter import Limiter, Waiter
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Reply, RequestHead
from fastgw.model.route import Check, Route
from fastgw.policy.runtime import Runtime
from fastgw.routing.table import MethodNotAllowed, RouteTable
from fastgw.upstream.registry import Registry

_ADMITTED: Final = Verdict(True, (), (), b"", 0, "local")


class Client:
    """A client's connection that keeps what it is sent (gateway.downstream.Downstream)."""

    blocked = False

    def __init__(self, peer: bytes, port: bytes, health_path: bytes, forward_lines: bytes) -> None:
        self.peer = peer
        self.port = port
        self.health_path = health_path
        self.forward_lines = forward_lines
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def start_body(self) -> None: ...

    def body_complete(self) -> bool:
        return True

    def settle_body(self) -> bool:
        return False

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...

    def finished(self, exchange: Exchange, now: float) -> None: ...

    def defect(self, error: Exception, exchange: Exchange) -> None:
        raise error

    def cut(self) -> None: ...

    def enter_tunnel(self) -> None: ...

    def leave_tunnel(self) -> None: ...


class Caught(Forward):
    """Forwarding that ends where the first attempt would begin: by `route`; None where it did not come so far."""

    __slots__ = ("route",)

    def __init__(self, engine: Engine, client: Client) -> None:
        super().__init__(engine, client)
        self.route: Route | None = None

    def start(self, exchange: Exchange, route: Route, head: RequestHead, now: float) -> None:
        if route.split is not None:
            route = route.split.usual(exchange)
        self.route = route
        exchange.upstream = route.upstream
        self._engine.close(exchange, now)

    def hold(self, exchange: Exchange) -> NoReturn:
        raise RuntimeError("a policy waits for somebody in a rehearsal")


class Unwritten(Ledger):
    """Nothing that did not happen is counted or logged."""

    __slots__ = ()

    def __init__(self) -> None:
        self.sample = 0.0

    def close(self, exchange: Exchange, now: float, wall: float) -> None:
        if exchange.closed:
            raise RuntimeError("an exchange was closed twice")
        exchange.closed = True

    def count(self, family: Family, labels: tuple[str, ...]) -> None: ...


class Nowhere(Registry):
    """No upstream has a connection."""

    __slots__ = ()

    def __init__(self) -> None:
        self.upstreams = {}
        self._removed = {}


class FullBuckets(Limiter):
    """Every bucket is full, so that no limit refuses: what a limit does to one request says nothing about the next."""

    __slots__ = ("_trace",)

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def decide(
        self, limits: tuple[Limit, ...], values: Sequence[bytes], waiter: Waiter, now: float
    ) -> Verdict | None:
        self._trace.note_limits(limits, values)
        return _ADMITTED


class Watched:
    """A policy of a chain, and the note of what it decided."""

    __slots__ = ("_check", "_trace", "name")

    def __init__(self, check: Check, name: str, trace: Trace) -> None:
        self._check = check
        self.name = name
        self._trace = trace

    def check(self, exchange: Exchange, runtime: Runtime) -> Reply | None:
        self._trace.phase = phase_of(self.name)
        # Only the first shadow writes its name there: each is to be seen.
        before, exchange.rule = exchange.rule, ""
        reply = self._check.check(exchange, runtime)
        self._trace.steps.append(judged(self.name, self._check, reply, exchange, self._trace))
        exchange.rule = before or exchange.rule
        return reply


class WatchedTable(RouteTable[Route]):
    """Finds what the real one finds, and gives out a copy with a watched chain: the snapshot's own routes stay untouched,
    which may be bound to somebody's run-time state."""

    __slots__ = ("_options", "_real", "_trace")

    def __init__(self, real: RouteTable[Route], options: Mapping[str, RouteOptions], trace: Trace) -> None:
        self._real = real
        self._options = options
        self._trace = trace

    def find(
        self, host: bytes, method: bytes, path: bytes, fields: Mapping[bytes, bytes]
    ) -> Route | MethodNotAllowed | None:
        return self._watched(self._real.find(host, method, path, fields))

    def find_preflight(self, host: bytes, method: bytes, path: bytes) -> Route | MethodNotAllowed | None:
        return self._watched(self._real.find_preflight(host, method, path))

    def _watched(self, found: Route | MethodNotAllowed | None) -> Route | MethodNotAllowed | None:
        if not isinstance(found, Route):
            return found
        names = names_of(found.chain, self._options[found.name].limits)
        made = copy(found)
        made.in_flight = 0
        made.bound = made.tally = None
        made.chain = tuple(
            Watched(check, name, self._trace) for check, name in zip(found.chain, names, strict=True)
        )
        return made


def watched(snapshot: Snapshot, trace: Trace) -> Snapshot:
    """The snapshot with watched routes. O(routes), about 1 ms for 10,000."""
    document = snapshot.document
    table = WatchedTable(snapshot.table, document.routes, trace)
    return Snapshot(
        document, snapshot.version, table, snapshot.routes, snapshot.upstreams, snapshot.trusted, snapshot.limits
    )


def skipped(route: Route | None, done: int) -> list[Step]:
    """The policies of a watched route that were not asked, since one before them ended the exchange."""
    chain = route.chain if route is not None else ()
    return [Step(check.name, SKIPPED) for check in chain[done:] if isinstance(check, Watched)]

"""What would become of a request: the pipeline's own functions over a snapshot, without a network, a store or a ledger.

Lives here: one exchange begun as the edge begins it, and its outcome put into words. May not: decisions. What a rehearsal
cannot know is left out of it: circuits, health, queues, other exchanges. Every bucket is full, so no limit refuses, and
a token whose issuer's keys are fetched (jwks_url) is `auth_unavailable` unless they are given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from fastgw.clock import Clock
from fastgw.errors import HttpError, Reason, Source
from fastgw.gateway import pipeline
from fastgw.gateway.asked import Request
from fastgw.gateway.document.masking import MASK
from fastgw.gateway.engine import Engine
from fastgw.gateway.head_reader import HeadReader, method_of
from fastgw.gateway.heads import request_head, untrusted_lines
from fastgw.gateway.rivals import Wanted
from fastgw.gateway.snapshot import Snapshot
from fastgw.gateway.stand_ins import Caught, Client, FullBuckets, Nowhere, Unwritten, skipped, watched
from fastgw.gateway.steps import PASS, LimitUse, Step, Trace, is_secret, uses
from fastgw.http1.fields import lines_of
from fastgw.http1.memo import Streak
from fastgw.model.deadlines import Deadlines
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Reply
from fastgw.model.route import Route
from fastgw.policy.auth.authenticator import Authenticator
from fastgw.policy.auth.options import ApiKeysOptions
from fastgw.policy.runtime import Runtime
from fastgw.upstream.place import host_field

_GATEWAY_LIMITS: Final = "limits before routing"


class Share(NamedTuple):
    """A part of a split."""

    upstream: str
    weight: int


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """`status` is None where the upstream's answer would decide it, `path` where nothing is forwarded, `query` (without
    its question mark) where there is none."""

    version: int
    client: str
    consumer: str | None
    route: str | None
    status: int | None
    reason: str
    source: str
    rule: str
    detail: str
    upstream: str | None
    candidates: tuple[Share, ...]
    path: str | None
    query: str | None
    headers: Mapping[str, str]
    chain: tuple[Step, ...]
    limits: tuple[LimitUse, ...]
    cache: None = None
    wanted: Wanted | None = None  # as routing saw it; None where it did not come so far

    @property
    def target(self) -> str | None:
        """Path and query as forwarded."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    def plain(self) -> dict[str, Any]:
        made = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "wanted"}
        made["candidates"] = [share._asdict() for share in self.candidates]
        made["headers"] = dict(self.headers)
        made["chain"] = [step.plain() for step in self.chain]
        made["limits"] = [use.plain() for use in self.limits]
        return made


class Rehearsal:
    """`keys` are the last `keys` messages of control, for issuers whose keys are fetched."""

    __slots__ = ("_auth", "_clock", "_engine", "_key_header", "_reader", "_trace")

    def __init__(self, snapshot: Snapshot, clock: Clock, keys: Iterable[Mapping[str, Any]] = ()) -> None:
        base = snapshot.document.base
        self._trace = Trace()
        self._clock = clock
        self._auth = Authenticator(clock)
        self._auth.adopt(base)
        for message in keys:
            self._auth.set_keys(str(message["source"]), list(message["keys"]), message.get("error"))
        runtime = Runtime(FullBuckets(self._trace), self._auth, clock, _never)
        self._engine = Engine(
            watched(snapshot, self._trace), Nowhere(), Unwritten(), Deadlines(), clock, _ignored, runtime
        )
        self._reader = HeadReader()
        self._reader.max_header_size = snapshot.server.max_header_size
        self._key_header = (base.api_keys or ApiKeysOptions()).header

    def run(self, request: Request) -> Rehearsed:
        """Nothing is kept from one request to the next: the same one leads to the same outcome."""
        self._trace.begin()
        self._reader.lines.clear()  # they remember routes, and with them the notes of another request
        self._auth.tokens.forget_all()
        self._auth.keys.clear()
        client = self._downstream(request)
        forward = Caught(self._engine, client)
        exchange = self._begin(request, client)
        if exchange.head is not None and not exchange.closed:
            pipeline.run(self._engine, client, forward, exchange, exchange.started)
        if not exchange.closed:
            raise RuntimeError(f"a rehearsal that did not end: {request.method} {request.target}")
        return self._outcome(exchange, forward, client)

    def _downstream(self, request: Request) -> Client:
        """The connection: to the listener whose port the URL names, else to the first one."""
        listeners = self._engine.snapshot.document.base.listeners
        number = next((n for n, each in enumerate(listeners) if each.address.port == (request.port or -1)), 0)
        peer, port = request.client.encode(), str(listeners[number].address.port).encode()
        health_path = self._engine.snapshot.health_paths[number]
        return Client(peer, port, health_path, untrusted_lines(peer, port))

    def _begin(self, request: Request, client: Client) -> Exchange:
        """As edge/connection.py does; an exchange whose head breaks a rule is answered already."""
        engine, raw = self._engine, request.raw()
        now = self._clock.now()
        engine.in_flight += 1
        try:
            exchange = self._reader.read(raw, len(raw) - 4, Streak(), now)
        except HttpError as error:
            line = raw[: raw.find(b"\r\n")]
            exchange = Exchange(None, method_of(line), b"", b"", False, now, len(raw))
            exchange.client = client.peer
            exchange.version = engine.snapshot.version
            engine.stamp(exchange)
            refused = pipeline.refusal(self._reader.blame(error, line))
            pipeline.send_reply(engine, client, exchange, refused)
            return exchange
        exchange.client = client.peer
        address = ip_address(request.client)
        exchange.trusted = any(address in network for network in engine.snapshot.trusted)
        engine.stamp(exchange)
        return exchange

    def _outcome(self, exchange: Exchange, forward: Caught, client: Client) -> Rehearsed:
        document = self._engine.snapshot.document
        route, sent = exchange.route, forward.route
        options = document.routes[route.name] if route is not None else None
        split = options.split if options is not None and sent is not None else None
        path, query, headers = self._forwarded(exchange, sent, client)
        return Rehearsed(
            version=exchange.version,
            client=exchange.client.decode("latin-1"),
            consumer=exchange.identity.consumer if exchange.identity is not None else None,
            route=route.name if route is not None else None,
            status=exchange.status if sent is None else None,
            reason=exchange.reason.value,
            source=(exchange.source if sent is None else Source.UPSTREAM).value,
            rule=exchange.rule,
            detail=_detail(exchange, client.written) or self._refused(exchange),
            upstream=exchange.upstream or None,
            candidates=tuple(Share(name, weight) for name, weight in split.items()) if split else (),
            path=path,
            query=query,
            headers=headers,
            chain=self._chain(route),
            limits=tuple(
                uses(self._trace, options.limits if options else (), document.base.limits, self._key_header)
            ),
            wanted=_wanted(exchange),
        )

    def _chain(self, route: Route | None) -> tuple[Step, ...]:
        steps = self._trace.steps
        whole = self._engine.snapshot.limits
        names = [limit.name for phase, limit, _ in self._trace.asked if _GATEWAY_LIMITS.endswith(phase)]
        first = [Step(_GATEWAY_LIMITS, PASS, ", ".join(names))] if whole is not None and names else []
        return (*first, *steps, *skipped(route, len(steps)))

    def _refused(self, exchange: Exchange) -> str:
        """The same, where the answer has no body to say it (HEAD): by the policy that refused."""
        steps = self._trace.steps
        return steps[-1].detail if exchange.reason is not Reason.OK and steps else ""

    def _forwarded(
        self, exchange: Exchange, route: Route | None, client: Client
    ) -> tuple[str | None, str | None, dict[str, str]]:
        """Path, query and fields of the request as it leaves, by heads.py."""
        head = exchange.head
        if route is None or head is None:
            return None, None, {}
        target = _Target(host_field(self._engine.snapshot.upstreams[route.upstream].targets[0]))
        line, _, block = request_head(exchange, head, route, client, target).partition(b"\r\n")
        path, mark, query = line.split(b" ")[1].partition(b"?")
        made: dict[str, str] = {}
        for _, whole in lines_of(block[:-2]):
            name, _, value = _text(whole[:-2]).partition(":")
            shown = MASK if is_secret(name, self._key_header) else value.strip()
            made[name] = f"{made[name]}, {shown}" if name in made else shown
        return path.decode("latin-1"), query.decode("latin-1") if mark else None, made


@dataclass(slots=True)
class _Target:
    host_field: bytes


def _wanted(exchange: Exchange) -> Wanted | None:
    head = exchange.head
    if head is None or exchange.path == b"*":
        return None
    return Wanted(exchange.method, exchange.host, exchange.path, head.fields)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _detail(exchange: Exchange, written: bytes) -> str:
    """What the problem document says, where the gateway refuses."""
    body = written.partition(b"\r\n\r\n")[2]
    if exchange.reason is Reason.OK or not body:
        return ""
    return str(json.loads(body)["detail"])


def _never(exchange: Exchange, reply: Reply | None) -> None:
    raise RuntimeError("nothing waits in a rehearsal, so nothing is resumed")


def _ignored(line: str) -> None:
    """Operational lines of a rehearsal are nobody's."""

"""Document -> snapshot. Everything that can be decided before a request comes is decided here.

Control dry-runs it before it publishes; the supervisor and the workers run it in slices. An unchanged route is the
previous snapshot's own object, with all that was bound to it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from ipaddress import ip_network
from random import random

from fastgw.errors import Reason
from fastgw.gateway.document.model import Document
from fastgw.gateway.document.options import BaseOptions, RouteOptions
from fastgw.gateway.phases import REQUEST_POLICIES, gateway_limits
from fastgw.gateway.snapshot import Network, Snapshot
from fastgw.gateway.split import TrafficSplit
from fastgw.model.messages import Reply
from fastgw.model.route import Route, Timeouts
from fastgw.policy import cors
from fastgw.policy.admission import Admission
from fastgw.policy.rewrite import compile_header_rewrite, compile_path_rewrite, with_removed
from fastgw.routing.table import build
from fastgw.upstream.options import UpstreamOptions

# Routes that are compiled between two yields; one takes about 10 us.
ROUTES_AT_ONCE = 20


def compile_snapshot(
    document: Document, version: int, previous: Snapshot | None
) -> Generator[None, None, Snapshot]:
    """A generator of steps well below a millisecond each; its return value is the snapshot.

    Raises ValueError for a document that passed validation and still does not compile: that is a defect of ours, and
    whoever runs this keeps the snapshot it has.
    """
    routes: dict[str, Route] = {}
    rules = []
    keys = _Keys(document)
    for number, (name, options) in enumerate(document.routes.items(), 1):
        key = keys.of(name, options)
        known = previous.routes.get(name) if previous is not None else None
        if known is not None and known.key == key:
            route = known
        else:
            route = compile_route(options, document.upstreams, document.base, key)
            bound = route.chain[0] if route.chain else None
            if known is not None and isinstance(bound, Admission):
                bound.succeed(known)
        routes[name] = route
        rules.append((options.match, route))
        if number % ROUTES_AT_ONCE == 0:
            yield
    table = yield from build(rules)
    trusted: tuple[Network, ...] = tuple(ip_network(cidr, strict=False) for cidr in document.base.trusted_proxies)
    upstreams = {
        name: _same(document, name, options, previous) for name, options in document.upstreams.items()
    }
    yield
    limits = gateway_limits(document.base)
    if previous is not None and _same_limits(document.base, previous.document.base):
        limits = previous.limits
    return Snapshot(document, version, table, routes, upstreams, trusted, limits)


def _same_limits(one: BaseOptions, other: BaseOptions) -> bool:
    return one.limits == other.limits and one.limits_defaults == other.limits_defaults


class _Keys:
    """What each compiled route depends on. What all have in common is written once: 80 ms for 10,000 routes."""

    __slots__ = ("_hashes", "_policies", "_server")

    def __init__(self, document: Document) -> None:
        base = document.base
        self._hashes = document.hashes
        self._server = f"{base.server.max_body}:{base.server.server_timing}"
        self._policies = f"{base.limits_defaults}:{base.api_keys}"

    def of(self, name: str, options: RouteOptions) -> str:
        hashes = self._hashes
        upstream = ",".join([hashes[f"upstream:{used}"] for used in _destinations(options)])
        policies = self._policies if options.limits or options.auth else ""
        return f"{hashes[f'route:{name}']}:{upstream}:{self._server}:{policies}"


def _destinations(options: RouteOptions) -> tuple[str, ...]:
    return tuple(options.split) if options.split else (options.upstream,) if options.upstream else ()


def _same(
    document: Document, name: str, options: UpstreamOptions, previous: Snapshot | None
) -> UpstreamOptions:
    """The previous object where nothing changed, so that the registry sees by identity what did."""
    if previous is not None:
        key = f"upstream:{name}"
        if previous.document.hashes.get(key) == document.hashes[key]:
            return previous.upstreams[name]
    return options


def compile_route(
    options: RouteOptions, upstreams: Mapping[str, UpstreamOptions], base: BaseOptions, key: str
) -> Route:
    server = base.server
    route = Route(options.name, key)
    route.max_body = server.max_body if options.max_body is None else options.max_body
    route.max_in_flight = options.max_in_flight or 0
    route.chain = tuple(check for build_check in REQUEST_POLICIES if (check := build_check(options, base)))
    if options.reply is not None:
        made = options.reply
        route.reply = Reply(
            Reason.OK, made.status, body=made.body.encode(), content_type=made.content_type.encode("latin-1")
        )
    rewrite = options.rewrite
    if rewrite is not None:
        route.path_rewrite = compile_path_rewrite(rewrite.path) if rewrite.path else None
        route.request_headers = compile_header_rewrite(rewrite.request_headers) if rewrite.request_headers else None
    answers = compile_header_rewrite(rewrite.response_headers) if rewrite and rewrite.response_headers else None
    route.response_headers = route.upstream_headers = answers
    stripped = cors.stripped(options.cors)
    if stripped:
        route.answers_preflight = True
        # The gateway speaks for the route: an upstream's own CORS fields would contradict it.
        route.upstream_headers = with_removed(answers, stripped)
    route.plain = route.upstream_headers is None and not server.server_timing
    if options.upstream:
        _forward_to(route, upstreams[options.upstream], options)
    elif options.split:
        route.split = _compile_split(route, upstreams, options, options.split)
    return route


def _compile_split(
    route: Route, upstreams: Mapping[str, UpstreamOptions], options: RouteOptions, weights: Mapping[str, int]
) -> TrafficSplit:
    """A route of its own for each part: deadlines, Host and bounds are its upstream's."""
    parts = []
    for name in weights:
        part = Route(route.name, route.key)
        part.path_rewrite = route.path_rewrite
        part.request_headers = route.request_headers
        _forward_to(part, upstreams[name], options)
        parts.append(part)
    return TrafficSplit(parts, list(weights.values()), options.sticky, options.name, random)


def _forward_to(route: Route, upstream: UpstreamOptions, options: RouteOptions) -> None:
    route.upstream = upstream.name
    route.preserve_host = upstream.preserve_host
    own, its = options.timeouts, upstream.timeouts
    route.timeouts = Timeouts(
        (own and own.connect) or its.connect,
        (own and own.response) or its.response,
        (own and own.idle) or its.idle,
        (own and own.total) or its.total or 0.0,
    )
    route.limited = upstream.max_in_flight is not None or bool(route.timeouts.total)
    route.rewrites = bool(route.path_rewrite or route.request_headers or not route.preserve_host)

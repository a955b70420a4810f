"""What a document says about where requests go, seen as a whole: routes, their upstreams, and the callers they know.

Contradictions refuse a document; doubts are for the operator to read, and the document is served all the same. What is
right or wrong within one block is in that block's options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fastgw.config.errors import shown
from fastgw.config.findings import Finding
from fastgw.config.paths import Path
from fastgw.gateway.document.options import RouteOptions
from fastgw.upstream.options import UpstreamOptions
from fastgw.upstream.place import literal

_BY_ADDRESS = (
    "so that every request goes by its client's address; add auth, or write client_ip or header:<name>"
)


def impossible_deadlines(
    upstreams: Mapping[str, UpstreamOptions], places: Mapping[str, int], routes: Mapping[str, RouteOptions]
) -> Iterator[Finding]:
    """Among upstreams and routes that are right by themselves; `places` are the routes' positions."""
    for name, upstream in upstreams.items():
        timeouts = upstream.timeouts
        if timeouts.total is not None and timeouts.total < timeouts.connect:
            yield _too_short(("upstreams", name, "timeouts", "total"), timeouts.total, timeouts.connect)
    for name, route in routes.items():
        finding = _route_deadlines(route, ("routes", places[name], "timeouts"), upstreams)
        if finding is not None:
            yield finding


def _route_deadlines(
    route: RouteOptions, path: Path, upstreams: Mapping[str, UpstreamOptions]
) -> Finding | None:
    """What a route says, and what it leaves to its upstreams. Once is enough, however many there are."""
    said = route.timeouts
    if said is None or (said.total is None and said.connect is None):
        return None
    for name in _names(route):
        upstream = upstreams.get(name)
        if upstream is None:
            continue
        total = upstream.timeouts.total if said.total is None else said.total
        connect = upstream.timeouts.connect if said.connect is None else said.connect
        if total is not None and total < connect:
            return _too_short((*path, "connect" if said.total is None else "total"), total, connect)
    return None


def _too_short(path: Path, total: float, connect: float) -> Finding:
    return Finding(
        path,
        f"the total time-out ({total:g}s) is shorter than the one to connect ({connect:g}s), which could never end an "
        "attempt; write a longer total, or a shorter connect",
    )


def destination_doubts(
    upstreams: Mapping[str, UpstreamOptions], places: Mapping[str, int], routes: Mapping[str, RouteOptions]
) -> Iterator[Finding]:
    """Of a document that is right."""
    reached: set[str] = set()
    recognised: set[str] = set()  # upstreams that a route with auth leads to
    for name, route in routes.items():
        reached.update(_names(route))
        if route.auth is not None:
            recognised.update(_names(route))
        elif route.sticky == "consumer":
            yield Finding(("routes", places[name], "sticky"), f"this route has no auth, {_BY_ADDRESS}")
    for name, upstream in upstreams.items():
        if upstream.hash_on == "consumer" and name in reached and name not in recognised:
            yield Finding(
                ("upstreams", name, "hash_on"), f"no route to this upstream has auth, {_BY_ADDRESS}"
            )
        if upstream.slow_start and _is_single(upstream):
            yield Finding(
                ("upstreams", name, "slow_start"),
                f"{shown(upstream.targets[0].url)} is the only target, so that it gets everything at once all the same; "
                "add another target, or remove slow_start",
            )


def _names(route: RouteOptions) -> Iterator[str]:
    if route.upstream is not None:
        yield route.upstream
    yield from route.split or ()


def _is_single(upstream: UpstreamOptions) -> bool:
    """One target with one address; a name may have several."""
    target = upstream.targets[0]
    return len(upstream.targets) == 1 and bool(target.unix_path or literal(target.host))

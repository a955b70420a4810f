"""The answer to "what would become of this request, and why", as plain values: the same offline and on a live gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastgw.clock import Clock
from fastgw.gateway.asked import Request
from fastgw.gateway.rehearsal import Rehearsal
from fastgw.gateway.rivals import rivals
from fastgw.gateway.snapshot import Snapshot
from fastgw.policy.auth.options import ApiKeysOptions


def explained(
    snapshot: Snapshot, clock: Clock, request: Request, keys: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """`keys` are control's last messages of that kind; without them a token of a `jwks_url` is `auth_unavailable`."""
    document = snapshot.document
    outcome = Rehearsal(snapshot, clock, keys).run(request)
    key_header = (document.base.api_keys or ApiKeysOptions()).header
    others = []
    if outcome.wanted is not None:
        others = rivals(document.routes, outcome.wanted, outcome.route, key_header)
    chosen = document.routes.get(outcome.route or "")
    return {
        "request": f"{request.method} {request.authority}{request.target}",
        **outcome.plain(),
        "match": None if chosen is None else _match(chosen.match.hosts, chosen.match.path, chosen.match.methods,
                                                    tuple(chosen.match.headers)),
        "targets": [] if not outcome.upstream else [
            {"url": target.url, "weight": target.weight} for target in document.upstreams[outcome.upstream].targets
        ],
        "others": [rival.plain() for rival in others],
    }  # fmt: skip


def _match(
    hosts: tuple[str, ...], path: str, methods: tuple[str, ...], headers: tuple[str, ...]
) -> dict[str, object]:
    """Of the route that was taken. Names of header fields only: a value may be a secret."""
    return {"hosts": list(hosts), "path": path, "methods": list(methods), "headers": list(headers)}

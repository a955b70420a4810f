"""`match` of a route, parsed: what the table is built from and what ties are found by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from fastgw.routing.hosts import ANY_HOST, HostPattern, parse_host
from fastgw.routing.paths import PathPattern, parse_path


class Match(Protocol):
    """What routing reads of a route's options."""

    @property
    def hosts(self) -> tuple[str, ...]: ...

    @property
    def path(self) -> str: ...

    @property
    def methods(self) -> tuple[str, ...]: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """`methods` holds HEAD wherever it holds GET, and is empty for any; `headers` are sorted by name."""

    hosts: tuple[HostPattern, ...]
    path: PathPattern
    methods: frozenset[bytes]
    headers: tuple[tuple[bytes, bytes], ...]


def parse_rule(match: Match) -> Rule:
    """Raises PatternError."""
    hosts = tuple(dict.fromkeys(parse_host(host) for host in match.hosts)) or (ANY_HOST,)
    methods = {method.encode("ascii") for method in match.methods}
    if b"GET" in methods:
        methods.add(b"HEAD")
    headers = sorted(
        (name.lower().encode("ascii"), value.encode("utf-8")) for name, value in match.headers.items()
    )
    return Rule(hosts, parse_path(match.path), frozenset(methods), tuple(headers))


def rule_of(match: Match) -> Rule:
    """The same, from a match that remembers it where it can. Of 10,000 routes parsing takes 150 ms, and one that did not
    change is the same object in the next document."""
    remembered: Rule | None = getattr(match, "rule", None)
    return parse_rule(match) if remembered is None else remembered

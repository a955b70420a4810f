"""The table that finds the route of a request: a host's paths, then the next host's (design section 11).

Lives here: the order among hosts, and building in small steps. May not: patterns and their precedence (hosts.py,
paths.py, leaf.py), the order as a list and ties (order.py, offered here as well).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Final, Generic, TypeVar

from fastgw.routing.errors import PatternError
from fastgw.routing.hosts import HostKind
from fastgw.routing.leaf import MethodNotAllowed, refusal
from fastgw.routing.order import find_ties, in_order
from fastgw.routing.paths import PathTable
from fastgw.routing.rule import Match, rule_of

__all__ = ["MethodNotAllowed", "PatternError", "RouteTable", "build", "find_ties", "in_order"]

T = TypeVar("T")

_DOT: Final = 0x2E
_BUILD_STEP: Final = 16  # host and path pairs added between two yields: 100 to 300 us


class RouteTable(Generic[T]):
    """Immutable once built. Free of reference cycles, so that dropping the last reference frees it."""

    __slots__ = ("_any", "_exact", "_wildcards")

    def __init__(self) -> None:
        self._exact: dict[bytes, PathTable[T]] = {}
        self._wildcards: dict[bytes, PathTable[T]] = {}
        self._any: PathTable[T] = PathTable()

    def find(
        self, host: bytes, method: bytes, path: bytes, fields: Mapping[bytes, bytes]
    ) -> T | MethodNotAllowed | None:
        """The route of a request; or 405; or None: 404.

        `host` is lower-case without port (b"" where there is none), `path` normalised, `fields` by lower-case name.
        A host of whose routes none matches the path leaves the request to the next one; a host that knows the path
        keeps it, whatever the method. 0.2 us exact, 0.5 us prefix, 0.7 us parameters, 1.2 us for a 404,
        3.5 us for a 405, whether there are 10 routes or 10,000."""
        paths = self._exact.get(host)
        if paths is not None:
            hit = paths.find(method, path, fields)
            if hit is not None:
                return hit
            leaves = paths.leaves(path)
            if leaves:
                return refusal(leaves, method)
        if self._wildcards:
            # The longest suffix first. A host has at most 127 dots (host.py bounds its length).
            at = host.find(b".") + 1
            while at:
                paths = self._wildcards.get(host[at:])
                if paths is not None:
                    hit = paths.find(method, path, fields)
                    if hit is not None:
                        return hit
                    leaves = paths.leaves(path)
                    if leaves:
                        return refusal(leaves, method)
                at = host.find(b".", at) + 1
        hit = self._any.find(method, path, fields)
        return hit if hit is not None else refusal(self._any.leaves(path), method)

    def find_preflight(self, host: bytes, method: bytes, path: bytes) -> T | MethodNotAllowed | None:
        """The route of a CORS preflight that asks for `method`: that of the request which it announces, as far as
        it is known. The header conditions of routes are ignored, since a preflight names no values. 2 to 6 us."""
        suffixes = [host[at + 1 :] for at, byte in enumerate(host) if byte == _DOT] if self._wildcards else []
        tables = [self._exact.get(host), *[self._wildcards.get(suffix) for suffix in suffixes], self._any]
        for paths in tables:
            leaves = [] if paths is None else paths.leaves(path)
            for leaf in leaves:
                hit = leaf.find_preflight(method)
                if hit is not None:
                    return hit
            if leaves:
                return refusal(leaves, method)
        return None

    def release(self) -> Iterator[None]:
        """Free a table that nobody looks into any more in steps well below 1 ms. It matches nothing afterwards."""
        for tables in (self._exact, self._wildcards):
            while tables:
                yield from tables.popitem()[1].release()
                yield
        yield from self._any.release()

    def _paths(self, kind: HostKind, name: bytes) -> PathTable[T]:
        match kind:
            case HostKind.EXACT:
                return self._exact.setdefault(name, PathTable())
            case HostKind.WILDCARD:
                return self._wildcards.setdefault(name, PathTable())
            case HostKind.ANY:
                return self._any


def build(rules: Iterable[tuple[Match, T]]) -> Generator[None, None, RouteTable[T]]:
    """A table in many small steps, each well below 1 ms. Raises PatternError, which a checked document never does."""
    table: RouteTable[T] = RouteTable()
    added = 0
    for match, route in rules:
        rule = rule_of(match)
        for host in rule.hosts:
            table._paths(host.kind, host.name).leaf(rule.path).add(rule.methods, rule.headers, route)
            added += 1
            if added % _BUILD_STEP == 0:
                yield
    return table

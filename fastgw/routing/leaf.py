"""The routes of one host and one path pattern, told apart by method and header conditions.

A lookup costs one hash for the method and one per set of header *names* that the routes here ask for, not one per
route. What may not live here: hosts and paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_NAMED: Final = 0
_UNNAMED: Final = 1


class MethodNotAllowed:
    """The path is known, the method is not: 405. `allow` is the value of the Allow field."""

    __slots__ = ("allow",)

    def __init__(self, allow: bytes) -> None:
        self.allow = allow


class _Group(Generic[T]):
    """Routes that ask for values of the same header fields: one hash finds the one that matches."""

    __slots__ = ("by_values", "first", "names", "plain", "rank")

    def __init__(self, rank: tuple[int, int], names: tuple[bytes, ...]) -> None:
        self.rank = rank
        self.names = names
        self.plain: T | None = None  # the route without header conditions, where `names` is empty
        self.by_values: dict[tuple[bytes | None, ...], T] = {}
        self.first: tuple[bytes, ...] | None = None  # the smallest of those values

    def put(self, values: tuple[bytes, ...], route: T) -> None:
        # The first of two that tie: a document with a tie is refused before it is compiled.
        if self.names:
            self.by_values.setdefault(values, route)
            if self.first is None or values < self.first:
                self.first = values
        elif self.plain is None:
            self.plain = route


class Leaf(Generic[T]):
    """Grows a route at a time, so that a leaf of 10,000 routes is built in small steps too."""

    __slots__ = ("_always", "_by_method", "_other", "_size")

    def __init__(self) -> None:
        self._by_method: dict[bytes, list[_Group[T]]] = {}
        self._other: list[_Group[T]] = []  # for a method that no route names
        self._size = 0
        # The only route of this leaf, where it takes everything: saves 0.15 us on the most common kind of route.
        self._always: T | None = None

    def add(self, methods: Iterable[bytes], headers: tuple[tuple[bytes, bytes], ...], route: T) -> None:
        """`methods` empty means any; `headers` are sorted by name."""
        names = tuple(name for name, _ in headers)
        values = tuple(value for _, value in headers)
        methods = tuple(methods)
        self._size += 1
        self._always = route if self._size == 1 and not methods and not names else None
        if methods:
            for method in methods:
                groups = self._by_method.setdefault(method, list(self._other))
                _group(groups, (_NAMED, -len(names)), names).put(values, route)
            return
        rank = (_UNNAMED, -len(names))
        known = any(group.names == names for group in self._other)
        group = _group(self._other, rank, names)
        group.put(values, route)
        if not known:
            for groups in self._by_method.values():
                _insert(groups, group)

    def find(self, method: bytes, fields: Mapping[bytes, bytes]) -> T | None:
        """The route, or None where the method or the fields fit none. 0.05 us for a leaf with one plain route."""
        if self._always is not None:
            return self._always
        for group in self._by_method.get(method, self._other):
            if group.names:
                hit = group.by_values.get(tuple([fields.get(name) for name in group.names]))
            else:
                hit = group.plain
            if hit is not None:
                return hit
        return None

    def find_preflight(self, method: bytes) -> T | None:
        """The route for a request with this method whose fields are not known yet: as if it met every condition. Of
        routes that only values tell apart, the one with the smallest: the order of the file is not kept in a
        document's parts, and every worker must say the same."""
        groups = self._by_method.get(method, self._other)
        if not groups:
            return None
        best = min((group for group in groups if group.rank == groups[0].rank), key=lambda group: group.names)
        return best.plain if best.first is None else best.by_values[best.first]

    def methods(self) -> Iterable[bytes] | None:
        """What its routes name; None where one of them takes any method."""
        return None if self._other else self._by_method.keys()


def refusal(leaves: Iterable[Leaf[T]], method: bytes) -> MethodNotAllowed | None:
    """What to say where the path matched these and none of their routes took the request: 405 if the method was the
    reason, None (404) if there are none or a route takes the method and only the header fields were wrong."""
    allowed: set[bytes] = set()
    for leaf in leaves:
        methods = leaf.methods()
        if methods is None:
            return None
        allowed.update(methods)
    return None if not allowed or method in allowed else MethodNotAllowed(b", ".join(sorted(allowed)))


def _group(groups: list[_Group[T]], rank: tuple[int, int], names: tuple[bytes, ...]) -> _Group[T]:
    for group in groups:
        if group.rank == rank and group.names == names:
            return group
    made: _Group[T] = _Group(rank, names)
    _insert(groups, made)
    return made


def _insert(groups: list[_Group[T]], group: _Group[T]) -> None:
    """Behind those of its own rank, so that the order of the file decides between equals."""
    at = len(groups)
    while at and groups[at - 1].rank > group.rank:
        at -= 1
    groups.insert(at, group)

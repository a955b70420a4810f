"""The document as an immutable value, and its parts: each upstream, each route and the rest can travel alone, as
canonical JSON named by a content hash.

No file is read here and nothing is cross-checked (load.py does both); what comes in parts was checked before.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final, TypeVar

import orjson

from fastgw.config.errors import Problem
from fastgw.gateway.document.options import BaseOptions, DocumentOptions, RouteOptions
from fastgw.upstream.options import UpstreamOptions

BASE: Final = "base"
ROUTE: Final = "route:"
UPSTREAM: Final = "upstream:"

Plain = dict[str, Any]
T = TypeVar("T")

_COPIED_AT_ONCE: Final = 100


class Document:
    """Immutable. Equal documents have equal hashes; the order of routes is no part of it, since precedence does not
    depend on it."""

    __slots__ = ("_parts", "_plain", "base", "hash", "hashes", "routes", "upstreams", "warnings")

    def __init__(
        self,
        base: BaseOptions,
        upstreams: Mapping[str, UpstreamOptions],
        routes: Mapping[str, RouteOptions],
        parts: Mapping[str, bytes],
        hashes: Mapping[str, str],
        digest: str,
        plain: Plain | None = None,
        warnings: tuple[Problem, ...] = (),
    ) -> None:
        self.base = base
        self.upstreams = upstreams
        self.routes = routes
        self.hashes = hashes
        self.hash = digest
        # What the operator should hear about a document that is right; known where it was checked.
        self.warnings = warnings
        self._parts = parts
        self._plain = plain

    @property
    def plain(self) -> Plain:
        """What the operator wrote, after expansion. Put together again from the parts where the document came in
        parts; not to be changed."""
        return self._plain if self._plain is not None else plain_from_parts(self._parts)

    def parts(self) -> dict[str, bytes]:
        return dict(self._parts)

    def part(self, key: str) -> Any:
        """One part as the operator wrote it, for whoever asks to change; None: there is none."""
        data = self._parts.get(key)
        return None if data is None else orjson.loads(data)

    def without_plain(self) -> Document:
        """For whoever keeps it: 10,000 routes written out are 25 MB that are seldom asked for."""
        return Document(self.base, self.upstreams, self.routes, self._parts, self.hashes, self.hash, None, self.warnings)


def split(plain: Plain, known: Mapping[str, bytes] = MappingProxyType({})) -> dict[str, bytes]:
    """The parts of a document whose shape was checked: mappings where mappings belong, each route with its name. `known`
    are those of this document that somebody made already."""
    rest = {key: value for key, value in plain.items() if key not in ("upstreams", "routes")}
    parts = {BASE: known.get(BASE) or canonical(rest)}
    for name, upstream in (plain.get("upstreams") or {}).items():
        key = UPSTREAM + name
        parts[key] = known.get(key) or canonical(upstream)
    for route in plain.get("routes") or ():
        key = ROUTE + route["name"]
        parts[key] = known.get(key) or canonical(route)
    return parts


def plain_from_parts(parts: Mapping[str, bytes]) -> Plain:
    plain: Plain = orjson.loads(parts[BASE])
    plain["upstreams"] = {
        key.removeprefix(UPSTREAM): orjson.loads(part)
        for key, part in parts.items()
        if key.startswith(UPSTREAM)
    }
    plain["routes"] = [orjson.loads(part) for key, part in parts.items() if key.startswith(ROUTE)]
    return plain


def canonical(part: Any) -> bytes:
    return orjson.dumps(part, option=orjson.OPT_SORT_KEYS)


def part_hash(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def document_hash(hashes: Mapping[str, str]) -> str:
    """10,000 parts: 4 ms."""
    return blake2b(
        "\n".join(f"{key} {hashes[key]}" for key in sorted(hashes)).encode(), digest_size=16
    ).hexdigest()


def base_from_part(data: bytes, tests: bool = True) -> BaseOptions:
    plain = orjson.loads(data)
    if not tests:
        plain.pop("tests", None)
    return BaseOptions.model_validate(plain)


def upstream_from_part(name: str, data: bytes) -> UpstreamOptions:
    return UpstreamOptions.model_validate({**orjson.loads(data), "name": name})


def route_from_part(name: str, data: bytes) -> RouteOptions:
    return RouteOptions.model_validate({**orjson.loads(data), "name": name})


def _copied(source: Mapping[str, T]) -> Generator[None, None, dict[str, T]]:
    """A copy in slices. The first one in a worker touches the count of every object that it shares with its parent, and
    each page of them is copied by the kernel: 33 ms for 10,000 routes in one go."""
    copy: dict[str, T] = {}
    for number, (key, value) in enumerate(source.items()):
        copy[key] = value
        if number % _COPIED_AT_ONCE == 0:
            yield
    return copy


def apply_parts(
    previous: Document | None, changes: Iterable[tuple[str, bytes | None]], digest: str, tests: bool = True
) -> Generator[None, None, Document]:
    """The document that `previous` becomes by these parts (None: the part is gone); yields after each part, so that
    a worker can do it in slices. `digest` is the hash of the outcome, which the sender knows. `tests` false: the base
    is without the document's tests, for who never runs them: a thousand would be a pause of 40 ms."""
    parts = yield from _copied(previous._parts if previous else {})
    hashes = yield from _copied(previous.hashes if previous else {})
    base = previous.base if previous else None
    upstreams = yield from _copied(previous.upstreams if previous else {})
    routes = yield from _copied(previous.routes if previous else {})
    for key, data in changes:
        kind, _, name = key.partition(":")
        if data is None:
            del parts[key], hashes[key]
            del (routes if kind == "route" else upstreams)[name]
        else:
            parts[key] = data
            hashes[key] = part_hash(data)
            if kind == "route":
                routes[name] = route_from_part(name, data)
            elif kind == "upstream":
                upstreams[name] = upstream_from_part(name, data)
            else:
                base = base_from_part(data, tests)
        yield
    if base is None:
        raise ValueError("a document without its base part")
    return Document(base, upstreams, routes, parts, hashes, digest)


__all__ = ["BaseOptions", "Document", "DocumentOptions", "RouteOptions", "UpstreamOptions"]

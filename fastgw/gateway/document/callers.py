"""What a document says about who may call, and how often, seen as a whole: issuers, consumers, limits.

Contradictions refuse a document; doubts are for the operator to read, and the document is served all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from fastgw.config.address import is_loopback
from fastgw.config.errors import shown, suggestion
from fastgw.config.findings import Finding
from fastgw.config.paths import Path
from fastgw.gateway.document.options import BaseOptions, RouteOptions
from fastgw.gateway.document.references import MARK, Clash, doubles, unknown

# What config.example.yaml shows: everybody knows them.
EXAMPLE_SECRET: Final = "development-only-secret-of-32-bytes!"
EXAMPLE_DIGEST: Final = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"

_TOO_EARLY: Final = (
    "nobody is authenticated before routing; write client_ip, route or header:<name>, "
    "or move it to a route with auth"
)


def contradictions(
    plain: dict[str, Any],
    places: Mapping[str, int],
    routes: Mapping[str, RouteOptions],
    checked: Collection[str] = (),
) -> Iterator[Finding]:
    """As `references`: consumers are looked at in whatever shape they are, routes where they are right by themselves.
    `checked`: routes whose limits are known to be right."""
    yield from doubles(plain.get("consumers"), ("consumers",), "consumer")
    yield from _consumers(plain)
    limits = plain.get("limits")
    yield from doubles(limits, ("limits",), "limit")
    for number, limit in _mappings(limits):
        path: Path = ("limits", number)
        if _needs_caller(limit.get("key")):
            yield Finding((*path, "key"), f"{shown(limit['key'])} is not known here: {_TOO_EARLY}")
        elif limit.get("tiers"):
            yield Finding((*path, "tiers"), f"tiers are not known here: {_TOO_EARLY}")
    entries = plain.get("routes")
    for number, entry in _mappings(entries):
        limits = entry.get("limits")
        if isinstance(limits, list) and len(limits) > 1:
            yield from doubles(limits, ("routes", number, "limits"), "limit of this route")
    for name, route in routes.items():
        if route.limits and name not in checked:
            yield from _limits(route, ("routes", places[name]))


def exposed(base: BaseOptions) -> Iterator[Finding]:
    """The example's own secrets, where others than this machine can use them."""
    reachable = next((item.address for item in base.listeners if not item.address.loopback), None)
    if reachable is None:
        return
    known = f"of the example, so everybody knows it, and {reachable} can be reached from other machines"
    for name, issuer in base.issuers.items():
        if issuer.secret == EXAMPLE_SECRET:
            yield Finding(("issuers", name, "secret"), f"this is the secret {known}; write a random one")
    for number, consumer in enumerate(base.consumers):
        if EXAMPLE_DIGEST in consumer.keys:
            place: Path = ("consumers", number, "keys", consumer.keys.index(EXAMPLE_DIGEST))
            yield Finding(place, f"this is the key {known}; make one with `fastgw token --api-key`")


def doubts(
    base: BaseOptions, places: Mapping[str, int], routes: Mapping[str, RouteOptions]
) -> Iterator[Finding]:
    """Of a document that is right."""
    for issuer, options in base.issuers.items():
        if _is_overheard(options.jwks_url):
            message = "who stands on the way can exchange keys that are fetched over http, and mint tokens; write https://"
            yield Finding(("issuers", issuer, "jwks_url"), message)
    tiers = _Words({consumer.tier for consumer in base.consumers if consumer.tier is not None})
    holders = _Holders(base)
    for name, route in routes.items():
        path: Path = ("routes", places[name])
        for number, limit in enumerate(route.limits):
            for tier in limit.tiers:
                if tier not in tiers.known:
                    hint = tiers.hint(tier) or "; give one a tier, or remove this line"
                    place = (*path, "limits", number, "tiers", tier)
                    yield Finding(place, f"no consumer is in the tier {shown(tier)}{hint}")
        yield from _unreachable(route, (*path, "auth"), holders)


def _is_overheard(url: str | None) -> bool:
    parts = urlsplit(url or "")
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


class _Words:
    """Words that exist, and the nearest to one that does not. Looked for once: thousands of routes may share it."""

    def __init__(self, known: set[str]) -> None:
        self.known = known
        self._hints: dict[str, str] = {}

    def hint(self, word: str) -> str:
        if word not in self._hints:
            self._hints[word] = suggestion(word, sorted(self.known))
        return self._hints[word]


class _Holders:
    """The consumers with keys, as sets of scopes."""

    def __init__(self, base: BaseOptions) -> None:
        self._sets = {frozenset(consumer.scopes) for consumer in base.consumers if consumer.keys}
        self.scopes = _Words({scope for scopes in self._sets for scope in scopes})
        self._whole: dict[tuple[str, ...], bool] = {}

    def __bool__(self) -> bool:
        return bool(self._sets)

    def one_has(self, scopes: tuple[str, ...]) -> bool:
        if scopes not in self._whole:
            self._whole[scopes] = any(held.issuperset(scopes) for held in self._sets)
        return self._whole[scopes]


def _unreachable(route: RouteOptions, path: Path, holders: _Holders) -> Iterator[Finding]:
    """Where only API keys count and none will do. (What a token brings is not known here.)"""
    auth = route.auth
    if auth is None or any(method.kind != "api_key" for method in auth.any):
        return
    if not holders:
        yield Finding((*path, "any"), "no consumer has a key, so every request is refused; "
                                      "make one with `fastgw token --api-key`, and list it under consumers")  # fmt: skip
        return
    missing = [scope for scope in auth.scopes if scope not in holders.scopes.known]
    for scope in missing:
        hint = holders.scopes.hint(scope) or "; give it to one"
        yield Finding((*path, "scopes"), f"no consumer with a key has the scope {shown(scope)}, "
                                         f"so every request is refused{hint}")  # fmt: skip
    if not missing and not holders.one_has(auth.scopes):
        yield Finding((*path, "scopes"), "no consumer with a key has all of these scopes, so every request is refused; "
                                         "give them to one")  # fmt: skip


def _consumers(plain: dict[str, Any]) -> Iterator[Finding]:
    issuers = plain.get("issuers")
    known = issuers.keys() if isinstance(issuers, dict) else ()
    keys: dict[str, Path] = {}
    pairs: dict[tuple[str, str], Path] = {}
    for number, consumer in _mappings(plain.get("consumers")):
        path: Path = ("consumers", number)
        listed = consumer.get("keys")
        for place, key in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(key, str):
                yield from _twice(keys, key, (*path, "keys", place), "this key")
        for place, pair in _mappings(consumer.get("subjects")):
            here: Path = (*path, "subjects", place)
            issuer, subject = pair.get("issuer"), pair.get("subject")
            if isinstance(issuer, str) and issuer not in known:
                yield unknown((*here, "issuer"), "issuer", issuer, known)
            elif isinstance(issuer, str) and isinstance(subject, str):
                yield from _twice(pairs, (issuer, subject), here, f"the subject {shown(subject)} of this issuer")


def _twice(seen: dict[Any, Path], what: Any, path: Path, words: str) -> Iterator[Clash]:
    other = seen.setdefault(what, path)
    if other is not path:
        yield Clash(path, f"{words} is listed before{MARK}; it can be one consumer's only", other)


def _limits(route: RouteOptions, path: Path) -> Iterator[Finding]:
    """What the limits of a route need of its authentication."""
    auth = route.auth
    for number, limit in enumerate(route.limits):
        place = (*path, "limits", number)
        if not _needs_caller(limit.key):
            if limit.tiers:
                yield Finding((*place, "tiers"), f"a limit by {limit.key} is decided before the caller's tier is known; "
                                                 "write key: consumer, or remove tiers")  # fmt: skip
        elif auth is None:
            yield Finding((*place, "key"), f"{shown(limit.key)} is never known on a route without auth; "
                                           "add auth, or write client_ip, route or header:<name>")  # fmt: skip
        elif limit.key.startswith("claim:") and not any(method.kind == "jwt" for method in auth.any):
            yield Finding((*place, "key"), "only a JWT has claims, and this route takes none; "
                                           "write consumer, or add jwt: <issuer> to auth.any")  # fmt: skip


def _needs_caller(key: object) -> bool:
    return isinstance(key, str) and (key == "consumer" or key.startswith("claim:"))


def _mappings(entries: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield number, entry

"""What one part of a document says about another: names that must exist, routes that must differ, prefixes that
must fit. What is right or wrong within one part is not known here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastgw.config.errors import shown, suggestion
from fastgw.config.findings import Finding
from fastgw.config.paths import Path
from fastgw.gateway.document.options import RouteOptions
from fastgw.http1.target import normalise_path
from fastgw.routing.errors import PatternError
from fastgw.routing.paths import PathPattern
from fastgw.routing.rule import rule_of
from fastgw.routing.table import find_ties

MARK: Final = "\0line\0"  # cannot stand in a file


@dataclass(frozen=True, slots=True)
class Clash(Finding):
    """A finding about two places; MARK in its message is where the line of `other` goes, if there are lines."""

    other: Path


def with_line(clash: Clash, line: int) -> str:
    return clash.message.replace(MARK, f" (line {line})")


def without_line(finding: Finding) -> str:
    return finding.message.replace(MARK, "")


def references(
    plain: dict[str, Any],
    places: Mapping[str, int],
    routes: Mapping[str, RouteOptions],
    checked: Collection[str] = (),
    names_stay: bool = False,
) -> Iterator[Finding]:
    """`routes` are those that are right by themselves, `places` their positions in the file. Names are looked up
    in every route, so that a mistake elsewhere in a route does not hide them. `checked`: routes that are as they were in
    a document that was right; `names_stay`: so are the names that it knew."""
    upstreams, issuers = _keys(plain, "upstreams"), _keys(plain, "issuers")
    entries = plain.get("routes")
    known = {places[name] for name in checked} if names_stay else ()
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict) and number not in known:
            yield from _names(entry, ("routes", number), upstreams, issuers)
    for name, route in routes.items():
        if name not in checked:
            yield from _paths(route, ("routes", places[name]))
    for one, other in find_ties(_rivals(routes, checked)):
        yield _tie(one, other, places)


def _rivals(routes: Mapping[str, RouteOptions], checked: Collection[str]) -> Iterable[RouteOptions]:
    """Those that can tie: only routes with one path do, and those that are checked never among each other. Of 10,000 with
    one changed this spares most of 60 ms."""
    if not checked:
        return routes.values()
    paths = {_pattern(route) for name, route in routes.items() if name not in checked}
    return [route for route in routes.values() if _pattern(route) in paths]


def _pattern(route: RouteOptions) -> PathPattern | None:
    try:
        return rule_of(route.match).path
    except PatternError:
        return None


def doubles(entries: Any, prefix: Path, what: str) -> Iterator[Finding]:
    """Entries of a list whose `name` another one has."""
    seen: dict[str, int] = {}
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            continue
        if name in seen:
            message = f"another {what} is named {shown(name)}{MARK}; give each its own name"
            yield Clash((*prefix, number, "name"), message, (*prefix, seen[name], "name"))
        else:
            seen[name] = number


def _keys(plain: dict[str, Any], key: str) -> Collection[str]:
    value = plain.get(key)
    return value.keys() if isinstance(value, dict) else ()


def _names(
    route: dict[str, Any], path: Path, upstreams: Collection[str], issuers: Collection[str]
) -> Iterator[Finding]:
    upstream, parts, auth = route.get("upstream"), route.get("split"), route.get("auth")
    if isinstance(upstream, str) and upstream not in upstreams:
        yield unknown((*path, "upstream"), "upstream", upstream, upstreams)
    for name in parts if isinstance(parts, dict) else ():
        if name not in upstreams:
            yield unknown((*path, "split", name), "upstream", name, upstreams)
    methods = auth.get("any") if isinstance(auth, dict) else None
    for number, method in enumerate(methods if isinstance(methods, list) else ()):
        issuer = method.get("jwt") if isinstance(method, dict) else None
        if isinstance(issuer, str) and issuer not in issuers:
            yield unknown((*path, "auth", "any", number), "issuer", issuer, issuers)


def strange_names(plain: dict[str, Any]) -> Iterator[Finding]:
    """Tests that expect a route or an upstream which there is not: they could never pass."""
    tests, routes = plain.get("tests"), plain.get("routes")
    if not isinstance(tests, list):
        return
    names = [each.get("name") for each in (routes if isinstance(routes, list) else ()) if isinstance(each, dict)]
    known: dict[str, Collection[str]] = {
        "route": {name: None for name in names if isinstance(name, str)}.keys(),
        "upstream": _keys(plain, "upstreams"),
    }
    for number, case in enumerate(tests):
        expect = case.get("expect") if isinstance(case, dict) else None
        for what, there in known.items():
            name = expect.get(what) if isinstance(expect, dict) else None
            if isinstance(name, str) and name not in there:
                yield unknown(("tests", number, "expect", what), what, name, there)


def unknown(path: Path, what: str, name: str, known: Collection[str]) -> Finding:
    there = suggestion(name, known) or f"; add it under {what}s"
    return Finding(path, f"there is no {what} {shown(name)}{there}")


def _tie(one: str, other: str, places: Mapping[str, int]) -> Clash:
    first, second = sorted((one, other), key=places.__getitem__)
    return Clash(
        ("routes", places[second], "match"),
        f"it takes the same requests as the route {shown(first)}{MARK}, and neither is more exact; "
        "give one of them another path, host, method or header, or remove it",
        ("routes", places[first], "match"),
    )


def _paths(route: RouteOptions, path: Path) -> Iterator[Finding]:
    try:
        rule_of(route.match)
    except PatternError as error:
        yield Finding((*path, "match"), str(error))
        return
    strip = route.rewrite.path.strip_prefix if route.rewrite and route.rewrite.path else None
    if strip is not None and not _begins_with(route.match.path, strip):
        yield Finding(
            (*path, "rewrite", "path", "strip_prefix"),
            f"not every path that {shown(route.match.path)} takes begins with {shown(strip)}; "
            "write the beginning of match.path",
        )


def _begins_with(pattern: str, prefix: str) -> bool:
    """Whether every path that the pattern takes begins with the prefix's whole segments, in any spelling."""
    literal = normalise_path((pattern.removesuffix("/*") or "/").encode())
    start = normalise_path(prefix.encode())
    return literal == start or literal.startswith(start + b"/")

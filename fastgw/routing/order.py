"""The order among routes (design section 11): the list that `check --routes` prints, and the pairs nothing orders.

The table itself (table.py) does not use this file; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import NamedTuple, Protocol, TypeVar

from fastgw.routing.errors import PatternError
from fastgw.routing.hosts import HostPattern
from fastgw.routing.paths import PathPattern
from fastgw.routing.rule import Match, Rule, rule_of


class Routed(Protocol):
    """What this file reads of a route's options."""

    @property
    def name(self) -> str: ...

    @property
    def match(self) -> Match: ...


R = TypeVar("R", bound=Routed)


def in_order(routes: Iterable[R]) -> list[R]:
    """By precedence. A route with several hosts stands where its most specific one puts it; equals keep their order."""
    ranked = [(_rank(rule_of(route.match)), index, route) for index, route in enumerate(routes)]
    ranked.sort(key=lambda entry: entry[:2])
    return [route for _, _, route in ranked]


def _rank(rule: Rule) -> tuple[object, ...]:
    host = min(host.rank() for host in rule.hosts)
    return (host, rule.path.rank(), not rule.methods, -len(rule.headers))


class _Entry(NamedTuple):
    place: int  # in the file
    name: str
    methods: frozenset[bytes]  # empty: any


# What two routes must share for nothing to order them: host, path, whether methods are named, how many header
# conditions. Then they tie if some request matches both.
_Bucket = tuple[HostPattern, PathPattern, bool, int]
_Names = tuple[bytes, ...]
_Values = tuple[bytes, ...]


def find_ties(routes: Iterable[Routed]) -> list[tuple[str, str]]:
    """Names of the pairs that nothing orders and where some request matches both, the earlier in the file first.
    A route whose `match` is wrong by itself is left out: that is an error of its own.

    Of many that tie each is paired with the first only. Linear in the number of routes, but for different sets of
    header names on one path, which are compared with each other."""
    buckets: dict[_Bucket, dict[_Names, dict[_Values, list[_Entry]]]] = {}
    for index, route in enumerate(routes):
        try:
            rule = rule_of(route.match)
        except PatternError:
            continue
        entry = _Entry(index, route.name, rule.methods)
        names = tuple(name for name, _ in rule.headers)
        values = tuple(value for _, value in rule.headers)
        for host in rule.hosts:
            bucket = buckets.setdefault((host, rule.path, bool(rule.methods), len(names)), {})
            bucket.setdefault(names, {}).setdefault(values, []).append(entry)
    pairs: set[tuple[_Entry, _Entry]] = set()
    for by_names in buckets.values():
        for by_values in by_names.values():
            for entries in by_values.values():
                pairs.update(_same_conditions(entries))
        for (names, one), (other_names, other) in combinations(by_names.items(), 2):
            pairs.update(_compatible_conditions(names, one, other_names, other))
    ordered = sorted(
        {(min(pair), max(pair)) for pair in pairs}, key=lambda pair: (pair[1].place, pair[0].place)
    )
    return [(first.name, second.name) for first, second in ordered]


def _same_conditions(entries: list[_Entry]) -> Iterable[tuple[_Entry, _Entry]]:
    """Equal header conditions: they tie where they share a method."""
    owners: dict[bytes, _Entry] = {}
    for entry in entries:
        for method in entry.methods or (b"",):
            owner = owners.setdefault(method, entry)
            if owner is not entry:
                yield owner, entry


def _compatible_conditions(
    names: _Names,
    one: Mapping[_Values, list[_Entry]],
    other_names: _Names,
    other: Mapping[_Values, list[_Entry]],
) -> Iterable[tuple[_Entry, _Entry]]:
    """Conditions on different fields: a request can fulfil both, unless a field they share needs two values."""
    shared = [name for name in names if name in other_names]
    ours, theirs = _by_projection(names, one, shared), _by_projection(other_names, other, shared)
    for values in ours.keys() & theirs.keys():
        yield from _first_rivals(ours[values], theirs[values])
        yield from _first_rivals(theirs[values], ours[values])


def _by_projection(
    names: _Names, conditions: Mapping[_Values, list[_Entry]], shared: list[bytes]
) -> dict[_Values, list[_Entry]]:
    """Routes by the values they want of the shared fields, each list in the order of the file."""
    found: dict[_Values, list[_Entry]] = {}
    for values, entries in conditions.items():
        found.setdefault(_project(names, values, shared), []).extend(entries)
    return {values: sorted(entries) for values, entries in found.items()}


def _first_rivals(entries: list[_Entry], rivals: list[_Entry]) -> Iterable[tuple[_Entry, _Entry]]:
    """Each with the first that it ties with: so that every later one is named, and the answer stays linear."""
    for entry in entries:
        rival = next((rival for rival in rivals if _share_a_method(entry, rival)), None)
        if rival is not None:
            yield entry, rival


def _project(names: _Names, values: _Values, wanted: list[bytes]) -> _Values:
    return tuple(value for name, value in zip(names, values, strict=True) if name in wanted)


def _share_a_method(one: _Entry, other: _Entry) -> bool:
    return not one.methods or not other.methods or not one.methods.isdisjoint(other.methods)

"""The printed order, and the pairs that nothing orders."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fastgw.routing.options import MatchOptions
from fastgw.routing.order import find_ties, in_order


@dataclass(frozen=True)
class Match:
    path: str = "/*"
    hosts: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    name: str
    match: Match | MatchOptions


def test_in_order() -> None:
    expected = [
        Route("exact host", Match(hosts=("a.example.com",))),
        Route("one of its hosts is exact", Match(hosts=("*.com", "b.example.com"))),
        Route("longer wildcard", Match(hosts=("*.example.com",))),
        Route("shorter wildcard", Match(hosts=("*.com",))),
        Route("exact path, method, two headers", Match("/a", methods=("GET",), headers={"x": "1", "y": "1"})),
        Route("exact path, method, header", Match("/a", methods=("GET",), headers={"x": "1"})),
        Route("exact path, method", Match("/a", methods=("GET",))),
        Route("exact path, header", Match("/a", headers={"x": "1"})),
        Route("exact path", Match("/a")),
        Route("parameter", Match("/{x}", methods=("GET",))),
        Route("longer prefix", Match("/a/b/*")),
        Route("prefix", Match("/a/*")),
        Route("prefix with a parameter", Match("/{x}/*")),
        Route("all, again", Match("/*")),
        Route("all", Match("/*")),
    ]
    reversed_but_for_equals = [*expected[:-2][::-1], *expected[-2:]]
    assert [route.name for route in in_order(reversed_but_for_equals)] == [route.name for route in expected]


TIES = [
    (Match("/a"), Match("/a")),
    (Match("/a/*"), Match("/a/*")),
    (Match("/a/{x}"), Match("/a/{y}")),
    (Match("/%61"), Match("/a")),
    (Match("/caf\u00e9"), Match("/caf%c3%a9")),
    (Match("/a", hosts=("h",)), Match("/a", hosts=("i", "H."))),
    (Match("/a", hosts=("*.h",)), Match("/a", hosts=("*.h",))),
    (Match("/a", methods=("GET",)), Match("/a", methods=("GET", "PUT"))),
    (Match("/a", methods=("GET",)), Match("/a", methods=("HEAD",))),
    (Match("/a", headers={"x": "1"}), Match("/a", headers={"X": "1"})),
    (Match("/a", headers={"x": "1"}), Match("/a", headers={"y": "1"})),
    (Match("/a", headers={"x": "1", "y": "1"}), Match("/a", headers={"y": "1", "z": "1"})),
]

NO_TIES = [
    (Match("/a"), Match("/b")),
    (Match("/a"), Match("/a/")),
    (Match("/a"), Match("/A")),
    (Match("/a"), Match("/a/*")),
    (Match("/a"), Match("/{x}")),
    (Match("/a/{x}"), Match("/{x}/a")),  # the first difference is a literal on one side
    (Match("/a/{x}"), Match("/a/*")),
    (Match("/a/*"), Match("/a/b/*")),
    (Match("/a/*"), Match("/{x}/*")),
    (Match("/a", hosts=("h",)), Match("/a")),
    (Match("/a", hosts=("h",)), Match("/a", hosts=("i",))),
    (Match("/a", hosts=("*.h",)), Match("/a", hosts=("*.g.h",))),
    (Match("/a", hosts=("*.h",)), Match("/a", hosts=("h",))),
    (Match("/a", methods=("GET",)), Match("/a", methods=("PUT",))),
    (Match("/a", methods=("GET",)), Match("/a")),
    (Match("/a", headers={"x": "1"}), Match("/a")),
    (Match("/a", headers={"x": "1"}), Match("/a", headers={"x": "2"})),
    (Match("/a", headers={"x": "1"}), Match("/a", headers={"x": "1", "y": "1"})),
    (Match("/a", headers={"x": "1", "y": "1"}), Match("/a", headers={"x": "2", "z": "1"})),
    (Match("/a", methods=("GET",), headers={"x": "1"}), Match("/a", methods=("PUT",), headers={"y": "1"})),
    (Match("/a", methods=("GET",)), Match("/a", headers={"x": "1"})),
]


@pytest.mark.parametrize(("one", "other"), TIES)
def test_a_tie_is_found(one: Match, other: Match) -> None:
    assert find_ties([Route("one", one), Route("other", other)]) == [("one", "other")]
    assert find_ties([Route("other", other), Route("one", one)]) == [("other", "one")]


@pytest.mark.parametrize(("one", "other"), NO_TIES)
def test_what_is_ordered_or_apart_is_no_tie(one: Match, other: Match) -> None:
    assert find_ties([Route("one", one), Route("other", other)]) == []
    assert find_ties([Route("other", other), Route("one", one)]) == []


def test_every_pair_is_named_once_and_in_the_order_of_the_file() -> None:
    routes = [
        Route("r0", Match("/b", hosts=("h", "i"))),
        Route("r1", Match("/a")),
        Route("r2", Match("/a")),
        Route("r3", Match("/b", hosts=("i", "h"))),
        Route("r4", Match("/a")),
    ]
    assert find_ties(routes) == [("r1", "r2"), ("r0", "r3"), ("r1", "r4")]


def test_every_later_route_of_many_is_named() -> None:
    one = [Route(f"x{number}", Match("/a", headers={"x": str(number)})) for number in range(3)]
    other = [Route(f"y{number}", Match("/a", headers={"y": str(number)})) for number in range(3)]
    assert find_ties([*one, *other]) == [
        (first, second)
        for second in ("y0", "y1", "y2")
        for first in (("x0", "x1", "x2") if second == "y0" else ("x0",))
    ]


def test_a_route_does_not_tie_with_itself() -> None:
    assert find_ties([Route("r", Match("/a", hosts=("h", "h."), methods=("GET", "HEAD")))]) == []


def test_a_route_that_is_wrong_by_itself_is_left_out() -> None:
    assert find_ties(
        [Route("bad", Match("/a/..;/b")), Route("one", Match("/a")), Route("other", Match("/a"))]
    ) == [("one", "other")]


def test_many_values_of_one_field_are_compared_by_hash() -> None:
    # Pair by pair this would be 12 million comparisons.
    routes = [Route(f"r{number}", Match("/a", headers={"x-tenant": str(number)})) for number in range(5000)]
    assert find_ties([*routes, Route("again", Match("/a", headers={"x-tenant": "4321"}))]) == [
        ("r4321", "again")
    ]


def test_the_options_of_the_document_fit() -> None:
    route = Route("r", MatchOptions(path="/a", methods=("GET",)))
    assert in_order([route]) == [route]
    assert find_ties([route, Route("s", MatchOptions(path="/a", methods=("HEAD",)))]) == [("r", "s")]

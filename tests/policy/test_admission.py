"""A route's bound on exchanges in flight: the last one in is served, the next one is refused."""

from __future__ import annotations

import sys

import pytest

from fastgw.errors import Reason
from fastgw.model.exchange import Exchange
from fastgw.model.route import Route
from fastgw.policy.admission import Admission, build


class Bound:
    def __init__(self, bound: int | None) -> None:
        self.max_in_flight = bound


def exchange(route: Route | None) -> Exchange:
    made = Exchange(None, b"GET", b"/", b"", False, 1.0, 0)
    made.route = route
    return made


@pytest.mark.parametrize(("in_flight", "served"), [(1, True), (3, True), (4, False), (100, False)])
def test_the_bound_includes_the_exchange_itself(in_flight: int, served: bool) -> None:
    route = Route("one", "")
    route.in_flight = in_flight
    reply = Admission(3).check(exchange(route), None)
    if served:
        assert reply is None
    else:
        assert reply is not None
        assert (reply.reason, reply.status, reply.rule) == (Reason.OVERLOADED, 503, "max_in_flight")
        assert reply.detail


def test_each_route_has_its_own_count() -> None:
    busy, quiet = Route("busy", ""), Route("quiet", "")
    busy.in_flight, quiet.in_flight = 9, 1
    admission = Admission(3)
    assert admission.check(exchange(busy), None) is not None
    assert admission.check(exchange(quiet), None) is None


def test_an_exchange_without_a_route_is_nobodys() -> None:
    assert Admission(1).check(exchange(None), None) is None


@pytest.mark.parametrize("bound", [None, 0])
def test_a_route_without_a_bound_has_no_policy(bound: int | None) -> None:
    assert build(Bound(bound)) is None


def test_a_route_with_a_bound_has_one() -> None:
    route = Route("one", "")
    admission = build(Bound(2))
    assert admission is not None
    route.in_flight = 2
    assert admission.check(exchange(route), None) is None
    route.in_flight = 3
    assert admission.check(exchange(route), None) is not None


def test_those_who_are_inside_by_what_the_route_was_count_until_they_end() -> None:
    oldest, old, new = Route("one", ""), Route("one", ""), Route("one", "")
    first, second, third = Admission(2), Admission(2), Admission(3)
    oldest.chain, old.chain, new.chain = (first,), (second,), (third,)
    oldest.in_flight = 1
    second.succeed(oldest)
    old.in_flight = 1
    third.succeed(old)
    new.in_flight = 1
    assert third.check(exchange(new), None) is None
    new.in_flight = 2
    assert third.check(exchange(new), None) is not None
    oldest.in_flight = 0
    assert third.check(exchange(new), None) is None
    old.in_flight = 0
    assert third.check(exchange(new), None) is None
    assert third._before == ()


def test_a_route_that_nobody_asks_for_does_not_hold_all_that_it_ever_was() -> None:
    def changed(before: Route | None) -> Route:
        route = Route("one", "")
        admission = Admission(2)
        route.chain = (admission,)
        if before is not None:
            admission.succeed(before)
        return route

    first = changed(None)
    held = sys.getrefcount(first)
    current = changed(first)
    assert sys.getrefcount(first) == held + 1
    for _ in range(3):
        current = changed(current)
    assert sys.getrefcount(first) == held

"""Methods and header conditions of the routes that share a host and a path."""

from __future__ import annotations

from itertools import permutations

import pytest

from fastgw.routing.leaf import Leaf, MethodNotAllowed, refusal

Condition = tuple[list[bytes], tuple[tuple[bytes, bytes], ...], str]

PLAIN: Condition = ([], (), "plain")
ONE: Condition = ([], ((b"x-a", b"1"),), "one header")
TWO: Condition = ([], ((b"x-a", b"1"), (b"x-b", b"2")), "two headers")
GET: Condition = ([b"GET", b"HEAD"], (), "get")
GET_ONE: Condition = ([b"GET", b"HEAD"], ((b"x-a", b"1"),), "get and one header")


def leaf(*conditions: Condition) -> Leaf[str]:
    made: Leaf[str] = Leaf()
    for methods, headers, name in conditions:
        made.add(methods, headers, name)
    return made


@pytest.mark.parametrize("order", list(permutations([PLAIN, ONE, TWO, GET, GET_ONE])))
def test_methods_first_then_more_conditions(order: tuple[Condition, ...]) -> None:
    made = leaf(*order)
    both = {b"x-a": b"1", b"x-b": b"2"}
    assert made.find(b"GET", both) == "get and one header"
    assert made.find(b"HEAD", both) == "get and one header"
    assert made.find(b"GET", {}) == "get"
    assert made.find(b"POST", both) == "two headers"
    assert made.find(b"POST", {b"x-a": b"1", b"x-b": b"3"}) == "one header"
    assert made.find(b"POST", {b"x-a": b"2"}) == "plain"
    assert made.find(b"POST", {}) == "plain"


@pytest.mark.parametrize("order", list(permutations([PLAIN, ONE, GET_ONE])))
def test_a_method_whose_conditions_fail_leaves_the_request_to_routes_of_any_method(
    order: tuple[Condition, ...],
) -> None:
    made = leaf(*order)
    assert made.find(b"GET", {b"x-a": b"1"}) == "get and one header"
    assert made.find(b"GET", {}) == "plain"
    assert leaf(*[condition for condition in order if condition is not PLAIN]).find(b"GET", {}) is None


@pytest.mark.parametrize("order", list(permutations([TWO, ONE, GET_ONE])))
def test_conditions_of_any_method_hold_for_a_named_one(order: tuple[Condition, ...]) -> None:
    without_get = [condition for condition in order if condition is not GET_ONE]
    put = ([b"PUT"], ((b"x-a", b"2"),), "put")
    for conditions in ([put, *without_get], [*without_get, put]):
        assert leaf(*conditions).find(b"PUT", {b"x-a": b"1", b"x-b": b"2"}) == "two headers"
        assert leaf(*conditions).find(b"PUT", {b"x-a": b"1"}) == "one header"
        assert leaf(*conditions).find(b"PUT", {b"x-a": b"2"}) == "put"


def test_a_named_method_is_the_only_one() -> None:
    made = leaf(GET)
    assert made.find(b"GET", {}) == "get"
    assert made.find(b"POST", {}) is None
    assert made.find(b"get", {}) is None


def test_conditions_are_exact_values() -> None:
    made = leaf(ONE)
    assert made.find(b"GET", {b"x-a": b"1"}) == "one header"
    for fields in ({}, {b"x-a": b"1 "}, {b"x-a": b"1, 1"}, {b"x-a": b""}, {b"X-A": b"1"}, {b"x-b": b"1"}):
        assert made.find(b"GET", fields) is None


def test_many_values_of_one_field_are_one_lookup() -> None:
    made: Leaf[int] = Leaf()
    for number in range(1000):
        made.add((), ((b"x-tenant", b"%d" % number),), number)
    assert made.find(b"GET", {b"x-tenant": b"777"}) == 777
    assert made.find(b"GET", {b"x-tenant": b"1000"}) is None
    assert len(made._other) == 1


def test_the_first_of_equals_wins() -> None:
    assert leaf(PLAIN, ([], (), "second")).find(b"GET", {}) == "plain"
    assert leaf(ONE, ([], ONE[1], "second")).find(b"GET", {b"x-a": b"1"}) == "one header"
    other_field: Condition = ([], ((b"x-b", b"2"),), "second")
    assert leaf(ONE, other_field).find(b"GET", {b"x-a": b"1", b"x-b": b"2"}) == "one header"
    assert leaf(other_field, ONE).find(b"GET", {b"x-a": b"1", b"x-b": b"2"}) == "second"


@pytest.mark.parametrize(
    ("leaves", "method", "allow"),
    [
        ([], b"GET", None),
        ([leaf(GET)], b"POST", b"GET, HEAD"),
        ([leaf(GET), leaf(([b"PUT"], (), "put"))], b"POST", b"GET, HEAD, PUT"),
        ([leaf(GET_ONE)], b"GET", None),  # the method is right, the field is not: 404
        ([leaf(GET_ONE)], b"POST", b"GET, HEAD"),
        ([leaf(ONE)], b"GET", None),
        ([leaf(GET), leaf(ONE)], b"POST", None),
    ],
)
def test_refusal(leaves: list[Leaf[str]], method: bytes, allow: bytes | None) -> None:
    answer = refusal(leaves, method)
    assert (answer.allow if isinstance(answer, MethodNotAllowed) else None) == allow


@pytest.mark.parametrize("order", list(permutations([PLAIN, ONE, TWO, GET, GET_ONE])))
def test_a_preflight_meets_every_condition(order: tuple[Condition, ...]) -> None:
    made = leaf(*order)
    assert made.find_preflight(b"GET") == "get and one header"
    assert made.find_preflight(b"HEAD") == "get and one header"
    assert made.find_preflight(b"PUT") == "two headers"


def test_a_preflight_for_a_method_that_nobody_takes() -> None:
    assert leaf(GET, GET_ONE).find_preflight(b"PUT") is None
    assert leaf().find_preflight(b"GET") is None
    assert leaf(PLAIN).find_preflight(b"BREW") == "plain"


@pytest.mark.parametrize(
    "order",
    list(permutations([(b"x-a", b"2", "a2"), (b"x-b", b"1", "b1"), (b"x-a", b"1", "a1")])),
)
def test_a_preflight_is_answered_alike_whatever_the_order(order: tuple[tuple[bytes, bytes, str], ...]) -> None:
    made = leaf(*(([], ((name, value),), route) for name, value, route in order))
    assert made.find_preflight(b"GET") == "a1"

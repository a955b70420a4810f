from __future__ import annotations

import pytest

from fastgw.control.tail import EVERYTHING, MOST_VALUES, Filters, WrongQuery, filters_of

EXCHANGE = {
    "route": "orders", "reason": "ok", "status": 200, "consumer": "ada", "upstream": "app", "method": "GET",
    "duration_ms": 100.0,
}  # fmt: skip


def test_an_empty_query_is_everything() -> None:
    assert filters_of([]) is EVERYTHING
    assert filters_of([("slower", "0s")]) is EVERYTHING
    assert EVERYTHING.want(EXCHANGE) and EVERYTHING.want({})


def test_each_key_may_come_more_than_once() -> None:
    query = [
        ("route", "a"), ("route", "b"), ("reason", "ok"), ("status", "503"), ("status", "4XX"), ("consumer", "ada"),
        ("upstream", "app"), ("method", "get"), ("slower", "1s"), ("slower", "250ms"),
    ]  # fmt: skip
    assert filters_of(query) == Filters(
        frozenset("ab"), frozenset({"ok"}), ((503, 503), (400, 499)), frozenset({"ada"}), frozenset({"app"}),
        frozenset({"GET"}), 0.25,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "fits", "not_so"),
    [
        ("route", "orders", "order"),
        ("reason", "ok", "rate_limited"),
        ("status", "200", "201"),
        ("status", "2xx", "5xx"),
        ("consumer", "ada", "Ada"),
        ("upstream", "app", "ap"),
        ("method", "get", "POST"),
        ("slower", "100ms", "101ms"),
    ],
)
def test_a_filter_lets_through_what_fits_and_nothing_else(key: str, fits: str, not_so: str) -> None:
    assert filters_of([(key, fits)]).want(EXCHANGE)
    assert not filters_of([(key, not_so)]).want(EXCHANGE)
    assert not filters_of([(key, fits)]).want({})
    assert filters_of([(key, not_so), (key, fits)]).want(EXCHANGE)


def test_every_key_must_fit() -> None:
    assert filters_of([("route", "orders"), ("status", "2xx")]).want(EXCHANGE)
    assert not filters_of([("route", "orders"), ("status", "5xx")]).want(EXCHANGE)


@pytest.mark.parametrize(
    ("query", "troubled"),
    [
        ([], False),
        ([("reason", "rate_limited")], True),
        ([("reason", "rate_limited"), ("reason", "ok")], False),
        ([("status", "4xx"), ("status", "500")], True),
        ([("status", "4xx"), ("status", "302")], False),
        ([("status", "2xx"), ("reason", "rate_limited")], True),
        ([("route", "orders")], False),
    ],
)
def test_what_lets_only_trouble_through_says_so(query: list[tuple[str, str]], troubled: bool) -> None:
    assert filters_of(query).troubled is troubled


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("rout", "x", 'did you mean "route"?'),
        ("zzzz", "x", "there is: route, reason"),
        ("route", "", "1 to 200 characters"),
        ("route", "x" * 201, "1 to 200 characters"),
        ("reason", "rate_limit", 'did you mean "rate_limited"?'),
        ("reason", "", "is no reason"),
        ("status", "700", "write a number as in 503, or a class as in 5xx"),
        ("status", "5x", "is no status"),
        ("status", "5xx\n", "is no status"),
        ("status", "50²", "is no status"),
        ("status", "", "is no status"),
        ("method", "", "1 to 200"),
        ("slower", "100", "write a number and a unit"),
        ("slower", "9" * 300 + "s", "write a number and a unit"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(key: str, value: str, said: str) -> None:
    with pytest.raises(WrongQuery) as caught:
        filters_of([(key, value)])
    (problem,) = caught.value.problems
    assert problem.path == key
    assert said in problem.message


def test_all_that_is_wrong_is_said_at_once() -> None:
    query = [("status", "x"), ("what", "x"), ("what", "y"), ("reason", "x"), *[("route", "r")] * (MOST_VALUES + 1)]
    with pytest.raises(WrongQuery) as caught:
        filters_of(query)
    assert sorted(problem.path for problem in caught.value.problems) == ["reason", "route", "status", "what"]


def test_what_no_route_took_goes_by_its_name_in_the_metrics() -> None:
    filters = filters_of([("route", "-")])
    assert filters.want({"route": None}) and not filters.want({"route": "orders"})

from __future__ import annotations

import pytest

from fastgw.gateway.document.masking import MASK
from fastgw.gateway.document.options import RouteOptions
from fastgw.gateway.rivals import BEHIND, LESS_EXACT, MOST, Wanted, rivals


def routes(*matches: dict[str, object]) -> dict[str, RouteOptions]:
    made = [
        RouteOptions.model_validate({"name": match.pop("name"), "match": match, "upstream": "u"})
        for match in map(dict, matches)
    ]
    return {route.name: route for route in made}


def near(
    known: dict[str, RouteOptions],
    path: str,
    chosen: str | None = None,
    method: str = "GET",
    host: str = "a",
    **fields: str,
) -> list[tuple[str, tuple[str, ...]]]:
    wanted = Wanted(
        method.encode(), host.encode(), path.encode(),
        {name.replace("_", "-").encode(): value.encode() for name, value in fields.items()},
    )  # fmt: skip
    return [(rival.route, rival.misses) for rival in rivals(known, wanted, chosen, "x-pass")]


KNOWN = routes(
    {"name": "rest", "path": "/*"},
    {"name": "orders", "path": "/orders/*"},
    {"name": "posts", "path": "/orders/*", "methods": ["POST"]},
    {"name": "next", "path": "/orders/*", "headers": {"x-version": "2"}},
    {"name": "shop", "path": "/orders/*", "hosts": ["shop.example.com", "*.shop.example.com"]},
    {
        "name": "far",
        "path": "/orders/{id}",
        "hosts": ["b"],
        "methods": ["POST"],
        "headers": {"x-version": "3"},
    },
    {"name": "else", "path": "/elsewhere"},
)


def test_what_takes_it_too_and_what_each_other_wants_the_nearest_first() -> None:
    assert near(KNOWN, "/orders/7", "orders") == [
        ("rest", (LESS_EXACT,)),
        ("shop", ("it wants the host shop.example.com or *.shop.example.com",)),
        ("posts", ("it wants the method POST",)),
        ("next", ('it wants the header x-version to be "2"',)),
        (
            "far",
            ("it wants the host b", "it wants the method POST", 'it wants the header x-version to be "3"'),
        ),
    ]


def test_what_is_met_is_no_miss() -> None:
    misses = dict(near(KNOWN, "/orders/7", "orders", "POST", "x.shop.example.com", x_version="2"))
    assert misses["posts"] == misses["next"] == misses["shop"] == (LESS_EXACT,)


def test_get_includes_head() -> None:
    known = routes({"name": "get", "path": "/x", "methods": ["GET"]})
    assert near(known, "/x", "other", "HEAD") == [("get", (LESS_EXACT,))]


def test_where_nothing_takes_the_path_what_looks_like_it() -> None:
    known = routes(
        {"name": "catalog", "path": "/catalog/*", "hosts": ["b"]}, {"name": "x", "path": "/something"}
    )
    assert near(known, "/catlog/7") == [("catalog", ("its path is /catalog/*", "it wants the host b"))]
    assert near(known, "/catlog/7", "x") == []
    assert near(known, "/zzz") == []


@pytest.mark.parametrize("name", ["x-pass", "x-token"])
def test_a_value_that_may_be_a_credential_is_not_shown(name: str) -> None:
    known = routes({"name": "inside", "path": "/x", "headers": {name: "hush"}})
    assert near(known, "/x") == [("inside", (f"it wants the header {name} to be {MASK}",))]


def test_the_list_is_bounded() -> None:
    known = routes(
        *({"name": f"r{number}", "path": "/x", "headers": {"x-n": str(number)}} for number in range(50))
    )
    assert len(near(known, "/x")) == MOST


def test_a_host_that_has_the_path_keeps_the_request() -> None:
    known = routes(
        {"name": "posts", "path": "/x", "hosts": ["a"], "methods": ["POST"]}, {"name": "any", "path": "/x"}
    )
    assert near(known, "/x") == [("any", (BEHIND,)), ("posts", ("it wants the method POST",))]

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fastgw.gateway.document.options import BaseOptions, DocumentOptions, RouteOptions


def test_the_document_is_the_base_with_upstreams_and_routes() -> None:
    assert set(DocumentOptions.model_fields) - set(BaseOptions.model_fields) == {"upstreams", "routes"}


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "it goes nowhere"),
        ({"upstream": "a", "reply": {"status": 200}}, "upstream and reply are given"),
        ({"upstream": "a", "split": {"a": 1}}, "upstream and split are given"),
        ({"upstream": "a", "sticky": "consumer"}, "no effect without split"),
        ({"reply": {"status": 200}, "timeouts": {"total": "1s"}}, "no effect on a reply"),
        (
            {"reply": {"status": 200}, "rewrite": {"path": {"add_prefix": "/a"}}},
            "only rewrite.response_headers",
        ),
        (
            {"reply": {"status": 200}, "rewrite": {"request_headers": {"remove": ["a"]}}},
            "only rewrite.response_headers",
        ),
        ({"upstream": "a", "max_in_flight": 0}, "whole number"),
        ({"upstream": "a", "timeouts": {"total": "0s"}}, "total is 0"),
    ],
)
def test_routes_that_are_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RouteOptions.model_validate({"name": "x", **options})
    assert hint in caught.value.errors()[0]["msg"]


def test_a_reply_can_have_its_headers_changed() -> None:
    headers = {"response_headers": {"set": {"a": "b"}}}
    assert RouteOptions.model_validate({"name": "x", "reply": {"status": 200}, "rewrite": headers}).rewrite


def test_a_route_without_match_takes_everything() -> None:
    for options in ({}, {"match": None}, {"match": {}}):
        route = RouteOptions.model_validate({"name": "x", "upstream": "a", **options})
        assert route.match.path == "/*"
        assert route.match.hosts == ()

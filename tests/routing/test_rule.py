"""From the options of a route to what routing works with."""

from __future__ import annotations

import pytest

from fastgw.routing.errors import PatternError
from fastgw.routing.hosts import ANY_HOST, parse_host
from fastgw.routing.options import MatchOptions
from fastgw.routing.paths import parse_path
from fastgw.routing.rule import parse_rule, rule_of


def test_the_options_of_the_document_are_what_a_rule_is_made_of() -> None:
    match = MatchOptions(
        hosts=("api.example.com", "*.shop.example.com"), path="/orders/*", methods=("GET", "PUT"),
        headers={"X-B": "2", "x-a": "1"},
    )  # fmt: skip
    rule = parse_rule(match)
    assert rule.hosts == (parse_host("api.example.com"), parse_host("*.shop.example.com"))
    assert rule.path == parse_path("/orders/*")
    assert rule.methods == {b"GET", b"HEAD", b"PUT"}
    assert rule.headers == ((b"x-a", b"1"), (b"x-b", b"2"))


def test_what_is_left_out_matches_everything() -> None:
    rule = parse_rule(MatchOptions())
    assert rule.hosts == (ANY_HOST,)
    assert rule.path == parse_path("/*")
    assert not rule.methods
    assert not rule.headers


def test_spellings_of_one_host_are_one() -> None:
    assert len(parse_rule(MatchOptions(hosts=("[::1]", "[0:0::1]"))).hosts) == 1


def test_what_can_match_nothing_is_refused() -> None:
    with pytest.raises(PatternError):
        parse_rule(MatchOptions(path="/a/%2e%2e/b"))


def test_a_match_remembers_its_rule_and_is_equal_all_the_same() -> None:
    one, other = MatchOptions(path="/a"), MatchOptions(path="/a")
    assert rule_of(one) is rule_of(one)
    assert rule_of(one) == rule_of(other) == parse_rule(one)
    assert one == MatchOptions(path="/a") and MatchOptions(path="/a") == one
    assert MatchOptions.model_validate(one.model_dump()) == one
    with pytest.raises(PatternError):
        rule_of(MatchOptions(path="/a/%2e%2e/b"))

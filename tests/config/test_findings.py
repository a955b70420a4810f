from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BeforeValidator, Field, ValidationError

from fastgw.config.errors import ConfigError
from fastgw.config.fields import FieldName, List, Text
from fastgw.config.findings import findings, keys_of, model_at, unknown_key
from fastgw.config.options import Options


class Leaf(Options):
    where: Text = Field(alias="url")
    size: Text = ""


class Branch(Options):
    leaves: List[Annotated[Leaf, BeforeValidator(lambda value: value)]] = ()
    named: dict[FieldName, Leaf] = Field({})
    maybe: Leaf | None = None
    pair: tuple[int, ...] = ()
    number: int = 0


class Tree(Options):
    branch: Branch


def messages(value: object) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(ValidationError) as caught:
        Tree.model_validate(value)
    return {finding.path: finding.message for finding in findings(caught.value, Tree, ())}


def test_unknown_keys_are_told_from_those_there_are() -> None:
    found = messages(
        {"branch": {"leafs": [], "leaves": [{"url": "x", "seize": ""}], "maybe": {"url": "x", "zzz": 1}}}
    )
    assert found == {
        ("branch", "leafs"): 'unknown key; did you mean "leaves"?',
        ("branch", "leaves", 0, "seize"): 'unknown key; did you mean "size"?',
        ("branch", "maybe", "zzz"): "unknown key; there is: url, size",
    }


def test_the_rest_in_our_own_words() -> None:
    found = messages(
        {"branch": {"leaves": [{}], "named": {"a b": {"url": "x"}, "c": 3}, "maybe": [], "pair": 3}}
    )
    assert found == {
        ("branch", "leaves", 0, "url"): "url is missing; write url: ...",
        ("branch", "named", "a b"): '"a b" is no header name; write letters, digits and dashes',
        ("branch", "named", "c"): "3 is not a mapping; write `key: value` lines with url, size",
        ("branch", "maybe"): "a list is not a mapping; write `key: value` lines with url, size",
        ("branch", "pair"): "3 is not a list; write [...] or one `- ` entry a line",
    }
    assert messages({}) == {("branch",): "branch is missing; write branch: {...}"}
    assert messages({"branch": {"named": 3}}) == {
        ("branch", "named"): "3 is not a mapping; write `key: value` lines"
    }


def test_words_of_pydantic_never_reach_the_operator() -> None:
    assert "fastgw schema" in messages({"branch": {"number": "x"}})["branch", "number"]


def test_the_prefix_is_the_place_of_what_was_validated() -> None:
    with pytest.raises(ValidationError) as caught:
        Leaf.model_validate({"url": "x", "sice": ""})
    (finding,) = findings(caught.value, Tree, ("branch", "leaves", 7))
    assert finding.path == ("branch", "leaves", 7, "sice")
    assert "size" in finding.message


def test_models_are_found_by_path() -> None:
    assert model_at(Tree, ()) is Tree
    assert model_at(Tree, ("branch", "leaves", 3)) is Leaf
    assert model_at(Tree, ("branch", "named", "any")) is Leaf
    assert model_at(Tree, ("branch", "maybe")) is Leaf
    assert model_at(Tree, ("branch", "leaves")) is None
    assert model_at(Tree, ("branch", "nothing")) is None
    assert model_at(Tree, ("branch", "number", "deeper")) is None
    assert keys_of(Leaf) == ["url", "size"]
    assert unknown_key(("nowhere", "x"), Tree).message == "unknown key"
    assert not issubclass(ConfigError, ValueError)  # pydantic would swallow it

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from fastgw.config.fields import Duration
from fastgw.config.options import Options, without_empty, written, wrong
from fastgw.config.quantities import parse_duration


class Inner(Options):
    wait: Duration = written("10s", parse_duration, "how long")
    names: dict[str, str] = Field({})


def test_defaults_are_typed_for_the_code_and_written_for_the_schema() -> None:
    assert Inner().wait == 10.0
    assert Inner.model_json_schema()["properties"]["wait"]["default"] == "10s"
    assert Inner.model_json_schema()["properties"]["wait"]["description"] == "how long"


def test_options_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Inner().wait = 3.0  # type: ignore[misc]  # that is what is tried


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Inner.model_validate({"weit": "10s"})


def test_words_with_braces_stay_as_they_are() -> None:
    assert wrong("write {a: ${B}}").message() == "write {a: ${B}}"


def test_without_empty() -> None:
    assert without_empty({"a": None, "b": None, "c": 1}, ("a", "c")) == {"b": None, "c": 1}
    same = {"a": 1}
    assert without_empty(same, ("a",)) is same
    assert without_empty("text", ("a",)) == "text"

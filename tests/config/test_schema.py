from __future__ import annotations

from typing import Annotated

from fastgw.config.fields import AddressField, Duration, Size, integer
from fastgw.config.options import Options, written
from fastgw.config.quantities import parse_duration
from fastgw.config.schema import json_schema


class Block(Options):
    wait: Duration = written("10s", parse_duration)
    size: Size | None = None


class Whole(Options):
    block: Block = Block()
    count: Annotated[int, *integer(1, 3)] = 2
    address: AddressField


def test_defaults_are_shown_as_they_are_written() -> None:
    schema = json_schema(Whole, "Title")
    assert schema["title"] == "Title"
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["properties"]["count"]["default"] == 2
    assert "default" not in schema["properties"]["block"]
    assert schema["$defs"]["Block"]["properties"]["wait"]["default"] == "10s"
    assert schema["required"] == ["address"]
    assert schema["additionalProperties"] is False


def test_a_variable_can_stand_for_any_number() -> None:
    choices = json_schema(Whole, "")["properties"]["count"]["anyOf"]
    assert {"type": "string", "pattern": r"\$\{"} in choices

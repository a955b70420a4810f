from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from fastgw.gateway.document.options import BaseOptions, DocumentOptions
from fastgw.gateway.document.schema import document_schema

EXAMPLE = Path(__file__).with_name("example.yaml")


def test_every_key_of_the_example_is_in_the_schema() -> None:
    schema = document_schema()
    with EXAMPLE.open() as file:
        unknown(yaml.safe_load(file), schema, schema, "")
    assert schema["required"] == ["listeners"]


def unknown(value: Any, part: dict[str, Any], schema: dict[str, Any], path: str) -> None:
    """Follows the example through the schema, and fails at the first key that is not there."""
    choices = [resolve(choice, schema) for choice in part.get("anyOf", [part])]
    if isinstance(value, dict):
        choice = next(
            choice for choice in choices if "properties" in choice or "additionalProperties" in choice
        )
        for key, item in value.items():
            inner = choice.get("properties", {}).get(key) or choice.get("additionalProperties")
            assert inner, f"{path}.{key}"
            if inner is not True:
                unknown(item, resolve(inner, schema), schema, f"{path}.{key}")
    elif isinstance(value, list):
        choice = next(choice for choice in choices if choice.get("type") == "array")
        for item in value:
            unknown(item, resolve(choice["items"], schema), schema, f"{path}[]")


def resolve(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    return part


def test_the_name_of_an_upstream_is_its_key() -> None:
    upstream = document_schema()["$defs"]["UpstreamOptions"]
    assert "name" not in upstream["properties"]
    assert upstream["required"] == ["targets"]


def test_what_is_not_built_is_marked() -> None:
    schema = document_schema()
    assert schema["properties"]["cache"]["deprecated"]
    assert "deprecated" not in schema["properties"]["tests"]
    route = schema["$defs"]["RouteOptions"]["properties"]
    assert route["cache"]["description"] == "not supported by this version"
    assert "deprecated" not in route["cors"]
    assert "deprecated" not in schema["properties"]["store"]
    assert "deprecated" not in schema["$defs"]["UpstreamOptions"]["properties"]["balance"]
    assert "deprecated" not in schema["properties"]["listeners"]


def test_defaults_that_are_written_differently_are_shown_as_written() -> None:
    properties = document_schema()["properties"]
    assert properties["workers"]["default"] == "auto"
    assert properties["store"]["default"] == "file:./.fastgw"
    assert set(properties) == set(DocumentOptions.model_fields) > set(BaseOptions.model_fields)

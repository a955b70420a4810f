"""The JSON Schema of a model, for editors: values as they are written, blocks that may be left empty."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, NoDefault
from pydantic_core import core_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _AsWritten(GenerateJsonSchema):
    """Defaults are typed values; only those that look the same in a file are shown as they are."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        value = super().get_default_value(schema)
        return value if isinstance(value, str | bool | int | float) else NoDefault


def json_schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema: JsonSchemaValue = model.model_json_schema(by_alias=True, schema_generator=_AsWritten)
    return {"$schema": DIALECT, **schema, "title": title}

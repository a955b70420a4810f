"""The JSON Schema of the whole configuration file."""

from __future__ import annotations

from typing import Any, Final

from fastgw.config.findings import model_at
from fastgw.config.schema import json_schema
from fastgw.gateway.document.options import DocumentOptions
from fastgw.gateway.document.unbuilt import ANY, UNBUILT

# Of these only some values are not supported.
PARTLY: Final = frozenset({ANY, "store", "balance"})


def document_schema() -> dict[str, Any]:
    schema = json_schema(DocumentOptions, "The configuration of fastgw")
    upstream = schema["$defs"]["UpstreamOptions"]
    # Its name is its key under `upstreams`.
    del upstream["properties"]["name"]
    upstream["required"] = [key for key in upstream["required"] if key != "name"]
    for pattern, _ in UNBUILT:
        _mark_unbuilt(schema, pattern)
    return schema


def _mark_unbuilt(schema: dict[str, Any], pattern: tuple[str, ...]) -> None:
    """Editors strike through what is deprecated: the nearest there is to `not supported`."""
    model = model_at(DocumentOptions, tuple(0 if step == ANY else step for step in pattern[:-1]))
    if model is None or pattern[-1] in PARTLY:
        return
    owner = schema if model is DocumentOptions else schema["$defs"][model.__name__]
    field = owner["properties"][pattern[-1]]
    field["deprecated"] = True
    field["description"] = "not supported by this version"

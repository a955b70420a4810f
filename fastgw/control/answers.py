"""What endpoints answer with, as responses and as Answers for the description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from fastgw.control.endpoints import Answer, Schema


def json_answer(value: object, status: int = 200, version: int | None = None) -> web.Response:
    """`version`: the ETag."""
    return body_answer(orjson.dumps(value), status, version)


def body_answer(body: bytes, status: int = 200, version: int | None = None) -> web.Response:
    fields = {} if version is None else {"ETag": tag(version)}
    return web.Response(status=status, body=body, content_type="application/json", headers=fields)


def tag(version: int) -> str:
    return f'"{version}"'


def is_known(request: web.Request, etag: str) -> bool:
    """Whether the caller has what the tag names (RFC 9110 13.1.2: a weak tag of the same is as good here)."""
    lines = request.headers.getall("If-None-Match", [])
    given = [each.strip().removeprefix("W/") for line in lines for each in line.split(",")]
    return etag in given or "*" in given


def unchanged(etag: str) -> web.Response:
    return web.Response(status=304, headers={"ETag": etag})


def object_of(properties: Mapping[str, Any], optional: tuple[str, ...] = (), open_: bool = False) -> Schema:
    """The schema of an object with all of `properties`, but for the optional ones, and with others only if it is
    open."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": open_,
    }


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def or_null(kind: str) -> Schema:
    return {"type": [kind, "null"]}


def found(description: str, schema: Schema, *, tagged: bool = False, status: int = 200) -> Answer:
    return Answer(status, description, schema, tagged=tagged)


NOT_MODIFIED = Answer(304, "what `If-None-Match` names is still current", None, "", tagged=True)
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
WORD: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
ANYTHING: Schema = {"description": "any JSON"}
ANY_OBJECT: Schema = {"type": "object"}

"""The description of the admin API (OpenAPI 3.1), made from the table of endpoints and the schema of the document.

Nothing is said here about a single call: that stands at its entry.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import Any, Final

from fastgw import __version__
from fastgw.control.answers import object_of
from fastgw.control.endpoints import NEVER, PROBLEM, REQUIRED, Answer, Endpoint, Query
from fastgw.gateway.document.schema import document_schema

ABOUT: Final = """\
Publish, roll back, and see why. A change needs the ETag of what it builds on in `If-Match`, and is in force when \
every worker serves its version. Secrets never come back out: they are masked, and a masked value sent back means \
unchanged. Every error is a problem (RFC 9457) whose `reason` is one token; where several things are wrong, `errors` \
lists all of them.

A bearer token is needed where `admin.token` is set, and a web page of another origin gets nothing.\
"""

_MEANINGS: Final = {
    400: "malformed",
    401: "the bearer token is missing or wrong",
    403: "the request comes from a foreign page, or its Host is not ours",
    404: "there is no such thing",
    408: "the body came too slowly",
    409: "something else stands against it",
    412: "somebody else published first; the ETag is the one to build on now",
    413: "the body is too large",
    415: "the content type is not one of these",
    422: "well formed, but not right; `errors` says everything that is wrong",
    428: "If-Match is needed",
    503: "not now; the detail says why",
}

_PROBLEM: Final = object_of(
    {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string"},
        "version": {"type": "integer", "description": "the version that is current"},
        "errors": {
            "type": "array",
            "items": object_of(
                {
                    "path": {"type": "string", "description": "where, as in routes[2].match.path; empty: the whole"},
                    "message": {"type": "string", "description": "what is wrong, and what would be right"},
                    "file": {"type": "string"},
                    "line": {"type": "integer"},
                },
                optional=("file", "line"),
            ),
        },
    },
    optional=("version", "errors"),
    open_=True,
)

# What is one part of a document, by the name of its options.
_PARTS: Final = {"Route": "RouteOptions", "Upstream": "UpstreamOptions", "Consumer": "ConsumerOptions"}


def description(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "fastgw admin API", "version": __version__, "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "`admin.token`"}},
        },
        # Either: on a loopback address without a token, nothing is needed.
        "security": [{}, {"token": []}],
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _identifier(endpoint),
        "summary": endpoint.summary,
        "tags": [endpoint.group],
        "responses": _responses(endpoint),
    }
    parameters = [*_path_parameters(endpoint), *map(_parameter, endpoint.query), *_precondition(endpoint)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": endpoint.body.needed,
            "content": {kind: {"schema": dict(endpoint.body.schema)} for kind in endpoint.body.kinds},
        }
    return operation


def _identifier(endpoint: Endpoint) -> str:
    words = re.findall(r"[a-z]+", endpoint.path.removeprefix("/api"))
    return "_".join([endpoint.method.lower(), *words])


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}, "example": "orders"}
        for name in re.findall(r"\{([a-z]+)\}", endpoint.path)
    ]


def _parameter(query: Query) -> dict[str, Any]:
    schema = dict(query.schema)
    return {
        "name": query.name,
        "in": "query",
        "description": query.description,
        "schema": {"type": "array", "items": schema} if query.repeated else schema,
    }


def _precondition(endpoint: Endpoint) -> list[dict[str, Any]]:
    if endpoint.if_match == NEVER:
        return []
    return [
        {
            "name": "If-Match",
            "in": "header",
            "required": endpoint.if_match == REQUIRED,
            "description": "the ETag that this builds on, or *",
            "schema": {"type": "string", "pattern": r'^(\*|"[0-9]{1,18}")$', "examples": ['"7"', "*"]},
        }
    ]


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for answer in endpoint.answers:
        known = responses.setdefault(str(answer.status), {"description": answer.description})
        _add(known, answer)
    for status in sorted(_refusals(endpoint)):
        problem = {"description": _MEANINGS[status], "content": {PROBLEM: {"schema": _ref("Problem")}}}
        if status == 412:
            problem["headers"] = _ETAG
        elif status == 401:
            problem["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}
        responses.setdefault(str(status), problem)
    return responses


_ETAG: Final = {"ETag": {"description": "the document's version", "required": True, "schema": {"type": "string"}}}


def _add(known: dict[str, Any], answer: Answer) -> None:
    if answer.kind:
        content = {"schema": dict(answer.schema)} if answer.schema is not None else {"schema": {"type": "string"}}
        known.setdefault("content", {})[answer.kind] = content
    if answer.tagged:
        known["headers"] = _ETAG


def _refusals(endpoint: Endpoint) -> set[int]:
    """The query alone can be wrong everywhere: unknown parameters are refused."""
    refusals = {401, 403, 422, *endpoint.refusals}
    if endpoint.method != "GET":
        refusals |= {400, 408, 413, 415, 503}
    if endpoint.if_match != NEVER:
        refusals |= {400, 412}
    if endpoint.if_match == REQUIRED:
        refusals.add(428)
    return refusals


def _schemas() -> dict[str, Any]:
    document = document_schema()
    schemas: dict[str, Any] = dict(document.pop("$defs"))
    del document["$schema"]
    schemas["Document"] = document
    for name, options in _PARTS.items():
        part = copy.deepcopy(schemas[options])
        part["properties"]["name"] = {"type": "string", "description": "the name in the path, or absent"}
        part["required"] = [key for key in part.get("required", ()) if key != "name"]
        schemas[name] = part
    schemas = _moved(schemas)
    # Where a secret was, a mask may stand that the strict schema does not know.
    for name in ("Document", *_PARTS):
        words = "As " + name + ", with secrets masked."
        schemas[f"Shown{name}"] = {"type": "object", "description": words}
    schemas["Problem"] = _PROBLEM
    return schemas


def _moved(value: Any) -> Any:
    """The schema of the document has its parts under $defs, OpenAPI under components."""
    if isinstance(value, dict):
        return {
            key: each.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else _moved(each)
            for key, each in value.items()
        }
    return [_moved(each) for each in value] if isinstance(value, list) else value


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}



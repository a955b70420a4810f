"""The head of a request, read by what its endpoint says of it: kind of content, query, `If-Match`. All that is wrong with
the query is said at once. (Bodies are in bodies.py.)
"""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import web

from fastgw.control.endpoints import NEVER, REQUIRED, Body, Endpoint, Query, Unacceptable

# RFC 9110 8.8.3, and of tags only those that are versions can be ours.
_TAG: Final = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# As it is written in an ETag: "07" is another tag than "7".
_VERSION: Final = re.compile(r"0|[1-9][0-9]{0,17}")
# What is undone before a body is read.
_CODINGS: Final = ("gzip", "deflate", "identity")
# What no version has.
_NO_VERSION: Final = -1


def changes(request: web.Request) -> bool:
    return request.method not in ("GET", "HEAD")


def check_kind(request: web.Request, endpoint: Endpoint) -> None:
    """A form of a foreign page can send text/plain, but not JSON. (DELETE is no method that a form has, and a page
    would have to ask first, which is 405 here; so where it has no body it needs no type.)"""
    if not changes(request) or (endpoint.body is None and not request.body_exists and request.method == "DELETE"):
        return
    kinds = endpoint.body.kinds if endpoint.body else Body({}).kinds
    if request.content_type not in kinds or "Content-Type" not in request.headers:
        raise Unacceptable(415, "unsupported_media_type", f"Content-Type: {' or '.join(kinds)} is needed")
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in _CODINGS:
        detail = f"Content-Encoding: one of {', '.join(_CODINGS)} can be read, or leave it away"
        raise Unacceptable(415, "unsupported_media_type", detail, (), {"Accept-Encoding": "gzip, deflate"})


def read_query(request: web.Request, endpoint: Endpoint) -> dict[str, Any]:
    """The values of those parameters that are given; of repeated ones, a list."""
    known = {each.name: each for each in endpoint.query}
    values: dict[str, Any] = {}
    errors: list[tuple[str, str]] = []
    for name in dict.fromkeys(request.query):
        given = request.query.getall(name)
        query = known.get(name)
        if query is None:
            there = f"there are {', '.join(known)}" if known else "this call has none"
            errors.append((f"query.{name[:60]}", f"there is no such parameter; {there}"))
            continue
        if len(given) > 1 and not query.repeated:
            errors.append((f"query.{name}", "this is given twice; give it once"))
            continue
        read = [_value(query, each, errors) for each in given]
        values[name] = read if query.repeated else read[0]
    if errors:
        raise Unacceptable(422, "invalid_query", "The query is not right", tuple(errors))
    return values


def _value(query: Query, text: str, errors: list[tuple[str, str]]) -> object:
    try:
        return query.read(text)
    except ValueError as error:
        errors.append((f"query.{query.name}", str(error)))
        return None


def read_if_match(request: web.Request, endpoint: Endpoint, current: int) -> int | None:
    """The version that the caller builds on; None: any. Of several, the current one if it is among them."""
    if endpoint.if_match == NEVER:
        return None
    lines = request.headers.getall("If-Match", [])
    if not lines:
        if endpoint.if_match == REQUIRED:
            raise Unacceptable(
                428,
                "precondition_required",
                "If-Match is needed: the ETag of what this change builds on, or * for whatever is there now",
            )
        return None
    tags = [tag.strip() for line in lines for tag in line.split(",")]
    if tags == ["*"]:
        return None
    if not all(_TAG.fullmatch(tag) for tag in tags):
        raise Unacceptable(400, "bad_request", 'If-Match is * or an ETag in its quotes, as in "7"')
    # A weak tag never matches here (RFC 9110 13.1.1).
    versions = [_version(tag) for tag in tags]
    return current if current in versions else versions[0]


def _version(tag: str) -> int:
    text = tag[1:-1]
    return int(text) if tag.startswith('"') and _VERSION.fullmatch(text) else _NO_VERSION

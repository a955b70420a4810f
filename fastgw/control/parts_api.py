"""The calls about one route, upstream or consumer: read, put, patch, delete; and the lists of routes and consumers.

A part has no version of its own: its ETag is the document's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from fastgw.config.errors import ConfigError, Problem, suggestion
from fastgw.config.paths import text_of
from fastgw.control.answers import (
    ANY_OBJECT,
    INTEGER,
    NOT_MODIFIED,
    WORD,
    body_answer,
    found,
    is_known,
    list_of,
    object_of,
    or_null,
    tag,
    unchanged,
)
from fastgw.control.changing import CREATED, DONE, LATE, PARAMETERS, Changing
from fastgw.control.endpoints import JSON, MERGE_PATCH, REQUIRED, Body, Call, Endpoint, Schema, Unacceptable
from fastgw.control.outcome import EditRefused
from fastgw.control.parts import CONSUMERS, ROUTES, UPSTREAMS, Kind, patched
from fastgw.control.problems import errors, problem
from fastgw.control.published import History, Published
from fastgw.control.publisher import Publisher
from fastgw.gateway.document.masking import masked
from fastgw.gateway.document.model import Document, Plain

_SCHEMAS: Final = {ROUTES: "Route", UPSTREAMS: "Upstream", CONSUMERS: "Consumer"}
# Names among which the nearest to a wrong one is looked for.
_SEARCHED: Final = 500
_POLICIES: Final = ("ip_access", "cors", "auth", "limits", "cache", "rewrite")

Line = Callable[[str, Plain, Document], Plain]

_ROUTE_LINE: Schema = object_of(
    {"name": WORD, "match": ANY_OBJECT, "to": list_of(WORD), "reply": or_null("integer"), "policies": list_of(WORD)}
)
_CONSUMER_LINE: Schema = object_of(
    {"name": WORD, "tier": or_null("string"), "scopes": list_of(WORD), "keys": INTEGER, "subjects": INTEGER}
)


@dataclass(frozen=True, slots=True)
class PartsApi:
    history: History
    publisher: Publisher
    changing: Changing

    def endpoints(self) -> tuple[Endpoint, ...]:
        lists = (
            _list(ROUTES, self._routes, _ROUTE_LINE, "Every route: what it matches, where it goes, what it checks."),
            _list(CONSUMERS, self._consumers, _CONSUMER_LINE, "Every consumer, without its keys."),
        )
        return (*lists, *(each for kind in _SCHEMAS for each in OfKind(self, kind).endpoints()))

    async def _routes(self, call: Call) -> web.Response:
        return await self._listed(call, ROUTES, _route_line)

    async def _consumers(self, call: Call) -> web.Response:
        return await self._listed(call, CONSUMERS, _consumer_line)

    async def _listed(self, call: Call, kind: Kind, line: Line) -> web.Response:
        current = self.history.current
        if is_known(call.request, tag(current.version)):
            return unchanged(tag(current.version))
        # 10,000 routes take 0.2 s.
        body = await asyncio.to_thread(_listing, current, kind, line)
        return body_answer(body, version=current.version)


@dataclass(frozen=True, slots=True)
class OfKind:
    api: PartsApi
    kind: Kind

    def endpoints(self) -> tuple[Endpoint, ...]:
        word, group = self.kind.word, self.kind.key
        path = f"/api/{group}/{{name}}"
        name = _SCHEMAS[self.kind]
        schema: Schema = {"$ref": f"#/components/schemas/{name}"}
        shown: Schema = {"$ref": f"#/components/schemas/Shown{name}"}
        patch = Body(ANY_OBJECT, (MERGE_PATCH, JSON))
        return (
            Endpoint(
                "GET", path, self._get, f"One {word}, with secrets masked.",
                (found(f"the {word}", shown, tagged=True), NOT_MODIFIED), refusals=(404,), group=group,
            ),
            Endpoint(
                "PUT", path, self._put, f"Publish a document with this {word} in the place of the one of its name.",
                (DONE, CREATED, LATE), PARAMETERS, Body(schema), REQUIRED, (503,), group, True,
            ),
            Endpoint(
                "PATCH", path, self._patch, f"Change some keys of one {word} (RFC 7396: null takes one away).",
                (DONE, LATE), PARAMETERS, patch, REQUIRED, (404, 503), group, True,
            ),
            Endpoint(
                "DELETE", path, self._delete, f"Publish a document without this {word}.",
                (DONE, LATE), PARAMETERS, None, REQUIRED, (404, 409, 503), group, True,
            ),
        )  # fmt: skip

    async def _get(self, call: Call) -> web.Response:
        current = self.api.history.current
        part = self.kind.of(current.document, call.name)
        if part is None:
            return problem(404, "not_found", self._missing(self.kind.names(current.document), call.name))
        etag = tag(current.version)
        if is_known(call.request, etag):
            return unchanged(etag)
        keys = current.document.base.api_keys
        shown = self.kind.shown(call.name, part, None if keys is None else {"header": keys.header})
        return body_answer(orjson.dumps(shown), version=current.version)

    async def _put(self, call: Call) -> web.Response:
        part = self._body(call)
        return await self._edit(call, lambda plain: self.kind.with_part(plain, call.name, part))

    async def _patch(self, call: Call) -> web.Response:
        patch = self._body(call)

        def change(plain: Plain) -> Plain:
            return self.kind.with_part(plain, call.name, patched(self._required(plain, call.name), patch))

        return await self._edit(call, change)

    async def _delete(self, call: Call) -> web.Response:
        def change(plain: Plain) -> Plain:
            self._required(plain, call.name)
            return self.kind.without(plain, call.name)

        try:
            return await self._edit(call, change)
        except ConfigError as error:
            # There is no body that could be wrong: something else builds on it.
            detail = f"The {self.kind.word} {call.name} is needed; change what names it first"
            return problem(409, "in_use", detail, errors=errors(error.problems))

    async def _edit(self, call: Call, change: Callable[[Plain], Plain]) -> web.Response:
        created = False
        place: tuple[str | int, ...] = ()

        def noted(plain: Plain) -> Plain:
            nonlocal created, place
            created = self.kind.find(plain, call.name) is None
            changed = change(plain)
            if self.kind.find(changed, call.name) is not None:
                place = self.kind.place(changed, call.name)
            return changed

        try:
            outcome = await self.api.publisher.edit(
                noted,
                by=call.by,
                note=call.query.get("note", ""),
                expected=call.expected,
                dry_run=call.query.get("dry_run", False),
                what=f"{call.request.method.lower()} {self.kind.word} {call.name[:64]}",
            )
        except ConfigError as error:
            raise ConfigError(_inside(error, text_of(place))) from None
        return await self.api.changing.answer(call, outcome, created=created)

    def _body(self, call: Call) -> Plain:
        """An object whose name, if it has one, is the one in the path."""
        body: Any = call.body
        if not isinstance(body, dict):
            message = f"the body is an object: the {self.kind.word}"
            raise Unacceptable(422, "invalid_document", "T" + message[1:], (("", message),))
        if body.get("name", call.name) != call.name:
            message = f"a {self.kind.word} keeps its name, which is {call.name[:64]} in the path; leave it away"
            raise Unacceptable(422, "invalid_document", "The name is another one than in the path", (("name", message),))
        return body

    def _required(self, plain: Plain, name: str) -> Plain:
        part = self.kind.find(plain, name)
        if part is None:
            names = [known for known, _ in self.kind.all(plain)]
            raise EditRefused(404, "not_found", self._missing(names, name))
        return part

    def _missing(self, names: list[str], name: str) -> str:
        # Looking for the nearest of 10,000 takes a third of a second.
        near = suggestion(name[:64], names) if len(names) <= _SEARCHED else ""
        return f"There is no {self.kind.word} {name[:64]}{near}"


def _inside(error: ConfigError, place: str) -> list[Problem]:
    """Places in the part that was sent, as its sender sees them; others as they are in the document."""
    found = []
    for each in error.problems:
        path = each.path
        if place and path.startswith(place) and path[len(place) : len(place) + 1] in ("", ".", "["):
            path = path[len(place) :].removeprefix(".")
        found.append(Problem(each.file, each.line, path, each.message))
    return found


def _list(kind: Kind, handler: Any, line: Schema, summary: str) -> Endpoint:
    listed = object_of({"version": INTEGER, kind.key: list_of(line)})
    answers = (found(f"all {kind.key}", listed, tagged=True), NOT_MODIFIED)
    return Endpoint("GET", f"/api/{kind.key}", handler, summary, answers, group=kind.key)


def _listing(current: Published, kind: Kind, line: Line) -> bytes:
    document = current.document
    lines = [line(name, part, document) for name, part in kind.all(masked(document.plain))]
    return orjson.dumps({"version": current.version, kind.key: lines})


def _route_line(name: str, route: Plain, document: Document) -> Plain:
    """`to`: the upstreams; `reply`: the status of a route that the gateway answers itself."""
    reply = document.routes[name].reply
    return {
        "name": name,
        "match": route.get("match") or {},
        "to": list(route.get("split") or filter(None, [route.get("upstream")])),
        "reply": None if reply is None else reply.status,
        "policies": [key for key in _POLICIES if route.get(key)],
    }


def _consumer_line(name: str, consumer: Plain, document: Document) -> Plain:
    return {
        "name": name,
        "tier": consumer.get("tier"),
        "scopes": consumer.get("scopes") or [],
        "keys": len(consumer.get("keys") or ()),
        "subjects": len(consumer.get("subjects") or ()),
    }

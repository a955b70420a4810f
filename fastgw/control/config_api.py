"""The calls about the document as a whole: read it, publish one, its versions, back to one of them, differences."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from fastgw.control.answers import (
    ANY_OBJECT,
    ANYTHING,
    FLAG,
    INTEGER,
    NOT_MODIFIED,
    NUMBER,
    WORD,
    body_answer,
    found,
    is_known,
    json_answer,
    list_of,
    object_of,
    tag,
    unchanged,
)
from fastgw.control.changing import CHANGED, CHANGES, DONE, LATE, PARAMETERS, Changing
from fastgw.control.differences import MOST, differences
from fastgw.control.endpoints import LARGE, OPTIONAL, REQUIRED, Body, Call, Endpoint, Schema, Unacceptable
from fastgw.control.parameters import LIMIT, LONGEST_NOTE, VERSION, WAIT, read_note
from fastgw.control.problems import errors, problem
from fastgw.control.published import History
from fastgw.control.publisher import Publisher
from fastgw.control.wishes import read_wish
from fastgw.gateway.document.masking import masked
from fastgw.versions.version import Entry, VersionStore

# How long POST /api/reload waits for the workers unless told; one that is later is said to be pending.
_PATIENCE = 5.0

DOCUMENT: Schema = {"$ref": "#/components/schemas/Document"}
SHOWN: Schema = {"$ref": "#/components/schemas/ShownDocument"}
_ENTRY: Schema = object_of(
    {"version": INTEGER, "hash": WORD, "at": NUMBER, "by": WORD, "note": WORD, "from_file": FLAG, "changes": CHANGES}
)
_VERSIONS: Schema = object_of({"versions": list_of(_ENTRY)})
_ROLLBACK: Schema = object_of(
    {
        "version": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
        "note": {"type": "string", "maxLength": LONGEST_NOTE},
    },
    optional=("note",),
)
_SIDE: Schema = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 10**18 - 1}, ANY_OBJECT]}
_DIFF: Schema = object_of({"from": _SIDE, "to": _SIDE})
_PLACE: Schema = object_of({"path": WORD, "value": ANYTHING})
_DIFFERENCES: Schema = object_of(
    {
        "added": list_of(_PLACE),
        "changed": list_of(object_of({"path": WORD, "from": ANYTHING, "to": ANYTHING})),
        "removed": list_of(_PLACE),
        "truncated": FLAG,
    }
)


@dataclass(frozen=True, slots=True)
class ConfigApi:
    history: History
    store: VersionStore
    publisher: Publisher
    changing: Changing

    def endpoints(self) -> tuple[Endpoint, ...]:
        document = Body(DOCUMENT, limit=LARGE)
        return (
            Endpoint(
                "GET", "/api/config", self._get, "The document, with secrets masked.",
                (found("the document", SHOWN, tagged=True), NOT_MODIFIED), (VERSION,), refusals=(404, 503),
                group="config",
            ),
            Endpoint(
                "PUT", "/api/config", self._put, "Publish a document; a masked value sent back means: unchanged.",
                (DONE, LATE), PARAMETERS, document, REQUIRED, (503,), "config", True,
            ),
            Endpoint(
                "GET", "/api/config/versions", self._versions, "The versions that are kept, the newest last.",
                (found("the versions", _VERSIONS),), (LIMIT,), refusals=(503,), group="config",
            ),
            Endpoint(
                "POST", "/api/config/rollback", self._rollback, "Publish an earlier version again, as a new one.",
                (DONE, LATE), PARAMETERS, Body(_ROLLBACK), OPTIONAL, (404, 503), "config", True,
            ),
            Endpoint(
                "POST", "/api/config/diff", self._diff, "How two documents differ; each a version's number, or whole.",
                (found(f"the differences, at most {MOST} of each kind", _DIFFERENCES),), (), Body(_DIFF, limit=LARGE),
                refusals=(404, 503), group="config",
            ),
            Endpoint(
                "POST", "/api/reload", self._reload, "Read the file again, and publish it if it is new.",
                (found("what is in force now", CHANGED, tagged=True), LATE), (WAIT,), Body(ANY_OBJECT, needed=False),
                group="config", changes=True,
            ),
        )  # fmt: skip

    async def _get(self, call: Call) -> web.Response:
        return await self._document(call.request, call.query.get("version"))

    async def _document(self, request: web.Request, wanted: int | None) -> web.Response:
        current = self.history.current.version
        if is_known(request, tag(current)) and wanted in (None, current):
            return unchanged(tag(current))
        shown = await asyncio.to_thread(self._shown, wanted)
        if shown is None:
            return problem(404, "not_found", f"There is no version {wanted}")
        number, body = shown
        if is_known(request, tag(number)):
            return unchanged(tag(number))
        return body_answer(body, version=number)

    def _shown(self, wanted: int | None) -> tuple[int, bytes] | None:
        """In a thread: 10,000 routes take a quarter of a second."""
        current = self.history.current
        if wanted is None or wanted == current.version:
            return current.version, orjson.dumps(masked(current.document.plain))
        version = self.store.get(wanted)
        return None if version is None else (version.number, orjson.dumps(masked(version.plain)))

    async def _put(self, call: Call) -> web.Response:
        outcome = await self.publisher.publish(
            call.body,
            by=call.by,
            note=call.query.get("note", ""),
            expected=call.expected,
            dry_run=call.query.get("dry_run", False),
        )
        return await self.changing.answer(call, outcome)

    async def _versions(self, call: Call) -> web.Response:
        entries = await asyncio.to_thread(self.store.list)
        newest = entries[-call.query.get("limit", len(entries)) :] if entries else []
        return json_answer({"versions": [_plain(each) for each in newest]})

    async def _rollback(self, call: Call) -> web.Response:
        wish = read_wish(call.body, {"version": _number, "note": _note}, optional=("note",))
        note = wish.get("note") or call.query.get("note", "")
        outcome = await self.publisher.rollback(
            wish["version"],
            by=call.by,
            note=note,
            expected=call.expected,
            dry_run=call.query.get("dry_run", False),
        )
        return await self.changing.answer(call, outcome)

    async def _diff(self, call: Call) -> web.Response:
        wish = read_wish(call.body, {"from": _side, "to": _side})
        return json_answer(await asyncio.to_thread(self._differences, wish["from"], wish["to"]))

    def _differences(self, old: int | dict[str, Any], new: int | dict[str, Any]) -> dict[str, Any]:
        """In a thread, as `_shown`."""
        return differences(self._side(old), self._side(new))

    def _side(self, wanted: int | dict[str, Any]) -> dict[str, Any]:
        if not isinstance(wanted, int):
            return wanted
        current = self.history.current
        if wanted == current.version:
            return current.document.plain
        version = self.store.get(wanted)
        if version is None:
            raise Unacceptable(404, "not_found", f"There is no version {wanted}")
        return version.plain

    async def _reload(self, call: Call) -> web.Response:
        if not isinstance(call.body, dict):
            message = "the body is an object, or there is none"
            raise Unacceptable(422, "invalid_request", "T" + message[1:], (("", message),))
        outcome = await self.publisher.reload(call.by)
        if outcome.ok:
            return await self.changing.answer(call, outcome, patience=_PATIENCE)
        return problem(
            422,
            "invalid_document",
            f"The file was not taken; version {outcome.version} stays",
            version=outcome.version,
            errors=errors(outcome.problems, located=True),
        )


def _plain(entry: Entry) -> dict[str, object]:
    return {
        "version": entry.number,
        "hash": entry.hash,
        "at": entry.at,
        "by": entry.by,
        "note": entry.note,
        "from_file": entry.from_file,
        "changes": None if entry.changes is None else entry.changes.plain(),
    }


def _number(value: object) -> int:
    if type(value) is not int or not 1 <= value < 10**18:
        raise ValueError("write the number of a version, as in 7")
    return value


def _note(value: object) -> str:
    if type(value) is not str:
        raise ValueError("a note is text")
    return read_note(value)


def _side(value: object) -> int | dict[str, Any]:
    if isinstance(value, dict):
        return value
    try:
        return _number(value)
    except ValueError:
        raise ValueError("write the number of a version, or a whole document") from None

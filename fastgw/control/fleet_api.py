"""The call that shows the fleet."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from fastgw.control.answers import FLAG, INTEGER, NUMBER, WORD, found, json_answer, list_of, object_of
from fastgw.control.endpoints import Call, Endpoint, Schema
from fastgw.control.fleet import Fleet

_INSTANCE: Schema = object_of(
    {
        "instance": WORD,
        "id": WORD,
        "version": INTEGER,
        "hash": WORD,
        "at": NUMBER,
        "workers": object_of({"serving": INTEGER, "of": INTEGER}),
        "error": WORD,
        "me": FLAG,
    }
)
FLEET: Schema = object_of(
    {
        "instances": list_of(_INSTANCE),
        "store": object_of({"kind": WORD, "up": FLAG, "error": WORD}),
    }
)


@dataclass(frozen=True, slots=True)
class FleetApi:
    fleet: Fleet

    def endpoints(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                "GET", "/api/fleet", self._fleet,
                "The gateways that share their versions, and what each of them serves.",
                (found("this gateway alone while the store is away, or where it is a directory", FLEET),),
            ),
        )  # fmt: skip

    async def _fleet(self, call: Call) -> web.Response:
        return json_answer(await self.fleet.plain())

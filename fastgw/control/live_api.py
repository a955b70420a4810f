"""The calls for those who look on: the tail as server-sent events, and what goes on in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from fastgw.control.answers import found, json_answer
from fastgw.control.doors import Doors
from fastgw.control.endpoints import EVENTS, Answer, Call, Endpoint, Query, Unacceptable
from fastgw.control.live import MOST_WATCHERS, Crowded, Live
from fastgw.control.overview import Overview
from fastgw.control.overview_schema import OVERVIEW
from fastgw.control.tail import WrongQuery, filters_of

_WORDS: Final = {
    "route": "a route's name",
    "reason": "a reason, as in breaker_open",
    "status": "a status, as in 503, or a class, as in 5xx",
    "consumer": "a consumer's name",
    "upstream": "an upstream's name",
    "method": "a method, as in GET",
    "slower": "a duration: only what took longer, as in 100ms",
}


@dataclass(frozen=True, slots=True)
class LiveApi:
    live: Live
    overview: Overview
    doors: Doors

    def endpoints(self) -> tuple[Endpoint, ...]:
        # Read by tail.py, all together.
        filters = tuple(Query(name, f"{words}; any of several", {"type": "string"}, str, repeated=True)
                        for name, words in _WORDS.items())  # fmt: skip
        stream = Answer(
            200, f"`exchange`, `notice` and `missed` events, until one of the two ends it; {MOST_WATCHERS} at once",
            None, EVENTS,
        )  # fmt: skip
        return (
            Endpoint(
                "GET", "/api/tail", self._tail, "What passes through, as it does: every filter must fit.",
                (stream,), filters, refusals=(503,), group="live",
            ),
            Endpoint(
                "GET", "/api/overview", self._overview, "The last ten minutes in numbers.",
                (found("points, and tables of the last ten seconds", OVERVIEW),), group="live",
            ),
        )  # fmt: skip

    async def _tail(self, call: Call) -> web.StreamResponse:
        request = call.request
        try:
            filters = filters_of(request.query.items())
        except WrongQuery as error:
            listed = tuple((f"query.{each.path}", each.message) for each in error.problems)
            raise Unacceptable(422, "invalid_query", "The query is not right", listed) from None
        response = web.StreamResponse(headers={"Content-Type": EVENTS})
        if request.method == "HEAD":
            return response
        try:
            watcher = self.live.watch(filters)
        except Crowded as error:
            raise Unacceptable(503, "overloaded", str(error), (), {"Retry-After": "5"}) from None
        # Without that, a caller that went away would hold its place until the next event is written.
        self.doors.when_lost(request.transport, watcher.close)
        try:
            await response.prepare(request)
            async for data in watcher:
                await response.write(data)
            await response.write_eof()
        except ConnectionResetError:
            pass  # it has seen enough
        finally:
            watcher.close()
        return response

    async def _overview(self, call: Call) -> web.Response:
        return json_answer(self.overview.plain())

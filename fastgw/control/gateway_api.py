"""The calls that ask how the gateway is: probes, metrics, status."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from fastgw.control.answers import (
    ANY_OBJECT,
    INTEGER,
    NUMBER,
    WORD,
    found,
    json_answer,
    list_of,
    object_of,
    or_null,
)
from fastgw.control.endpoints import TEXT, Answer, Call, Endpoint, Schema
from fastgw.control.problems import problem
from fastgw.control.published import History
from fastgw.control.readiness import Readiness
from fastgw.control.scrapes import Scrapes
from fastgw.control.status import Status

_TEXT = "text/plain; charset=utf-8"

_WORKER: Schema = object_of(
    {
        "index": INTEGER, "pid": INTEGER, "state": WORD, "version": INTEGER, "age_s": NUMBER, "uptime_s": NUMBER,
        "connections": INTEGER, "in_flight": INTEGER, "loop_lag_ms": NUMBER, "rss_bytes": INTEGER,
        "respawns": INTEGER,
    },
    open_=True,
)  # fmt: skip
STATUS: Schema = object_of(
    {
        "version": INTEGER,
        "hash": WORD,
        "started_at": NUMBER,
        "supervisor": object_of({"pid": INTEGER}),
        "workers": list_of(_WORKER),
        "redis": or_null("object"),
        "upstreams": list_of(WORD),
        "control": ANY_OBJECT,
        "logger": ANY_OBJECT,
        "last_reload": or_null("object"),
    },
    open_=True,
)


@dataclass(frozen=True, slots=True)
class GatewayApi:
    history: History
    readiness: Readiness
    scrapes: Scrapes
    status: Status

    def endpoints(self) -> tuple[Endpoint, ...]:
        ready = Answer(200, "every worker serves", None, TEXT)
        lines = Answer(200, "text, or OpenMetrics where `Accept` asks for it", None, TEXT)
        openmetrics = Answer(200, "", None, "application/openmetrics-text")
        return (
            Endpoint(
                "GET", "/livez", self._livez, "Whether the control process answers.",
                (Answer(200, "it does", None, TEXT),),
            ),
            Endpoint(
                "GET", "/readyz", self._readyz, "Whether the gateway is ready for traffic; 503 says why not.", (ready,),
                refusals=(503,),
            ),
            Endpoint("GET", "/metrics", self._metrics, "Metrics for Prometheus.", (lines, openmetrics)),
            Endpoint(
                "GET", "/api/status", self._status, "What is served, by whom, and how they are.",
                (found("the status", STATUS),),
            ),
        )  # fmt: skip

    async def _livez(self, call: Call) -> web.Response:
        return web.Response(body=b"ok\n", headers={"Content-Type": _TEXT})

    async def _readyz(self, call: Call) -> web.Response:
        reason = self.readiness.reason(self.history.current.version)
        if reason is None:
            return web.Response(body=b"ready\n", headers={"Content-Type": _TEXT})
        return problem(503, "not_ready", reason)

    async def _metrics(self, call: Call) -> web.Response:
        accept, encoding = (
            ",".join(call.request.headers.getall(name, [])) for name in ("Accept", "Accept-Encoding")
        )
        scraped = await self.scrapes.answer(accept, encoding)
        response = web.Response(body=scraped.body, headers={"Content-Type": scraped.content_type})
        if scraped.content_encoding is not None:
            response.headers["Content-Encoding"] = scraped.content_encoding
        return response

    async def _status(self, call: Call) -> web.Response:
        return json_answer(self.status.plain())



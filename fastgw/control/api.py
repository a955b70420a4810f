"""The admin API over aiohttp: routes, and the middleware that lets nobody past the rules of admission.

Handlers translate between HTTP and the objects that know; they decide nothing themselves.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from aiohttp import web

from fastgw.control.admission import Admission
from fastgw.control.exposition import Exposition
from fastgw.control.operator_log import OperatorLog
from fastgw.control.peers import Peers
from fastgw.control.problems import problem
from fastgw.control.published import History
from fastgw.control.publisher import Publisher
from fastgw.control.readiness import Readiness
from fastgw.control.status import Status
from fastgw.control.upstreams import Refused, Upstreams
from fastgw.gateway.document.masking import masked
from fastgw.versions.version import StoreError, VersionStore

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# How long POST /api/reload waits for the workers; one that is later is said to be pending.
_WAIT = 5.0
_MAX_BODY = 1024 * 1024
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class AdminApi:
    admission: Admission
    history: History
    store: VersionStore
    publisher: Publisher
    peers: Peers
    readiness: Readiness
    exposition: Exposition
    status: Status
    upstreams: Upstreams
    log: OperatorLog
    scraping: asyncio.Lock

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=_MAX_BODY)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/api/status", self._status)
        app.router.add_get("/api/config", self._config)
        app.router.add_post("/api/reload", self._reload)
        app.router.add_get("/api/upstreams", self._all_upstreams)
        app.router.add_post("/api/upstreams/{name}/breaker", self._breaker)
        app.on_response_prepare.append(_finish)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Admission first, also for what does not exist; then all that goes wrong becomes a problem."""
        refusal = self.admission.refuse(request.headers, self.history.current.document.base.admin.token)
        if refusal is not None:
            return problem(refusal.status, refusal.reason, refusal.detail, fields=refusal.fields)
        # A form of a foreign page can send text/plain, but not JSON. What has no route is 404 or 405 instead.
        changes = request.method not in ("GET", "HEAD") and request.match_info.http_exception is None
        if changes and request.content_type != "application/json":
            return problem(415, "unsupported_media_type", "Content-Type: application/json is needed")
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return problem(404, "not_found", "There is nothing at this path")
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            return problem(405, "method_not_allowed", f"This path knows {allowed}", fields={"Allow": allowed})
        except web.HTTPRequestEntityTooLarge:
            return problem(413, "body_too_large", f"A body may have {_MAX_BODY} bytes")
        except StoreError as error:
            return problem(503, "store_unavailable", str(error))
        except web.HTTPException as error:
            return problem(error.status, "bad_request", error.reason)
        except Exception:
            self.log.say(f"control: {request.method} {request.path} failed\n" + traceback.format_exc())
            return problem(500, "internal_error", "The gateway's log has the details")

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(body=b"ok\n", headers={"Content-Type": _TEXT})

    async def _readyz(self, request: web.Request) -> web.Response:
        reason = self.readiness.reason(self.history.current.version)
        if reason is None:
            return web.Response(body=b"ready\n", headers={"Content-Type": _TEXT})
        return problem(503, "not_ready", reason)

    async def _metrics(self, request: web.Request) -> web.Response:
        accept = ",".join(request.headers.getall("Accept", []))
        async with self.scraping:
            text, content_type = await asyncio.to_thread(self.exposition.render, accept)
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def _status(self, request: web.Request) -> web.Response:
        return _json(self.status.plain())

    async def _config(self, request: web.Request) -> web.Response:
        wanted = request.query.get("version")
        # Bounded: Python refuses to turn thousands of digits into a number, and no store has so many versions.
        if wanted is not None and not (wanted.isascii() and wanted.isdigit() and len(wanted) <= 18):
            return problem(400, "bad_request", "version is a number")
        found = await asyncio.to_thread(self._shown, None if wanted is None else int(wanted))
        if found is None:
            return problem(404, "not_found", f"There is no version {wanted}")
        number, body = found
        tag = f'"{number}"'
        known = [each.strip() for each in request.headers.get("If-None-Match", "").split(",")]
        if tag in known or "*" in known:
            return web.Response(status=304, headers={"ETag": tag})
        return web.Response(body=body, content_type="application/json", headers={"ETag": tag})

    def _shown(self, wanted: int | None) -> tuple[int, bytes] | None:
        """In a thread: 10,000 routes take a quarter of a second."""
        current = self.history.current
        if wanted is None or wanted == current.version:
            return current.version, orjson.dumps(masked(current.document.plain))
        version = self.store.get(wanted)
        return None if version is None else (version.number, orjson.dumps(masked(version.plain)))

    async def _reload(self, request: web.Request) -> web.Response:
        await request.read()
        outcome = await self.publisher.reload("api")
        if not outcome.ok:
            return problem(
                422,
                "invalid_document",
                f"The file was not taken; version {outcome.version} stays",
                version=outcome.version,
                errors=[
                    {"file": each.file, "line": each.line, "path": each.path, "message": each.message}
                    for each in outcome.problems
                ],
            )
        serving, workers = await self.peers.applied(outcome.version, _WAIT)
        return _json(
            {
                "version": outcome.version,
                "changed": outcome.changed,
                "needs_restart": list(outcome.needs_restart),
                "workers": {"serving": serving, "of": workers},
            }
        )


    async def _all_upstreams(self, request: web.Request) -> web.Response:
        return _json(self.upstreams.plain())

    async def _breaker(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            wish = orjson.loads(body)
        except orjson.JSONDecodeError:
            return problem(400, "bad_request", "The body is no JSON")
        by = f"api, {request.remote}" if request.remote else "api"
        outcome = self.upstreams.force(request.match_info["name"], wish, by)
        if isinstance(outcome, Refused):
            return problem(outcome.status, outcome.reason, outcome.detail)
        return _json(outcome)


async def _finish(request: web.Request, response: web.StreamResponse) -> None:
    """On every answer: nobody caches or sniffs it, and it does not say which library made it."""
    response.headers["Server"] = "fastgw"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


def _json(value: object) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")

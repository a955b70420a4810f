"""The admin API over aiohttp: serves the table of endpoints, and lets nobody past the rules of admission.

What an endpoint needs is read before it is called, and all that goes wrong becomes a problem here and nowhere else.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import orjson
from aiohttp import HttpVersion11, web

from fastgw.config.errors import ConfigError
from fastgw.control.admission import Admission, Refusal
from fastgw.control.answers import ANY_OBJECT, body_answer, found, tag
from fastgw.control.audit import REFUSED, Audit
from fastgw.control.bodies import Bodies
from fastgw.control.doors import Doors
from fastgw.control.endpoints import LARGE, Call, Endpoint, Unacceptable, caller
from fastgw.control.files_api import FilesApi
from fastgw.control.openapi import description
from fastgw.control.operator_log import OperatorLog
from fastgw.control.outcome import EditRefused, NoSuchVersion
from fastgw.control.problems import errors, problem
from fastgw.control.protocol import FIELDS, UNCACHED
from fastgw.control.published import History
from fastgw.control.reading import changes, check_kind, read_if_match, read_query
from fastgw.versions.version import Raced, StoreError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class AdminApi:
    admission: Admission
    history: History
    endpoints: tuple[Endpoint, ...]
    files: FilesApi
    doors: Doors
    bodies: Bodies
    audit: Audit
    log: OperatorLog

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=LARGE)
        for path in self.files.paths:
            app.router.add_get(path, self.files.serve, expect_handler=self._expected)
        for endpoint in (*self.endpoints, self._openapi()):
            methods = ("GET", "HEAD") if endpoint.method == "GET" else (endpoint.method,)
            for method in methods:
                app.router.add_route(
                    method, endpoint.path, partial(self._serve, endpoint), expect_handler=self._expected
                )
        app.on_response_prepare.append(_finish)
        return app

    async def _serve(self, endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
        try:
            check_kind(request, endpoint)
            query = read_query(request, endpoint)
            expected = read_if_match(request, endpoint, self.history.current.version)
            async with self.bodies.of(request, endpoint.body) as body:
                return await endpoint.handler(Call(request, query, body, expected))
        except Unacceptable as error:
            # What the publisher refuses has left its line there.
            if endpoint.changes:
                self._note_refusal(request, error.detail)
            raise

    def _note_refusal(self, request: web.Request, reason: str) -> None:
        self.audit.note(f"{request.method} {request.path}", caller(request), REFUSED, reason=reason)

    def _openapi(self) -> Endpoint:
        async def handler(call: Call) -> web.Response:
            return body_answer(text)

        answer = found("OpenAPI 3.1", ANY_OBJECT)
        endpoint = Endpoint("GET", "/api/openapi.json", handler, "This description.", (answer,))
        text = orjson.dumps(description((*self.endpoints, endpoint)))
        return endpoint

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Admission first, also for what does not exist."""
        self.doors.entered(request.transport)
        try:
            refusal = self._refusal(request)
            if refusal is not None:
                if changes(request):
                    self._note_refusal(request, refusal.detail)
                return problem(refusal.status, refusal.reason, refusal.detail, fields=refusal.fields)
            return await handler(request)
        except web.HTTPException as error:
            return _not_served(error)
        except Exception as error:
            if request.transport is None and isinstance(error, ConnectionError):
                raise  # the caller has gone, which is no failure of ours
            return self._failed(request, error)
        finally:
            self.doors.left(request.transport)

    def _refusal(self, request: web.Request) -> Refusal | None:
        if request.path in self.files.paths and request.method in ("GET", "HEAD"):
            return self.admission.refuse_foreign(request.headers, request.raw_path)
        token = self.history.current.document.base.admin.token
        return self.admission.refuse(request.headers, token, request.raw_path)

    async def _expected(self, request: web.Request) -> None:
        """Comes before the guard: whoever will be refused is not asked for a body. What else may be expected is passed
        over (RFC 9110 10.1.1)."""
        wanted = request.headers.get("Expect", "").lower() == "100-continue"
        if wanted and request.version >= HttpVersion11 and self._refusal(request) is None:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # Those were no bytes of the answer.
            request.writer.output_size = 0

    def _failed(self, request: web.Request, error: Exception) -> web.Response:
        match error:
            case Unacceptable():
                listed = [{"path": path, "message": message} for path, message in error.errors]
                more = {"errors": listed} if listed else {}
                return problem(error.status, error.reason, error.detail, fields=error.fields, **more)
            case ConfigError():
                count = len(error.problems)
                detail = f"The document is not taken for {count} reason{'s' if count > 1 else ''}; nothing has changed"
                version = self.history.current.version
                return problem(422, "invalid_document", detail, version=version, errors=errors(error.problems))
            case Raced():
                words = str(error)
                return problem(
                    412, "version_conflict", words[0].upper() + words[1:],
                    fields={"ETag": tag(error.newest)}, version=error.newest,
                )  # fmt: skip
            case NoSuchVersion():
                return problem(404, "not_found", f"There is no version {error.number}")
            case EditRefused():
                return problem(error.status, error.reason, error.detail)
            case StoreError():
                return problem(503, "store_unavailable", str(error))
            case _:
                said = "".join(traceback.format_exception(error))
                self.log.say(f"control: {request.method} {request.path} failed\n{said}")
                return problem(500, "internal_error", "The gateway's log has the details")


def _not_served(error: web.HTTPException) -> web.Response:
    match error:
        case web.HTTPNotFound():
            return problem(404, "not_found", "There is nothing at this path")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return problem(405, "method_not_allowed", f"This path knows {allowed}", fields={"Allow": allowed})
        case _:
            return problem(error.status, "bad_request", error.reason)


async def _finish(request: web.Request, response: web.StreamResponse) -> None:
    """What may be kept says so itself."""
    response.headers.update(FIELDS)
    response.headers.setdefault("Cache-Control", UNCACHED)

"""An admin API that says what a test wants, on a real port and in a thread of its own: for the tests of the page and for
its pictures. Knows the shapes of the real one (scene.py) and writes down what it was asked.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fastgw.control.dashboard import SECURITY, files
from tests.dashboard import scene

PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str  # with its query
    match: str | None
    authorization: str | None
    body: Any


@dataclass
class FakeApi:
    """Change what it holds at any time; every answer is made from it."""

    token: str = ""
    away: bool = False  # connections are cut
    ready: bool = True
    status: dict[str, Any] = field(default_factory=lambda: scene.status(time.time()))
    overview: dict[str, Any] = field(default_factory=lambda: scene.overview(time.time()))
    upstreams: list[dict[str, Any]] = field(default_factory=lambda: scene.upstreams(time.time()))
    versions: list[dict[str, Any]] = field(default_factory=lambda: scene.versions(time.time()))
    fleet: dict[str, Any] = field(default_factory=lambda: scene.fleet(time.time()))
    explanation: dict[str, Any] = field(default_factory=lambda: dict(scene.EXPLANATION))
    difference: dict[str, Any] = field(default_factory=lambda: dict(scene.DIFFERENCE))
    reload_errors: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self.loop = asyncio.new_event_loop()
        self.watchers: list[asyncio.Queue[bytes]] = []
        self.port = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> FakeApi:
        self._thread.start()
        assert self._started.wait(PATIENCE)
        return self

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def heard(self, wanted: Callable[[Call], bool]) -> Call:
        """The first call of this kind; waits for it."""
        with self.changed:
            found = self.changed.wait_for(lambda: [each for each in self.calls if wanted(each)], PATIENCE)
        assert found, [(each.method, each.path) for each in self.calls]
        return found[0]

    def watched(self, query: str = "") -> None:
        """Waits until somebody looks on, with this in the query."""
        self.heard(lambda call: call.path.startswith("/api/tail") and query in call.path)
        with self.changed:
            assert self.changed.wait_for(lambda: self.watchers, PATIENCE)

    def unwatched(self) -> None:
        """Waits until nobody looks on."""
        with self.changed:
            assert self.changed.wait_for(lambda: not self.watchers, PATIENCE)

    def cut(self) -> None:
        """Breaks every stream, as a process that dies does; then nobody has looked yet."""
        with self.changed:
            self.calls.clear()
            streams, self.watchers = self.watchers, []
        self.loop.call_soon_threadsafe(lambda: [each.put_nowait(b"") for each in streams])

    def send(self, event: str, data: object) -> None:
        text = f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()
        self.loop.call_soon_threadsafe(lambda: [each.put_nowait(text) for each in self.watchers])

    # The server

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        # A watcher that goes away is noticed at once, not at the next line that is sent to it.
        runner = web.AppRunner(self._application(), shutdown_timeout=0.1, handler_cancellation=True)
        self.loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self.loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._started.set()
        self.loop.run_forever()
        self.loop.run_until_complete(runner.cleanup())
        self.loop.close()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        for path, (content, kind) in files().items():
            app.router.add_get(path, _file(content, kind))
        for path, answer in (
            ("/readyz", self._ready),
            ("/api/status", lambda: self.status),
            ("/api/overview", lambda: self.overview),
            ("/api/upstreams", lambda: {"upstreams": self.upstreams}),
            ("/api/config/versions", lambda: {"versions": self.versions}),
            ("/api/fleet", lambda: self.fleet),
        ):
            app.router.add_get(path, _answering(answer))
        app.router.add_get("/api/tail", self._tail)
        app.router.add_post("/api/upstreams/{name}/breaker", self._breaker)
        app.router.add_post("/api/config/rollback", self._rollback)
        app.router.add_post("/api/config/diff", _posted(lambda body: self.difference))
        app.router.add_post("/api/explain", _posted(lambda body: self.explanation))
        app.router.add_post("/api/reload", _posted(self._reload))
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.away and request.transport is not None:
            request.transport.abort()
        body = await request.json() if request.method == "POST" else None
        given = request.headers.get("Authorization")
        with self.changed:
            self.calls.append(
                Call(request.method, request.path_qs, request.headers.get("If-Match"), given, body)
            )
            self.changed.notify_all()
        if self.token and request.path.startswith(("/api", "/readyz")) and given != f"Bearer {self.token}":
            return _problem(
                401, "Unauthorized", "Authorization: Bearer with the configured admin.token is needed"
            )
        answer: web.StreamResponse = await handler(request)
        return answer

    def _ready(self) -> object:
        if self.ready:
            return "ready"
        return _problem(503, "Service Unavailable", "worker 1 serves version 6 since 9 s")

    def _reload(self, body: Any) -> object:
        if self.reload_errors:
            return _problem(422, "Unprocessable Entity", "The file was not taken", errors=self.reload_errors)
        return {"version": 7, "changed": False, "needs_restart": [], "workers": {"serving": 2, "of": 2}}

    async def _breaker(self, request: web.Request) -> web.Response:
        wish = await request.json()
        name = request.match_info["name"]
        until = None if wish["state"] == "auto" else time.time() + 30
        found = next(each for each in self.upstreams if each["name"] == name)
        place = next((each for each in found["targets"] if each["target"] == wish.get("target")), found)
        place["forced"] = None if until is None else {"state": wish["state"], "until": until}
        return web.json_response(
            {
                "upstream": name,
                "target": wish.get("target"),
                "state": wish["state"],
                "until": until,
                "workers": 2,
            }
        )

    async def _rollback(self, request: web.Request) -> web.Response:
        newest = self.versions[-1]["version"]
        if request.headers.get("If-Match") != f'"{newest}"':
            return _problem(412, "Precondition Failed", f"Version {newest} was published meanwhile")
        body = await request.json()
        old = next(each for each in self.versions if each["version"] == body["version"])
        made = old | {"version": newest + 1, "note": body["note"], "by": "api, 127.0.0.1", "at": time.time()}
        self.versions.append(made)
        self.status = self.status | {"version": newest + 1, "hash": old["hash"]}
        for worker in self.status["workers"]:
            worker["version"] = newest + 1
        return web.json_response(
            {"version": newest + 1, "changed": True, "needs_restart": [], "workers": {"serving": 2, "of": 2}}
        )

    async def _tail(self, request: web.Request) -> web.StreamResponse:
        if "nonsense" in request.query.get("status", ""):
            return _problem(422, "Unprocessable Entity", "status is a number as 503, or a class as 5xx")
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b": hello\n\n")
        mine: asyncio.Queue[bytes] = asyncio.Queue()
        with self.changed:
            self.watchers.append(mine)
            self.changed.notify_all()
        try:
            while text := await mine.get():
                await stream.write(text)
            if request.transport is not None:
                request.transport.abort()
            return stream
        except ConnectionError:
            return stream  # nobody looks any more
        finally:
            with self.changed:
                if mine in self.watchers:
                    self.watchers.remove(mine)
                self.changed.notify_all()


def _file(content: bytes, kind: str) -> Any:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(
            body=content, headers={"Content-Type": kind, "Cache-Control": "no-store", **SECURITY}
        )

    return handler


def _answering(answer: Callable[[], object]) -> Any:
    async def handler(request: web.Request) -> web.Response:
        found = answer()
        return found if isinstance(found, web.Response) else web.json_response(found)

    return handler


def _posted(answer: Callable[[Any], object]) -> Any:
    async def handler(request: web.Request) -> web.Response:
        found = answer(await request.json())
        return found if isinstance(found, web.Response) else web.json_response(found)

    return handler


def _problem(status: int, title: str, detail: str, **more: object) -> web.Response:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return web.json_response(body, status=status, content_type="application/problem+json")

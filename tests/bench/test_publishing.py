from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from bench import publishing
from bench.errors import BenchError
from bench.publishing import Publisher


class Admin(HTTPServer):
    """Version 7; each change is the next one, unless it builds on another or `answer` says what is answered."""

    version = 7
    answer: tuple[int, dict[str, Any]] | None = None

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, dict[str, Any]]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Admin
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self.reply(200, {"version": self.server.version})

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.command, self.path, self.headers["Content-Type"], body))
        if self.server.answer is not None:
            self.reply(*self.server.answer)
        elif self.headers["If-Match"] != f'"{self.server.version}"':
            self.reply(412, {"reason": "version_conflict"})
        else:
            self.server.version += 1
            self.reply(200, {"version": self.server.version, "changed": True, "workers": {"serving": 2, "of": 2}})

    do_PATCH = do_PUT

    def reply(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{self.server.version}"')
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def admin() -> Iterator[Admin]:
    with Admin() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_each_change_builds_on_the_last_and_waits(admin: Admin) -> None:
    with Publisher(admin.server_port) as publisher:
        took = [publisher.put("/api/routes/a", {"x": 1}), publisher.patch("/api/routes/a", {"y": 2})]
    assert min(took) > 0
    assert admin.version == 9
    assert admin.asked == [
        ("PUT", "/api/routes/a?wait=30s", "application/json", {"x": 1}),
        ("PATCH", "/api/routes/a?wait=30s", "application/merge-patch+json", {"y": 2}),
    ]


def test_a_refusal_is_an_error_with_its_words(admin: Admin) -> None:
    with Publisher(admin.server_port) as publisher:
        admin.version += 1  # somebody else was faster
        with pytest.raises(BenchError, match=r"412 .*version_conflict"):
            publisher.put("/api/routes/a", {})


GOOD = {"version": 8, "changed": True, "workers": {"serving": 2, "of": 2}}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"changed": False}, "changed nothing"),
        ({"workers": {"serving": 1, "of": 2}}, "1 of 2 workers"),
        ({"workers": {"serving": 0, "of": 0}}, "0 of 0 workers"),
    ],
)
def test_what_is_not_served_by_all_is_an_error(change: dict[str, Any], word: str) -> None:
    publishing.check(GOOD)
    with pytest.raises(BenchError, match=word):
        publishing.check(GOOD | change)

"""An admin address that answers what a test tells it to: JSON for a call, pieces of a stream for a tail."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 10.0


class FakeAdmin:
    """`answers` maps "METHOD /path" (without the query) to a status and a body; `pieces` is what GET /api/tail sends,
    until None ends it, or CUT breaks the connection."""

    CUT = b""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, object]] = {}
        self.requests: queue.Queue[tuple[str, dict[str, str], bytes]] = queue.Queue()
        self.pieces: queue.Queue[bytes | None] = queue.Queue()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                fake.serve(self)

            do_POST = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length", 0))
        body = handler.rfile.read(length)
        name = f"{handler.command} {handler.path}"
        bare = name.partition("?")[0]
        self.requests.put((name, dict(handler.headers), body))
        if bare == "GET /api/tail" and bare not in self.answers:
            self.stream(handler)
            return
        status, answer = self.answers.get(bare, (404, {"detail": f"nothing at {name}"}))
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def stream(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.close_connection = True
        while piece := self.pieces.get(timeout=PATIENCE):
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if piece is None:
            handler.wfile.write(b"0\r\n\r\n")

    def event(self, name: str, data: object) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        self.pieces.put(f"event: {name}\ndata: {text}\n\n".encode())

    def exchange(self, **fields: Any) -> None:
        self.event("exchange", {**EXCHANGE, **fields})

    def asked(self) -> tuple[str, dict[str, str], bytes]:
        return self.requests.get(timeout=PATIENCE)

    def close(self) -> None:
        self.pieces.put(None)
        self.server.shutdown()
        self.thread.join(5)
        self.server.server_close()


EXCHANGE = {
    "ts": "2026-03-01T12:00:01.250Z", "request_id": "01H", "trace_id": "a", "client": "203.0.113.9", "method": "GET",
    "host": "api.example.com", "path": "/orders/7", "route": "orders", "consumer": None, "status": 200,
    "reason": "ok", "rule": None, "source": "upstream", "bytes_in": 100, "bytes_out": 200, "duration_ms": 12.5,
    "gateway_ms": 0.25, "upstream_ms": 12.25, "upstream": "orders", "target": "10.0.0.1:9001", "attempts": 1,
    "cache": None, "limit": None, "version": 3, "worker": 0,
}  # fmt: skip


@contextmanager
def fake_admin() -> Iterator[FakeAdmin]:
    fake = FakeAdmin()
    try:
        yield fake
    finally:
        fake.close()

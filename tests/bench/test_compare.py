from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from bench import compare
from bench.errors import VoidError
from bench.load import tokens
from bench.process import Process
from bench.sides.side import Command, Plan
from bench.world import Instance, Wanted


@contextmanager
def answering(status_of: Callable[[int, str], int]) -> Iterator[Instance]:
    """A side that gives each request, by its number and Authorization, a status."""
    count = iter(range(1_000_000))

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(status_of(next(count), self.headers.get("Authorization", "")))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    port = server.server_address[1]
    plan = Plan(Path("/nowhere"), port, 0, 0, 0)
    try:
        yield Instance(Wanted("side", "fastgw"), plan, Command((), Path()), cast(Process, None))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


PATHS = ["/a"] * 20


def test_refused_after_what_the_bucket_holds() -> None:
    with answering(lambda number, _: 200 if number < 10 else 429) as side:
        compare.refused(side, PATHS, tokens.none, 429)


@pytest.mark.parametrize(
    "status_of",
    [lambda number, _: 200, lambda number, _: 503, lambda number, _: 429 if number % 2 else 200],
    ids=["admitted", "another", "half"],
)
def test_anything_else_voids_the_run(status_of: Callable[[int, str], int]) -> None:
    with answering(status_of) as side, pytest.raises(VoidError, match="where 429 was to be seen"):
        compare.refused(side, PATHS, tokens.none, 429)


def test_the_credential_that_was_asked_for_is_sent() -> None:
    with answering(lambda _, field: 200 if field == "Bearer t0" else 401) as side:
        assert compare.fetch(side.port, ["/a"], "t{}".format)[0].status == 200
        assert compare.fetch(side.port, ["/a"], tokens.none)[0].status == 401

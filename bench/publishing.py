"""Changes through the admin API, as an operator's pipeline makes them: one part at a time, on top of the version that was
read, waiting until every worker serves it. A change that is not served by all is an error.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from bench import admin
from bench.errors import BenchError

WAIT = "30s"  # a bound
PATIENCE = 40.0
JSON, MERGE_PATCH = "application/json", "application/merge-patch+json"


class Publisher:
    """One connection that is kept, and the version that the next change builds on."""

    def __init__(self, admin_port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", admin_port, timeout=PATIENCE)
        self._tag = f'"{admin.status(admin_port)["version"]}"'

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def put(self, path: str, part: Mapping[str, object]) -> float:
        """Seconds until every worker served it."""
        return self._send("PUT", path, part, JSON)

    def patch(self, path: str, part: Mapping[str, object]) -> float:
        return self._send("PATCH", path, part, MERGE_PATCH)

    def _send(self, method: str, path: str, part: Mapping[str, object], kind: str) -> float:
        begin = time.monotonic()
        fields = {"Content-Type": kind, "If-Match": self._tag}
        try:
            self._connection.request(method, f"{path}?wait={WAIT}", json.dumps(part), fields)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise BenchError(f"{method} {path}: {error or type(error).__name__}") from error
        if answer.status not in (200, 201):
            raise BenchError(f"{method} {path}: {answer.status} {text.decode(errors='replace')[:400]}")
        check(json.loads(text))
        self._tag = answer.headers["ETag"]
        return time.monotonic() - begin


def check(found: Mapping[str, Any]) -> None:
    """It was a change, and all serve it."""
    workers = found["workers"]
    if not found["changed"]:
        raise BenchError(f"a publish changed nothing: version {found['version']} stays")
    if not workers["of"] or workers["serving"] != workers["of"]:
        raise BenchError(f"{workers['serving']} of {workers['of']} workers serve version {found['version']}")

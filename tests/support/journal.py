"""The JSON access log, read as it grows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.wire import wait_for

Entry = dict[str, Any]


class Journal:
    """Every line is parsed as it comes: a broken one fails the test that meets it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self._offset = 0
        self._inode = 0

    def refresh(self) -> list[Entry]:
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return self.entries
        whole, newline, _ = data.rpartition(b"\n")
        if newline:
            self._offset += len(whole) + 1
            self.entries += [json.loads(line) for line in whole.split(b"\n")]
        return self.entries

    def where(self, check: Callable[[Entry], object]) -> list[Entry]:
        return [entry for entry in self.refresh() if check(entry)]

    def wait(self, check: Callable[[Entry], object], count: int = 1, timeout: float = 5.0) -> list[Entry]:
        """Wait for that many lines; more is an error at once, so is one that comes twice."""

        def found() -> list[Entry] | None:
            lines = self.where(check)
            return lines if len(lines) >= count else None

        lines: list[Entry] = wait_for(found, timeout, f"{count} log line(s)")
        assert len(lines) == count, f"{len(lines)} log lines instead of {count}: {lines}"
        return lines

    def path_is(self, path: str, timeout: float = 5.0) -> Entry:
        """The one line of the exchange with this path."""
        return self.wait(lambda entry: entry.get("path") == path, timeout=timeout)[0]

    def of(self, request_id: str | None, timeout: float = 5.0) -> Entry:
        assert request_id, "the answer carries no X-Request-Id"
        return self.wait(lambda entry: entry.get("request_id") == request_id, timeout=timeout)[0]

"""A publisher without a control process around it: a store that has accidents, and another gateway on the same store."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from fastgw.clock import ManualClock
from fastgw.control.collection import Collection
from fastgw.control.peers import Peers
from fastgw.control.published import History, Published
from fastgw.control.publisher import Publisher
from fastgw.gateway.document.load import load_parts, load_plain
from fastgw.gateway.document.masking import masked
from fastgw.gateway.document.model import Document, Plain
from fastgw.versions.store import FileStore
from fastgw.versions.version import Changes, StoreError, Version
from tests.control.harness import ReadableLog

SECRET = "a-secret-of-more-than-32-characters!"
PLAIN: Plain = {
    "listeners": [{"address": "127.0.0.1:8080"}],
    "instance": "one",
    "store": "file:/nowhere",
    "issuers": {"main": {"algorithms": ["HS256"], "secret": SECRET}},
    "upstreams": {"app": {"targets": ["http://127.0.0.1:9001"]}},
    "routes": [
        {"name": "orders", "match": {"path": "/orders/*"}, "upstream": "app"},
        {"name": "gone", "match": {"path": "/gone"}, "reply": {"status": 410}},
    ],
}


class Store(FileStore):
    """With accidents. `meanwhile` is called once, before the next version is kept; `broken` is what fails."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, ManualClock(), kept=5)
        self.meanwhile: list[Callable[[], object]] = []
        self.broken: set[str] = set()

    def _check(self, what: str) -> None:
        if what in self.broken:
            raise StoreError(f"{what} fails in this test")

    def newest_number(self) -> int:
        self._check("newest_number")
        return super().newest_number()

    def get(self, number: int) -> Version | None:
        self._check("get")
        return super().get(number)

    def add(
        self,
        plain: Plain,
        digest: str,
        by: str,
        note: str,
        from_file: bool,
        changes: Changes | None = None,
        expected: int | None = None,
    ) -> Version:
        self._check("add")
        if self.meanwhile:
            self.meanwhile.pop()()
        return super().add(plain, digest, by, note, from_file, changes, expected)


class Bench:
    def __init__(self, folder: Path, log: ReadableLog) -> None:
        self.store = Store(folder)
        self.other = FileStore(folder, ManualClock(), kept=5)  # as another process sees it
        document = load_plain(copy.deepcopy(PLAIN), "start")
        self.store.add(document.plain, document.hash, "start", "", True)
        # As in a control process: from the supervisor's parts.
        self.history = History(Published(1, load_parts(document.parts()), document.parts()))
        self.log = log
        self.told: list[Document] = []
        self.fails_to_follow = False
        peers = Peers(
            asyncio.get_running_loop(), log, self.history, (), on_supervisor=lambda _: None, on_orphaned=lambda: None
        )
        self.publisher = Publisher(
            folder / "gateway.yaml", {}, self.store, history=self.history, peers=peers, clock=ManualClock(), log=log,
            on_published=self.follow, collection=Collection(False),
        )  # fmt: skip

    def follow(self, document: Document) -> None:
        self.told.append(document)
        if self.fails_to_follow:
            raise RuntimeError("odd")

    @property
    def version(self) -> int:
        return self.history.current.version

    def sent(self, **more: Any) -> Plain:
        """As from somebody who read the document and changes something of it."""
        return {**masked(self.history.current.document.plain), **more}

    def elsewhere(self, **more: Any) -> Version:
        """Another gateway publishes."""
        document = load_plain({**copy.deepcopy(self.history.current.document.plain), **more}, "elsewhere")
        return self.other.add(document.plain, document.hash, "somebody", "", False)

    def audits(self) -> list[dict[str, Any]]:
        lines = [line for line in self.log.lines() if line.startswith("audit: ")]
        return [orjson.loads(line.removeprefix("audit: ")) for line in lines]

    def assert_untouched(self, version: int = 1) -> None:
        assert self.version == version
        assert self.other.newest_number() == version


def bounded(name: str = "orders", size: str = "1KB") -> Callable[[Plain], Plain]:
    def change(plain: Plain) -> Plain:
        next(route for route in plain["routes"] if route["name"] == name)["max_body"] = size
        return plain

    return change

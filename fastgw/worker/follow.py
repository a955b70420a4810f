"""Follows the published configuration: takes differences, puts the document together, compiles it, all in
slices.

For workers and for the supervisor (a fork must start from the current document). Knows no loop and no socket:
its owner calls `offer` for each message and `run_slice` until nothing is left to do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastgw.clock import Clock

if TYPE_CHECKING:
    from fastgw.gateway.document.model import Document
    from fastgw.gateway.snapshot import Snapshot
    from fastgw.worker.birth import Build


@dataclass(frozen=True, slots=True)
class Change:
    version: int
    hash: str
    base_hash: str | None
    payload: bytes


class Follower:
    """What is served now (`document`, `snapshot`), and what is on its way to be. A failure leaves the former
    as it was and forgets the latter."""

    def __init__(
        self,
        document: Document,
        snapshot: Snapshot,
        build: Build,
        clock: Clock,
        *,
        on_applied: Callable[[Snapshot], None],
        on_rejected: Callable[[int, str], None],
    ) -> None:
        self.document = document
        self.snapshot = snapshot
        self._build = build
        self._clock = clock
        self._on_applied = on_applied
        self._on_rejected = on_rejected
        self._inbox: deque[Change] = deque()
        # of the last change in the inbox: what the next difference must build on
        self._newest = document.hash
        self._work: Generator[None, None, None] | None = None

    @property
    def busy(self) -> bool:
        return self._work is not None

    def offer(self, change: Change) -> bool:
        """False where the change is a difference to something that is not here: then the whole must be
        sent."""
        if change.base_hash is not None and change.base_hash != self._newest:
            return False
        self._inbox.append(change)
        self._newest = change.hash
        if self._work is None:
            self._work = self._follow()
        return True

    def run_slice(self, budget: float) -> bool:
        """Work for `budget` seconds (and one step more); True while there is more to do."""
        work = self._work
        if work is None:
            return False
        until = self._clock.now() + budget
        for _ in work:
            if self._clock.now() >= until:
                return True
        self._work = None
        return False

    def _follow(self) -> Generator[None, None, None]:
        while self._inbox:
            version = self._inbox[-1].version
            try:
                yield from self._apply()
            except Exception as error:
                # Nothing of it stays: what comes next is measured against what is served.
                self._inbox.clear()
                self._newest = self.document.hash
                self._on_rejected(version, f"{type(error).__name__}: {error}")

    def _apply(self) -> Generator[None, None, None]:
        document = self.document
        version = 0
        # Changes that arrived together are compiled once.
        while self._inbox:
            change = self._inbox.popleft()
            whole = change.base_hash is None
            document = yield from self._build.assemble(document, change.payload, change.hash, whole)
            version = change.version
        snapshot = yield from self._build.compile(document, version, self.snapshot)
        self.document = document
        self.snapshot = snapshot
        self._on_applied(snapshot)

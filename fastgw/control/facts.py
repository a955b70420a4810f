"""What control knows of the gateway as a whole, as the samples of a scrape.

`Facts` is one look, and plain; `FactSource` knows whom to ask. Nothing is counted here.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastgw import __version__
from fastgw.account import families
from fastgw.account.families import Family
from fastgw.clock import Clock
from fastgw.control.published import History
from fastgw.control.publisher import Publisher
from fastgw.control.readiness import Readiness


@dataclass(frozen=True, slots=True)
class Facts:
    started_at: float  # wall clock
    control_restarts: int
    ready: bool
    published_version: int
    published_at: float  # wall clock
    last_reload_ok: bool  # true as well where there was none
    limit_store: bool  # one is configured
    tail_watchers: int

    def samples(self) -> Iterator[tuple[Family, tuple[str, ...], float | int]]:
        yield families.BUILD_INFO, (__version__, platform.python_version()), 1
        yield families.START_TIME, (), self.started_at
        yield families.READY, (), int(self.ready)
        yield families.CONTROL_RESTARTS, (), self.control_restarts
        yield families.CONFIG_PUBLISHED_VERSION, (), self.published_version
        yield families.CONFIG_LAST_PUBLISH, (), self.published_at
        yield families.CONFIG_LAST_RELOAD_SUCCESSFUL, (), int(self.last_reload_ok)
        yield families.LIMIT_STORE_CONFIGURED, (), int(self.limit_store)
        yield families.TAIL_WATCHERS, (), self.tail_watchers


class FactSource:
    """Asked in the loop, as its sources are. `published` is told of each new document.

    Control that was started again does not know when the current version was published: it says when the
    gateway was started.
    """

    __slots__ = ("_clock", "_history", "_published_at", "_publisher", "_readiness", "_restarts", "_started_at",
                 "_watchers")  # fmt: skip

    def __init__(
        self,
        history: History,
        publisher: Publisher,
        readiness: Readiness,
        clock: Clock,
        *,
        started_at: float,
        restarts: int,
        watchers: Callable[[], int],
    ) -> None:
        self._history = history
        self._publisher = publisher
        self._readiness = readiness
        self._clock = clock
        self._started_at = started_at
        self._restarts = restarts
        self._watchers = watchers
        self._published_at = started_at

    def published(self) -> None:
        self._published_at = self._clock.wall()

    def now(self) -> Facts:
        current = self._history.current
        last_reload = self._publisher.last_reload
        return Facts(
            started_at=self._started_at,
            control_restarts=self._restarts,
            ready=self._readiness.reason(current.version) is None,
            published_version=current.version,
            published_at=self._published_at,
            last_reload_ok=last_reload is None or last_reload.ok,
            limit_store=current.document.base.redis is not None,
            tail_watchers=self._watchers(),
        )

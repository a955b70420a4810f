"""What a worker is born with: it is forked from the supervisor, so this is handed over in memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fastgw.clock import Clock

if TYPE_CHECKING:
    from fastgw.account.series import SeriesMemory, Slot
    from fastgw.gateway.document.limit_store import LimitStore
    from fastgw.gateway.document.model import Document
    from fastgw.gateway.snapshot import Snapshot
    from fastgw.limiter.options import LimiterOptions


@dataclass(frozen=True, slots=True)
class Borrowed:
    """A listening socket of the supervisor's set. A worker accepts on it through a duplicate."""

    listener: int  # its place in the configuration's `listeners`
    sock: socket.socket


class Plane(Protocol):
    """What a worker needs of the data plane (edge.dataplane.DataPlane)."""

    def apply(self, snapshot: Snapshot) -> None: ...

    async def listen(self, listener_index: int, sock: socket.socket) -> asyncio.AbstractServer: ...

    def set_addresses(
        self, upstream: str, host: str, port: int, addresses: list[str], error: str | None
    ) -> None: ...

    def set_health(self, upstream: str, host: str, port: int, address: str, healthy: bool) -> None: ...

    def force_breaker(self, upstream: str, target: str, state: str, until: float) -> None: ...

    def on_breaker(self, tell: Callable[[Mapping[str, object]], None]) -> None: ...

    def breakers(self) -> Iterable[Mapping[str, object]]: ...

    def set_watch(self, condition: Mapping[str, object] | None) -> None: ...

    def on_live(self, tell: Callable[[Sequence[str], int, Sequence[str]], bool]) -> None: ...

    def set_store(self, store: LimiterOptions | None) -> None: ...

    def set_keys(self, source: str, keys: list[dict[str, object]], error: str | None) -> None: ...

    def on_unknown_key(self, tell: Callable[[str], None]) -> None: ...

    def set_instances(self, count: int) -> None: ...

    def needs_addresses(self) -> bool: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def begin_drain(self) -> None: ...

    def close_when_idle(self) -> None: ...

    def in_flight(self) -> int: ...

    def connections(self) -> int: ...

    def abort(self) -> None: ...

    def flush_log(self) -> None: ...

    def log(self, line: str) -> None: ...


# The last one: where limits are kept; None: in each worker by itself.
PlaneFactory = Callable[
    [asyncio.AbstractEventLoop, "Snapshot", "Slot", int, int, int, Clock, "LimiterOptions | None"], Plane
]


class Build(Protocol):
    """How a document is put together and compiled; generators, so that both are done in slices."""

    def assemble(
        self, document: Document, payload: bytes, digest: str, whole: bool
    ) -> Generator[None, None, Document]: ...

    def compile(
        self, document: Document, version: int, previous: Snapshot | None
    ) -> Generator[None, None, Snapshot]: ...


@dataclass(frozen=True, slots=True)
class Birth:
    """Everything in it was current at the fork."""

    index: int
    workers: int
    supervisor_pid: int
    command: socket.socket  # to the supervisor; its end of file means that the supervisor died
    log_fd: int  # non-blocking; see logger.py for what may be written
    own: Sequence[Borrowed]
    shared: Sequence[Borrowed]  # Unix listeners: every worker accepts on the same socket
    siblings: Sequence[Sequence[Borrowed]]  # by worker index; its own among them
    series: SeriesMemory
    document: Document
    snapshot: Snapshot
    addresses: Sequence[Mapping[str, object]]  # the last `addresses` message of each name
    limit_store: LimitStore  # this process's own from the fork on
    plane: PlaneFactory
    build: Build
    keys: Sequence[Mapping[str, object]] = ()  # the last `keys` message of each source

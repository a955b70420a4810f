"""Small stand-ins for what the upstream side is given: a loop, a transport, an owner. Nothing runs by itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastgw.clock import ManualClock
from fastgw.errors import Reason, Retry
from fastgw.http1.memo import Streak
from fastgw.model.deadlines import Deadlines
from fastgw.model.messages import Framing, ResponseHead
from fastgw.model.outbox import Outbox
from fastgw.upstream.connection import UpstreamConnection
from fastgw.upstream.options import UpstreamOptions
from fastgw.upstream.target import Target
from fastgw.upstream.wire import Shared, State

OK5 = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class FakeTask:
    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self.work = work
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
        self.work.close()

    def run(self) -> None:
        """To its end, which comes without waiting."""
        try:
            self.work.send(None)
        except StopIteration:
            return
        raise AssertionError("the task waits")


class FakeLoop:
    """`outcome` is what the next connection attempts end with: an exception, or None for a connection."""

    def __init__(self) -> None:
        self.tasks: list[FakeTask] = []
        self.calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.places: list[object] = []
        self.tls: list[dict[str, Any]] = []  # how each of them was asked to be secured
        self.outcome: Exception | None = None

    def create_task(self, work: Coroutine[Any, Any, None]) -> FakeTask:
        self.tasks.append(FakeTask(work))
        return self.tasks[-1]

    def call_soon(self, call: Callable[..., None], *arguments: Any) -> None:
        self.calls.append((call, arguments))

    def run(self) -> None:
        """One turn of the loop."""
        calls, self.calls = self.calls, []
        for call, arguments in calls:
            call(*arguments)

    async def create_connection(
        self, factory: Callable[[], UpstreamConnection], host: str, port: int, **tls: Any
    ) -> None:
        self.tls.append(tls)
        self._connect((host, port), factory)

    async def create_unix_connection(self, factory: Callable[[], UpstreamConnection], path: str) -> None:
        self._connect(path, factory)

    def _connect(self, place: object, factory: Callable[[], UpstreamConnection]) -> None:
        self.places.append(place)
        if self.outcome is not None:
            raise self.outcome
        factory().connection_made(FakeTransport())  # type: ignore[arg-type]

    def close(self) -> None:
        """Coroutines that nobody ran."""
        for task in self.tasks:
            task.work.close()


class FakeTransport:
    def __init__(self) -> None:
        self.written = b""
        self.reading = True
        self.aborted = False
        self.closed = False
        self.eof = False
        self.half_closes = True
        self.limits: list[tuple[int, ...]] = []

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.aborted or self.closed

    def set_write_buffer_limits(self, *limits: int) -> None:
        self.limits.append(limits)

    def set_read_buffer_limits(self, *limits: int) -> None:
        self.limits.append(limits)

    def can_write_eof(self) -> bool:
        return self.half_closes

    def write_eof(self) -> None:
        self.eof = True


class Owner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.body = b""
        self.waiting = False

    def names(self) -> list[str]:
        return [event[0] for event in self.events]

    def on_connected(self, connection: UpstreamConnection) -> None:
        self.events.append(("connected", connection))

    def on_interim(self, head: ResponseHead) -> None:
        self.events.append(("interim", head.status))

    def on_answer(self, head: ResponseHead, how: Framing, body: bytes, whole: bool, now: float) -> None:
        self.events.append(("answer", head.status, how, whole))
        self.body += body

    def on_body(self, body: bytes, whole: bool) -> None:
        self.events.append(("body", whole))
        self.body += body

    def on_failure(self, reason: Reason, detail: str, retry: Retry) -> None:
        self.events.append(("failure", reason, retry))

    def on_switched(self, head: ResponseHead, early: bytes) -> None:
        self.events.append(("switched", head.status, early))

    def on_tunnel_data(self, data: bytes) -> None:
        self.events.append(("tunnel", data))

    def on_tunnel_eof(self) -> None:
        self.events.append(("tunnel eof",))

    def on_upstream_blocked(self) -> None:
        self.events.append(("blocked",))

    def on_upstream_writable(self) -> None:
        self.events.append(("writable",))

    def on_turn(self, connection: UpstreamConnection | None) -> None:
        self.events.append(("turn", connection))


class Bench:
    """One target with its pool, and all that it needs."""

    def __init__(self, **connections: Any) -> None:
        self.loop = FakeLoop()
        self.clock = ManualClock()
        self.deadlines = Deadlines()
        self.outbox = Outbox(lambda call: None)  # flushed by who looks at a transport
        self.shared = Shared(self.loop, self.clock, self.deadlines, self.outbox)  # type: ignore[arg-type]
        self.options = upstream("app", ["http://127.0.0.1:9001"], connections=connections)
        self.streak = Streak()
        self.target = Target(
            "127.0.0.1:9001", "127.0.0.1", 9001, "", b"127.0.0.1:9001", 1,
            self.options.connections, self.shared, self.streak,
        )  # fmt: skip
        self.pool = self.target.pool

    def connected(self, owner: Owner | None = None) -> UpstreamConnection:
        """An open connection, taken."""
        connection = self.pool.connect(owner or Owner(), self.clock.now() + 1.0)
        self.loop.tasks[-1].work.close()
        connection.connection_made(FakeTransport())  # type: ignore[arg-type]
        return connection

    def idle(self) -> UpstreamConnection:
        connection = self.connected()
        connection.owner = None
        self.give(connection)
        return connection

    def give(self, connection: UpstreamConnection) -> None:
        self.pool.give(connection, self.clock.now())

    def take(self) -> UpstreamConnection | None:
        return self.pool.take(self.clock.now())

    def tick(self, seconds: float) -> int:
        self.clock.advance(seconds)
        return self.deadlines.sweep(self.clock.now())


def upstream(name: str, targets: list[Any], **options: Any) -> UpstreamOptions:
    return UpstreamOptions.model_validate({"name": name, "targets": targets, **options})


class Rig:
    """A connection with a request under way."""

    def __init__(
        self, bench: Bench, method: bytes = b"GET", *, done: bool = True, upgrade: bool = False
    ) -> None:
        self.bench = bench
        self.owner = Owner()
        self.connection = bench.connected()
        self.begin(method, done=done, upgrade=upgrade)

    def begin(self, method: bytes = b"GET", *, done: bool = True, upgrade: bool = False) -> None:
        self.connection.upgrade = upgrade
        self.connection.begin(
            self.owner, method, method + b" / HTTP/1.1\r\n\r\n", done, self.bench.clock.now() + 15.0, 60.0
        )

    def feed(self, *parts: bytes) -> Rig:
        for part in parts:
            self.connection.data_received(part)
        return self

    def outcome(self) -> tuple[object, ...]:
        """What the owner knows at the end, however the bytes came."""
        whole = [event for event in self.owner.events if event[0] in ("answer", "body") and event[-1]]
        failed = [event[1] for event in self.owner.events if event[0] == "failure"]
        status = next((event[1] for event in self.owner.events if event[0] == "answer"), 0)
        interims = [event[1] for event in self.owner.events if event[0] == "interim"]
        return status, interims, self.owner.body, len(whole), failed

    @property
    def transport(self) -> FakeTransport:
        self.bench.outbox.flush()
        transport: Any = self.connection.transport
        assert isinstance(transport, FakeTransport)
        return transport

    @property
    def reusable(self) -> bool:
        return self.connection.state is State.IDLE and self.bench.pool.idle == 1

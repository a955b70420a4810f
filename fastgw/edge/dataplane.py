"""The data plane of one worker: builds everything that serves traffic, and is what the worker process drives.

The composition root of floors 1 to 5. What may not live here: signals, processes, channels (worker/), policies.
"""

from __future__ import annotations

import asyncio
import random
import socket
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from ipaddress import ip_address

from fastgw.account import families
from fastgw.account.access_log import AccessLog
from fastgw.account.ledger import Ledger
from fastgw.account.series import Slot, Word, WorkerState
from fastgw.account.tap import Tap, Tell
from fastgw.clock import Clock
from fastgw.edge.circuits import Circuits
from fastgw.edge.connection import ClientConnection
from fastgw.gateway import pipeline
from fastgw.gateway.engine import Engine
from fastgw.gateway.head_reader import HeadReader
from fastgw.gateway.snapshot import Snapshot, release
from fastgw.limiter.limiter import Limiter, LimiterOptions
from fastgw.model.deadlines import Deadlines
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Reply
from fastgw.model.outbox import Outbox
from fastgw.policy.auth.authenticator import Authenticator
from fastgw.policy.runtime import Runtime
from fastgw.upstream.registry import Registry
from fastgw.upstream.wire import Shared

TICK = 0.1  # seconds: deadlines are swept, gauges published, the heartbeat beats
STALLED = 0.05  # a tick later than this has nothing to say about peers before their bytes were read
SLOW_EVERY = 10  # ticks: averages fade, memory is read
MEMO_AGE = 600  # ticks between two rotations of the memos: what is not used for two minutes is forgotten
BACKLOG = 4096  # uvloop listens again with 100 unless told
RELEASE_SLICE = 0.0005  # seconds of a tick given to freeing an old snapshot
MAX_PEERS = 4096  # trust verdicts kept


class DataPlane:
    __slots__ = (
        "_connections", "_counted", "_health_paths", "_inherited", "_log", "_next_tick", "_per_ip", "_ports",
        "_releasing", "_slot", "_sweep_skipped", "_tell_live", "_ticks", "_timer", "_trust", "auth", "circuits", "clock",
        "deadlines", "engine", "limiter", "loop", "outbox", "reader", "shared",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, snapshot: Snapshot, slot: Slot, index: int, workers: int, log_fd: int,
        clock: Clock, store: LimiterOptions | None = None,
    ) -> None:  # fmt: skip
        """`store`: where limits are kept, with an embedded server's socket filled in; None: in this process only."""
        self.loop = loop
        self.clock = clock
        self.deadlines = Deadlines()
        self.outbox = Outbox(loop.call_soon)
        self.shared = Shared(loop, clock, self.deadlines, self.outbox)
        self.reader = HeadReader()
        self._slot = slot
        self._log = AccessLog(log_fd, index, loop.call_later, self._dropped)
        ledger = Ledger(slot, self._log)
        self.circuits = Circuits(slot, str(index), clock, self._log.operational)
        registry = Registry(self.shared, random.random, self.circuits.changed)
        self.limiter = Limiter(loop, clock, store, workers=workers, log=self._log.operational)
        self.auth = Authenticator(clock)
        runtime = Runtime(self.limiter, self.auth, clock, self._resume)
        self.engine = Engine(snapshot, registry, ledger, self.deadlines, clock, self._log.operational, runtime)
        self._counted: dict[str, int] = {}  # totals of the limiter that are published
        self._connections: set[ClientConnection] = set()
        self._per_ip: dict[bytes, int] = {}
        self._ports = tuple(str(listener.address.port).encode() for listener in snapshot.document.base.listeners)
        self._health_paths: tuple[bytes, ...] = ()
        self._trust: dict[bytes, bool] = {}
        self._releasing: list[Generator[None, None, None]] = []
        # The first snapshot was compiled before the fork: taking it apart would only copy its pages.
        self._inherited = snapshot
        self._ticks = 0
        self._sweep_skipped = False
        self._next_tick = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tell_live: Tell | None = None
        self._adopt(snapshot)

    def _resume(self, exchange: Exchange, reply: Reply | None) -> None:
        pipeline.resume(self.engine, exchange, reply)

    # --- configuration --------------------------------------------------------------------------------------------

    def apply(self, snapshot: Snapshot) -> None:
        """Swap one reference. Exchanges in flight end on the snapshot that they began with."""
        old = self.engine.snapshot
        self.engine.snapshot = snapshot
        self._adopt(snapshot)
        if old is not self._inherited and old is not snapshot:
            self._releasing.append(release(old))

    def _adopt(self, snapshot: Snapshot) -> None:
        self.engine.registry.reconcile(snapshot.upstreams)
        self.engine.ledger.sample = snapshot.sample
        self.auth.adopt(snapshot.document.base)
        self._log.enabled = snapshot.access_log
        self.reader.max_header_size = snapshot.server.max_header_size
        self._health_paths = snapshot.health_paths
        self._trust = {}
        self.reader.lines.clear()  # they remember routes
        self._slot.set(Word.VERSION, snapshot.version)
        self._slot.set(Word.VERSION_AT, int(self.clock.now() * 1000))

    def set_addresses(
        self, upstream: str, host: str, port: int, addresses: list[str], error: str | None
    ) -> None:
        known = self.engine.registry.upstreams.get(upstream)
        if known is not None:
            known.resolve(host, port, tuple(addresses), error)

    def set_health(self, upstream: str, host: str, port: int, address: str, healthy: bool) -> None:
        """What control's checks found."""
        known = self.engine.registry.upstreams.get(upstream)
        if known is not None:
            known.set_health(host, port, address, healthy)

    def force_breaker(self, upstream: str, target: str, state: str, until: float) -> None:
        """An operator's word about a circuit, until that wall-clock second."""
        known = self.engine.registry.upstreams.get(upstream)
        now = self.clock.now()
        left = until - self.clock.wall()
        if known is not None:
            known.force(target, state if left > 0.0 else "auto", now + left, now)

    def on_breaker(self, tell: Callable[[Mapping[str, object]], None]) -> None:
        """`tell(message)` at every change of a circuit."""
        self.circuits.tell = tell

    def on_live(self, tell: Tell) -> None:
        """`tell(lines, missed, notices)` while somebody looks on."""
        self._tell_live = tell

    def set_watch(self, condition: Mapping[str, object] | None) -> None:
        """What those who look on want to see together; None: nobody looks on."""
        log = self._log
        if condition is None or self._tell_live is None:
            log.tap = None
        elif log.tap is not None:
            log.tap.change(condition)
        else:
            log.tap = Tap(condition, self._tell_live, self.loop.call_later, self.clock.now)

    def breakers(self) -> Iterator[Mapping[str, object]]:
        """The circuits that are not simply closed, as messages."""
        return self.circuits.states(self.engine.registry.upstreams)

    def set_store(self, store: LimiterOptions | None) -> None:
        """A reload changed where limits are kept."""
        self.limiter.configure(store)

    def set_instances(self, count: int) -> None:
        """How many gateways share the store: what each may admit by itself when it is away."""
        self.limiter.set_instances(count)

    def set_keys(self, source: str, keys: list[dict[str, object]], error: str | None) -> None:
        """The keys behind a `jwks_url`, as control fetched them."""
        self.auth.set_keys(source, keys, error)

    def on_unknown_key(self, tell: Callable[[str], None]) -> None:
        """`tell(source)` when a token names a key that its issuer's `jwks_url` has not shown yet."""
        self.auth.on_unknown_key = tell

    def needs_addresses(self) -> bool:
        return any(upstream.unresolved() for upstream in self.engine.registry.upstreams.values())

    # --- listening ------------------------------------------------------------------------------------------------

    async def listen(self, listener_index: int, sock: socket.socket) -> asyncio.AbstractServer:
        """Accept on a socket of the supervisor's. Raises OSError."""
        # dup: uvloop closes what it is given, and closing a SO_REUSEPORT socket resets what is in its queue.
        own = sock.dup()
        own.setblocking(False)

        def factory() -> ClientConnection:
            return ClientConnection(self, listener_index)

        if own.family == socket.AF_UNIX:
            return await self.loop.create_unix_server(factory, sock=own, backlog=BACKLOG)
        return await self.loop.create_server(factory, sock=own, backlog=BACKLOG)

    def admit(self, connection: ClientConnection) -> str:
        """Count a new connection; a text says why it is not to be served."""
        server = self.engine.snapshot.server
        self._connections.add(connection)
        if len(self._connections) > server.max_connections:
            return "the gateway has as many connections as it may; try again shortly"
        bound = server.max_connections_per_ip
        count = self._per_ip.get(connection.peer, 0) + 1
        self._per_ip[connection.peer] = count
        if bound and count > bound:
            return "this address has as many connections as it may"
        return ""

    def left(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        count = self._per_ip.get(connection.peer, 0) - 1
        if count > 0:
            self._per_ip[connection.peer] = count
        else:
            self._per_ip.pop(connection.peer, None)

    def port(self, listener: int) -> bytes:
        return self._ports[listener]

    def health_path(self, listener: int) -> bytes:
        """Empty for none. A reload may change it; listeners themselves change only at a restart."""
        return self._health_paths[listener] if listener < len(self._health_paths) else b""

    def is_trusted(self, peer: bytes) -> bool:
        networks = self.engine.snapshot.trusted
        if not networks:
            return False
        known = self._trust.get(peer)
        if known is None:
            try:
                address = ip_address(peer.decode())
            except ValueError:
                return False  # a Unix socket
            known = any(address in network for network in networks)
            if len(self._trust) >= MAX_PEERS:
                self._trust.clear()
            self._trust[peer] = known
        return known

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._next_tick = self.loop.time() + TICK
        self._timer = self.loop.call_at(self._next_tick, self._tick)
        self.limiter.start()
        self._publish_limits()  # a look at the status need not wait for a tick

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.limiter.close()

    def _tick(self) -> None:
        now = self.loop.time()
        late = now - self._next_tick
        # Not `+= TICK`: after a pause of the machine a burst of ticks would serve nobody.
        self._next_tick = now + TICK
        self._timer = self.loop.call_at(self._next_tick, self._tick)
        self._ticks += 1
        clock_now = self.clock.now()
        self.engine.wall_offset = self.clock.wall() - clock_now
        if late < STALLED or self._sweep_skipped:
            self._sweep_skipped = False
            self.deadlines.sweep(clock_now)
        else:
            # The machine or the loop stood still: what came in time may wait in the kernel, unread. One tick for it.
            self._sweep_skipped = True
        self.auth.tick(clock_now)
        self.engine.registry.tick(clock_now)
        self._publish(late)
        self._publish_limits()
        self.circuits.publish(self.engine.registry.upstreams, self._ticks % SLOW_EVERY, SLOW_EVERY)
        if self._releasing:
            self._release()
        if self._ticks % SLOW_EVERY == 0:
            self.engine.registry.fade()
            self._publish_slow()
        if self._ticks % MEMO_AGE == 0:
            self.reader.memo.rotate()
            self.reader.lines.rotate()
            self.shared.memo.rotate()

    def _publish(self, late: float) -> None:
        slot = self._slot
        slot.set(Word.HEARTBEAT, slot.get(Word.HEARTBEAT) + 1)
        slot.set(Word.CONNECTIONS, len(self._connections))
        slot.set(Word.IN_FLIGHT, self.engine.in_flight)
        slot.set(Word.LOOP_LAG_US, max(0, int(late * 1e6)))

    def _publish_slow(self) -> None:
        """Gauges and counters that nobody reads more often than once a second."""
        slot, cells, engine = self._slot, self._slot.cells, self.engine
        with open("/proc/self/statm", "rb") as statm:
            slot.set(Word.RSS_BYTES, int(statm.read().split()[1]) * 4096)
        cells[slot.gauge(families.WEBSOCKETS, ())] = engine.websockets
        for name, upstream in engine.registry.upstreams.items():
            for target in upstream.targets:
                opened, target.pool.opened = target.pool.opened, 0
                if opened:
                    cells[slot.counter(families.UPSTREAM_CONNECTIONS_OPENED, (name,))] += opened
        for kind, memo in (("request", self.reader.memo), ("response", self.shared.memo)):
            cells[slot.counter(families.MEMO_MISSES, (kind,))] += memo.misses
            memo.misses = 0

    def _publish_limits(self) -> None:
        slot, cells, runtime = self._slot, self._slot.cells, self.engine.runtime
        for route, names, outcome, mode, count in runtime.decisions.take():
            for name in names:
                cells[slot.counter(families.LIMIT_DECISIONS, (route, name, outcome, mode))] += count
        limiter = self.limiter
        cells[slot.gauge(families.LIMIT_STORE_UP, (self._log.worker.decode(),))] = limiter.mode == "redis"
        totals = (
            (families.LIMIT_STORE_COMMANDS, (), "commands", limiter.commands),
            (families.LIMIT_STORE_FAILURES, ("timeout",), "timeouts", limiter.timeouts),
            (families.LIMIT_STORE_FAILURES, ("error",), "errors", limiter.errors),
        )
        for family, labels, name, total in totals:
            more = total - self._counted.get(name, 0)
            if more:
                self._counted[name] = total
                cells[slot.counter(family, labels)] += more

    def _release(self) -> None:
        end = self.clock.now() + RELEASE_SLICE
        while self._releasing and self.clock.now() < end:
            if next(self._releasing[0], self) is self:
                del self._releasing[0]

    def begin_drain(self) -> None:
        """Phase 1 of TERM: load balancers learn it from the health path, everything else goes on."""
        self.engine.draining = True
        self._slot.set(Word.STATE, WorkerState.DRAINING)

    def close_when_idle(self) -> None:
        """Phase 2: every answer from now on is the last of its connection; idle connections end at once."""
        self.engine.draining = self.engine.closing = True
        for connection in list(self._connections):
            connection.close_if_idle()

    def in_flight(self) -> int:
        return self.engine.in_flight

    def connections(self) -> int:
        return len(self._connections)

    def abort(self) -> None:
        for connection in list(self._connections):
            connection.abort()
        self.engine.registry.abort()

    # --- log ------------------------------------------------------------------------------------------------------

    def flush_log(self) -> None:
        self._publish_slow()
        self.circuits.publish(self.engine.registry.upstreams)
        self._log.flush()

    def log(self, line: str) -> None:
        self._log.operational(line)

    def report(self, error: Exception, exchange: Exchange) -> None:
        """An error of ours: with its traceback, and the id by which the client can ask."""
        trace = "".join(traceback.format_exception(error))
        self._log.operational(f"internal error, request_id {exchange.request_id.decode()}:\n{trace}")

    def _dropped(self, lines: int) -> None:
        self._slot.set(Word.LOG_DROPPED, self._slot.get(Word.LOG_DROPPED) + lines)

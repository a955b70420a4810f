"""How each kind of child is made, and how workers are brought together with control."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from functools import partial

from fastgw.account.series import SeriesMemory, Slot, Word
from fastgw.clock import Clock
from fastgw.gateway.document.limit_store import LimitStore
from fastgw.ipc import messages
from fastgw.ipc.channel import Channel, ChannelClosed, ChannelFull, pair
from fastgw.ipc.context import ControlContext
from fastgw.supervisor.forking import BACKGROUND, fork_child
from fastgw.supervisor.logger import LoggerProcess
from fastgw.supervisor.pipes import LogPipes
from fastgw.supervisor.processes import Event, Kind, Process, State, Table
from fastgw.supervisor.roles import Roles
from fastgw.supervisor.settings import Settings
from fastgw.supervisor.sink import Sink
from fastgw.supervisor.sockets import SocketSet
from fastgw.supervisor.valkey import Valkey
from fastgw.worker.birth import Birth
from fastgw.worker.follow import Follower

# The signal that reaches a child when the supervisor dies (PR_SET_PDEATHSIG).
_ORPHANED = signal.SIGUSR2


class Crew:
    """Forks and wires; decides nothing. `follower` holds the current document: a child is never born with
    less."""

    def __init__(
        self,
        settings: Settings,
        roles: Roles,
        clock: Clock,
        *,
        table: Table,
        sockets: SocketSet,
        pipes: LogPipes,
        series: SeriesMemory,
        follower: Follower,
        limit_store: LimitStore,
        valkey: Valkey | None,
    ) -> None:
        self._settings = settings
        self._roles = roles
        self._clock = clock
        self._table = table
        self._sockets = sockets
        self._pipes = pipes
        self._series = series
        self._follower = follower
        self._limit_store = limit_store
        self._valkey = valkey
        self._addresses: dict[tuple[object, object, object], Mapping[str, object]] = {}
        self._keys: dict[object, Mapping[str, object]] = {}
        self._pid = os.getpid()
        self._started_at = clock.wall()

    def spawn(self, process: Process) -> None:
        match process.kind:
            case Kind.WORKER:
                self._spawn_worker(process)
            case Kind.CONTROL:
                self._spawn_control(process)
            case Kind.LOGGER:
                self._spawn_logger(process)
            case Kind.VALKEY:
                self._spawn_valkey(process)

    def remember_addresses(self, message: Mapping[str, object]) -> None:
        """What a target's name resolves to, for those that are born later."""
        self._addresses[message["upstream"], message["host"], message["port"]] = message

    def remember_keys(self, message: Mapping[str, object]) -> None:
        """What a jwks_url holds, for those that are born later."""
        self._keys[message["source"]] = message

    def connect(self) -> None:
        """A fresh channel to control for every worker that has none to the control process that lives now."""
        control = self._table.control
        for worker in self._table.workers:
            if worker.connected or control.channel is None or worker.channel is None:
                continue
            if worker.state not in {State.STARTING, State.SERVING, State.ENDING}:
                continue
            ours, theirs = pair()
            if tell(control, messages.worker(worker.index, worker.pid), ours.fileno()):
                tell(worker, messages.control(), theirs.fileno())
                worker.connected = True
            ours.close()
            theirs.close()

    def _spawn_worker(self, process: Process) -> None:
        ours, theirs = pair()
        index = process.index
        birth = Birth(
            index=index,
            workers=self._settings.workers,
            supervisor_pid=self._pid,
            command=theirs,
            log_fd=self._pipes.of_worker(index),
            own=self._sockets.of_worker(index),
            shared=self._sockets.shared(),
            siblings=[self._sockets.of_worker(each) for each in range(self._settings.workers)],
            series=self._series,
            document=self._follower.document,
            snapshot=self._follower.snapshot,
            addresses=tuple(self._addresses.values()),
            keys=tuple(self._keys.values()),
            limit_store=self._limit_store,
            plane=self._roles.plane,
            build=self._roles.build,
        )
        keep = [theirs.fileno(), birth.log_fd, *self._sockets.listener_fds()]
        pid = fork_child(partial(self._roles.worker, birth), keep, _ORPHANED)
        theirs.close()
        process.spawned(pid, Channel(ours), self._clock.now())

    def _spawn_control(self, process: Process) -> None:
        ours, theirs = pair()
        document = self._follower.document
        context = ControlContext(
            admin=self._sockets.admin,
            supervisor=theirs,
            log_fd=self._pipes.of_control,
            config_path=self._settings.config_path,
            environ=self._settings.environ,
            parts=document.parts(),
            version=self._follower.snapshot.version,
            hash=document.hash,
            addresses=tuple(self._addresses.values()),
            keys=tuple(self._keys.values()),
            series=self._series,
            workers=self._settings.workers,
            supervisor_pid=self._pid,
            started_at=self._started_at,
            restarts=process.backoff.deaths,
            embedded=None if self._valkey is None else self._valkey.url,
        )
        keep = [context.admin.fileno(), theirs.fileno(), context.log_fd]
        pid = fork_child(partial(self._roles.control, context), keep, _ORPHANED)
        theirs.close()
        for worker in self._table.workers:
            worker.connected = False
        process.spawned(pid, Channel(ours), self._clock.now())
        tell(process, self.hello())

    def hello(self) -> messages.Message:
        """What the supervisor holds: the first thing that control hears, and the answer to a difference that does
        not fit."""
        snapshot = self._follower.snapshot
        return messages.hello(-1, self._pid, snapshot.version, self._follower.document.hash)

    def _spawn_logger(self, process: Process) -> None:
        base = self._follower.document.base
        limit = base.drain.timeout + 2 * self._settings.timing.drain_grace
        slot = self._series.slot(self._settings.workers + 1)
        run = partial(
            run_logger, self._pipes.reading, base.log.access, limit, slot, self._clock, self._pipes.foreign
        )
        pid = fork_child(run, self._pipes.reading, _ORPHANED)
        process.spawned(pid, None, self._clock.now())
        # It has nothing to say: its readiness is the pipe, which holds what is written before it reads.
        process.turn(Event.SERVES)

    def _spawn_valkey(self, process: Process) -> None:
        assert self._valkey is not None  # else its place is GONE
        log_fd = self._pipes.of_valkey
        pid = fork_child(partial(self._valkey.run, log_fd), [log_fd], _ORPHANED)
        process.spawned(pid, None, self._clock.now())
        self._series.slot(self._settings.workers + 2).set(Word.PID, pid)


def run_logger(
    reading: list[int],
    access: str,
    orphan_limit: float,
    slot: Slot,
    clock: Clock,
    foreign: Sequence[int] = (),
) -> int:
    """`access`: stdout, none, or a path."""
    slot.set(Word.PID, os.getpid())
    os.nice(BACKGROUND)
    logger = LoggerProcess(reading, orphan_limit, foreign=foreign)
    if access != "none":
        path = None if access == "stdout" else access
        logger.sink = Sink(path, logger.note, partial(slot.set, Word.LOG_DROPPED), clock.now)
    return logger.run()


def tell(process: Process, message: messages.Message, fd: int | None = None) -> bool:
    """Send, unless the process is gone or does not read: then its end is noticed elsewhere."""
    if process.channel is None:
        return False
    try:
        process.channel.send(message, fd=fd)
    except (ChannelClosed, ChannelFull):
        return False
    return True

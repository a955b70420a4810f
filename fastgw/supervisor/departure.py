"""How the gateway ends: the workers, then control, then an embedded Valkey, then the logger, each with a deadline
after which it is killed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING

from fastgw.clock import Clock
from fastgw.ipc import messages
from fastgw.supervisor.crew import tell
from fastgw.supervisor.pipes import LogPipes
from fastgw.supervisor.processes import Event, Process, State, Table
from fastgw.supervisor.settings import Timing
from fastgw.supervisor.sockets import SocketSet

if TYPE_CHECKING:
    from fastgw.gateway.document.process import DrainOptions


class Order(IntEnum):
    """By urgency: a later order counts only if it is more urgent."""

    NONE = 0
    DRAIN = 1  # TERM
    QUIT = 2  # QUIT
    STOP = 3  # INT, and a start that failed


class Stage(Enum):
    """One after the other: control reports the drain, Valkey is asked as long as anybody lives who could, the logger
    has the last word."""

    NOT = auto()
    WORKERS = auto()
    CONTROL = auto()
    VALKEY = auto()
    LOGGER = auto()
    DONE = auto()


_MESSAGES: dict[Order, Callable[[], messages.Message]] = {
    Order.DRAIN: messages.drain,
    Order.QUIT: messages.quit_,
    Order.STOP: messages.stop,
}


class Departure:
    def __init__(
        self, table: Table, sockets: SocketSet, pipes: LogPipes, timing: Timing, clock: Clock
    ) -> None:
        self._table = table
        self._sockets = sockets
        self._pipes = pipes
        self._timing = timing
        self._clock = clock
        self.stage = Stage.NOT
        self._order = Order.NONE
        self._accept_until = float("inf")
        self._deadline = float("inf")

    @property
    def going(self) -> bool:
        return self.stage is not Stage.NOT

    def due(self) -> float:
        """When `step` has something to do even if nothing happens."""
        return min(self._accept_until, self._deadline)

    def order(self, order: Order, drain: DrainOptions) -> None:
        if order <= self._order:
            return
        self._order = order
        now = self._clock.now()
        delay = drain.delay if order is Order.DRAIN else 0.0
        self._accept_until = min(self._accept_until, now + delay)
        if self.stage is Stage.NOT:
            self.stage = Stage.WORKERS
            tell(self._table.control, messages.draining())
            for worker in self._table.workers:
                worker.turn(Event.TOLD_TO_END)
        if self.stage is Stage.WORKERS:
            patience = delay + drain.timeout + self._timing.drain_grace
            if order is Order.STOP:
                patience = self._timing.stop_grace
            self._deadline = now + patience
            for worker in self._table.workers:
                tell(worker, _MESSAGES[order]())

    def step(self) -> None:
        """Go as far as what has died by now allows."""
        now = self._clock.now()
        if now >= self._accept_until:
            # The workers close theirs at the same time; a port is free when the last descriptor is closed.
            self._accept_until = float("inf")
            self._sockets.close()
        if self.stage is Stage.WORKERS and not any(worker.alive for worker in self._table.workers):
            self._end_control(now)
        if self.stage is Stage.CONTROL and not self._table.control.alive:
            self._end_valkey(now)
        if self.stage is Stage.VALKEY and not self._table.valkey.alive:
            self._end_logger(now)
        if self.stage is Stage.LOGGER and not self._table.logger.alive:
            self._pipes.close_readers()
            self.stage = Stage.DONE
        if now >= self._deadline:
            self._deadline = float("inf")
            self._kill_stragglers()

    def _end_control(self, now: float) -> None:
        self.stage = Stage.CONTROL
        self._sockets.close()
        self._accept_until = float("inf")
        self._end(self._table.control, now)

    def _end_valkey(self, now: float) -> None:
        self.stage = Stage.VALKEY
        valkey = self._table.valkey
        if valkey.state is State.GONE:
            return  # there is none
        self._end(valkey, now)
        if valkey.alive:
            # It keeps nothing, so there is nothing to wait for.
            os.kill(valkey.pid, signal.SIGKILL)

    def _end_logger(self, now: float) -> None:
        self.stage = Stage.LOGGER
        self._sockets.close_admin()
        self._pipes.close_writers()
        self._end(self._table.logger, now)

    def _end(self, process: Process, now: float) -> None:
        """The end of file on its channel or pipes is what it notices."""
        process.turn(Event.TOLD_TO_END)
        if process.channel is not None:
            process.channel.close()
            process.channel = None
        self._deadline = now + self._timing.stop_grace

    def _kill_stragglers(self) -> None:
        of_stage = {
            Stage.WORKERS: self._table.workers,
            Stage.CONTROL: [self._table.control],
            Stage.VALKEY: [self._table.valkey],
            Stage.LOGGER: [self._table.logger],
        }
        for process in of_stage.get(self.stage, []):
            if process.state is State.ENDING:
                self._pipes.say(f"fastgw: {process.name} did not end in time and is killed")
                process.turn(Event.KILLED)
                os.kill(process.pid, signal.SIGKILL)

"""The supervisor: a loop of verbs over the process table. It waits, heeds signals, reaps, listens, compiles,
feels pulses, heals and departs; nothing else happens here, and nothing blocks.
"""

from __future__ import annotations

import gc
import math
import os
import select
import signal
from typing import TYPE_CHECKING

from fastgw.account.series import SeriesMemory, Word
from fastgw.clock import Clock
from fastgw.gateway.document.limit_store import LimitStore
from fastgw.ipc import messages
from fastgw.ipc.channel import ChannelClosed, Received
from fastgw.supervisor import notify
from fastgw.supervisor.announce import start_lines
from fastgw.supervisor.boot import Booted
from fastgw.supervisor.crew import Crew, tell
from fastgw.supervisor.departure import Departure, Order, Stage
from fastgw.supervisor.exits import Exit
from fastgw.supervisor.health import Health
from fastgw.supervisor.processes import Event, Kind, Process, State, Table
from fastgw.supervisor.signals import SignalQueue
from fastgw.supervisor.vitals import Vitals
from fastgw.worker.follow import Change, Follower

if TYPE_CHECKING:
    from fastgw.gateway.snapshot import Snapshot
    from fastgw.supervisor.roles import Roles
    from fastgw.supervisor.settings import Settings

_ORDERS = {
    signal.SIGTERM: Order.DRAIN,
    signal.SIGQUIT: Order.QUIT,
    signal.SIGINT: Order.STOP,
}

# Control imports aiohttp first; a start is announced without it if it takes longer than this.
_CONTROL_WAIT = 5.0


class Supervisor:
    """One gateway, from the first fork to the last reap. What was bound and compiled before comes in
    `booted`."""

    def __init__(
        self, settings: Settings, roles: Roles, booted: Booted, signals: SignalQueue, clock: Clock
    ) -> None:
        self._settings = settings
        self._timing = settings.timing
        self._clock = clock
        self._signals = signals
        self._sockets = booted.sockets
        self._pipes = booted.pipes
        self._notifier = notify.Notifier(settings.environ)
        self._table = Table(settings.workers, valkey=booted.valkey is not None)
        series = SeriesMemory(settings.workers + 3)
        self._slots = [series.slot(index) for index in range(settings.workers)]
        self._logger_slot = series.slot(settings.workers + 1)
        self._valkey_slot = series.slot(settings.workers + 2)
        self._limit_store = LimitStore(None if booted.valkey is None else booted.valkey.url)
        self._limit_store.follow(settings.document.base.redis)
        self._follower = Follower(
            settings.document,
            booted.snapshot,
            roles.build,
            clock,
            on_applied=self._on_applied,
            on_rejected=self._on_rejected,
        )
        self._crew = Crew(
            settings,
            roles,
            clock,
            table=self._table,
            sockets=booted.sockets,
            pipes=booted.pipes,
            series=series,
            follower=self._follower,
            limit_store=self._limit_store,
            valkey=booted.valkey,
        )
        self._departure = Departure(self._table, booted.sockets, booted.pipes, self._timing, clock)
        self._health = Health(self._table, self._slots, self._timing)
        self._vitals = None if booted.valkey is None else Vitals(booted.valkey.socket_path, self._table.valkey)
        self._next_tick = clock.now()
        self._announce_by = clock.now() + _CONTROL_WAIT
        self._valkey_by = clock.now() + self._timing.valkey_wait
        self._announced = False
        self._reload_wanted = False
        self._code = Exit.OK

    def run(self) -> Exit:
        while self._departure.stage is not Stage.DONE:
            self._heal()
            self._wait()
            self._heed_signals()
            self._reap()
            self._listen()
            self._look_at_valkey()
            self._compile()
            self._tick()
            self._announce()
            if self._departure.going:
                self._departure.step()
        return self._code

    # wait

    def _wait(self) -> None:
        """Until something happens or is due. The poll object is made anew: a handful of descriptors, a few
        turns a second."""
        poll = select.poll()
        poll.register(self._signals.fileno(), select.POLLIN)
        for process in self._table:
            if process.channel is not None:
                wanted = select.POLLIN | (select.POLLOUT if process.channel.wants_write else 0)
                poll.register(process.channel.fileno(), wanted)
        if self._vitals is not None and self._vitals.connected:
            poll.register(self._vitals.fileno(), select.POLLIN)
        wait = 0.0 if self._follower.busy else max(0.0, self._due() - self._clock.now())
        poll.poll(math.ceil(wait * 1000))

    def _due(self) -> float:
        due = self._next_tick
        if self._departure.going:
            return min(due, self._departure.due())
        if self._vitals is not None:
            due = min(due, self._vitals.due())
        held = self._holding_workers()
        waiting = (
            process.due_at
            for process in self._table
            if process.state is State.WAITING and not (held and process.kind is Kind.WORKER)
        )
        return min(due, *waiting, due)

    # signals

    def _heed_signals(self) -> None:
        for number in self._signals.take():
            if number in _ORDERS:
                self._depart(_ORDERS[number])
            elif number is signal.SIGHUP:
                self._reload()
            elif number is signal.SIGUSR1 and self._table.logger.alive:
                os.kill(self._table.logger.pid, signal.SIGUSR1)

    def _depart(self, order: Order) -> None:
        if not self._departure.going:
            self._notifier.send(notify.STOPPING)
        self._departure.order(order, self._follower.document.base.drain)

    def _reload(self) -> None:
        if self._departure.going:
            return
        self._notifier.send(notify.reloading(self._clock.now()))
        self._reload_wanted = True
        if self._table.control.state is State.SERVING:
            tell(self._table.control, messages.reload())
        # Otherwise it is asked as soon as it is ready.

    # reap

    def _reap(self) -> None:
        """Only our own children, one by one: whoever embeds the supervisor may have others."""
        for process in self._table:
            if process.alive:
                pid, status = os.waitpid(process.pid, os.WNOHANG)
                if pid:
                    self._buried(process, status)

    def _buried(self, process: Process, status: int) -> None:
        # What it still said, the reason of a failed start for one.
        self._hear(process)
        told = process.state in {State.ENDING, State.DOOMED}
        code = os.waitstatus_to_exitcode(status)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if process.error:
            how += f" ({process.error})"
        pid = process.pid
        process.died(self._clock.now())
        if process.kind is Kind.WORKER:
            tell(self._table.control, messages.worker_gone(process.index, pid))
        if told:
            return
        if process.kind is Kind.LOGGER:
            self._logger_slot.set(Word.RESPAWNS, process.backoff.deaths)
        if process.kind is Kind.VALKEY:
            self._valkey_slot.set(Word.RESPAWNS, process.backoff.deaths)
            self._valkey_slot.set(Word.PID, 0)
        if process.kind is Kind.WORKER:
            self._slots[process.index].set(Word.RESPAWNS, process.backoff.deaths)
            if self._cannot_boot(process, how):
                return
        wait = process.due_at - self._clock.now()
        again = f"started again in {wait:.1f} s" if wait > 0 else "started again at once"
        self._pipes.say(f"fastgw: {process.name} (pid {pid}) {how}; {again}")

    def _cannot_boot(self, worker: Process, how: str) -> bool:
        """Before any start has succeeded a worker that fails again and again ends the start."""
        if self._announced or worker.served:
            return False
        if not worker.error and worker.backoff.deaths < self._timing.boot_attempts:
            return False
        cause = worker.error or f"{worker.name} {how} {worker.backoff.deaths} times before it served"
        self._pipes.say(f"fastgw: cannot start: {cause}")
        self._code = Exit.CANNOT_BOOT
        self._depart(Order.STOP)
        return True

    # listen to the children

    def _listen(self) -> None:
        for process in self._table:
            self._hear(process)

    def _hear(self, process: Process) -> None:
        channel = process.channel
        if channel is None:
            return
        try:
            # First what it said: one that is dying takes nothing any more, but may have said why.
            for received in channel.receive():
                if received.fd is not None:
                    os.close(received.fd)  # no message to the supervisor carries one
                if process.kind is Kind.WORKER:
                    self._on_worker(process, received)
                else:
                    self._on_control(process, received)
            channel.flush()
        except ChannelClosed:
            # It is dying, or is about to: the reaper sees to it.
            channel.close()
            process.channel = None

    def _on_worker(self, worker: Process, received: Received) -> None:
        match received.type:
            case "serving" if worker.state is State.STARTING:
                worker.turn(Event.SERVES)
            case "failed":
                worker.error = str(received.message["error"])
            case "control_lost":
                worker.connected = False

    def _on_control(self, control: Process, received: Received) -> None:
        message = received.message
        match received.type:
            case "ready" if control.state is State.STARTING:
                control.turn(Event.SERVES)
                if self._reload_wanted:
                    tell(control, messages.reload())
            case "reloaded":
                self._reload_wanted = False
                self._notifier.send(notify.READY)
            case "addresses":
                self._crew.remember_addresses(message)
            case "keys":
                self._crew.remember_keys(message)
            case "config" if received.payload is not None:
                change = Change(
                    int(message["version"]), str(message["hash"]), message["base_hash"], received.payload
                )
                if not self._follower.offer(change):
                    tell(control, self._crew.hello())

    # compile

    def _compile(self) -> None:
        if self._follower.busy:
            gc.disable()  # a collection over a growing snapshot of 10,000 routes takes 100 ms
            self._follower.run_slice(self._timing.compile_slice)
            gc.enable()

    def _on_applied(self, snapshot: Snapshot) -> None:
        self._limit_store.follow(snapshot.document.base.redis)
        gc.freeze()  # the next fork shares these pages as long as nobody writes to them
        tell(self._table.control, messages.applied(snapshot.version, snapshot.hash))

    def _on_rejected(self, version: int, error: str) -> None:
        self._pipes.say(f"fastgw: configuration {version} does not compile: {error}")
        tell(self._table.control, messages.rejected(version, error))

    # feel pulses

    def _tick(self) -> None:
        now = self._clock.now()
        if now < self._next_tick:
            return
        # From now on, not from when it was due: a pause of the machine is one tick, however long.
        self._next_tick = now + self._timing.tick
        silent = self._health.silent()
        if self._vitals is not None and self._vitals.missed() >= self._timing.dead_ticks:
            silent.append(self._table.valkey)
        for process in silent:
            self._pipes.say(
                f"fastgw: {process.name} (pid {process.pid}) has not moved for "
                f"{process.pulse.missed * self._timing.tick:.0f} s and is killed"
            )
            process.turn(Event.KILLED)
            os.kill(process.pid, signal.SIGKILL)
        self._health.adopt(now)

    # the embedded Valkey

    def _look_at_valkey(self) -> None:
        if self._vitals is not None and self._vitals.look(self._clock.now()):
            self._table.valkey.turn(Event.SERVES)

    def _holding_workers(self) -> bool:
        """At the start: until there is somebody whom they can ask, or it is clear that there will not soon be."""
        valkey = self._table.valkey
        if self._vitals is None or valkey.served or valkey.backoff.deaths or self._departure.going:
            return False
        return self._clock.now() < self._valkey_by

    # heal

    def _heal(self) -> None:
        now = self._clock.now()
        held = self._holding_workers()
        for process in self._table:
            if process.state is State.WAITING and process.due_at <= now:
                if self._departure.going and process.kind not in {Kind.LOGGER, Kind.VALKEY}:
                    continue
                if held and process.kind is Kind.WORKER:
                    continue
                self._crew.spawn(process)
        self._crew.connect()

    # announce

    def _announce(self) -> None:
        if self._announced or not all(worker.state is State.SERVING for worker in self._table.workers):
            return
        control = self._table.control
        late = self._clock.now() >= self._announce_by or control.backoff.deaths
        if control.state is State.SERVING or late:
            self._announced = True
            for line in start_lines(self._settings, self._sockets, self._limit_store):
                self._pipes.say(line)
            self._notifier.send(notify.READY)

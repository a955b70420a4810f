"""The composition root of one data-plane process: builds everything, serves, follows, and ends in order.

What happens per request is not here but in the data plane; nothing here runs more often than ten times a
second.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import traceback
from types import FrameType
from typing import Any

import uvloop

from fastgw.account.series import Word, WorkerState
from fastgw.clock import Clock, SystemClock
from fastgw.ipc import messages
from fastgw.ipc.channel import Channel, Received
from fastgw.ipc.watch import WatchedChannel
from fastgw.worker.birth import Birth
from fastgw.worker.control_link import ControlLink
from fastgw.worker.ending import Ending, How
from fastgw.worker.listening import Listening

# How often a worker looks at its siblings' slots and at its parent.
_LOOK = 0.1

# Names of targets are resolved by control, which needs half a second at a cold start. A gateway whose
# resolver does not answer serves after this all the same: the routes that need it answer 502 `dns_error`.
_ADDRESS_WAIT = 5.0

# Beyond `drain.timeout`, after which an orphan is ended by the kernel whatever it does.
_ORPHAN_GRACE = 2.0

# How often an unfinished drain looks whether it is done.
_DRAIN_LOOK = 0.02

# Nothing on the data plane makes reference cycles, so collections only serve what the libraries leave behind.
_GC_THRESHOLDS = (20_000, 50, 100)

_ORDERS = {"drain": How.DRAIN, "quit": How.QUIT, "stop": How.STOP}


def main(birth: Birth) -> int:
    """Runs in a fresh fork; returns the exit code."""
    gc.set_threshold(*_GC_THRESHOLDS)
    slot = birth.series.slot(birth.index)
    slot.reset_for_birth()
    clock = SystemClock()
    slot.set(Word.PID, os.getpid())
    slot.set(Word.BORN_AT, int(clock.now() * 1000))
    slot.set(Word.STATE, WorkerState.STARTING)
    _end_torn_line(birth.log_fd)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = Worker(birth, loop, clock)
    return loop.run_until_complete(worker.run())


def _end_torn_line(log_fd: int) -> None:
    """A predecessor that was killed may have left half a line in the pipe; the mark makes the logger look closer."""
    try:
        os.write(log_fd, b"!\n")
    except OSError:
        pass  # the pipe is full: the logger is blocked, and drops what makes no line


class Worker:
    def __init__(self, birth: Birth, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._birth = birth
        self._loop = loop
        self._clock = clock
        self._slot = birth.series.slot(birth.index)
        self._ending = Ending()
        self._addresses_came = asyncio.Event()
        self._plane = birth.plane(
            loop, birth.snapshot, self._slot, birth.index, birth.workers, birth.log_fd, clock,
            birth.limit_store.options,
        )  # fmt: skip
        self._listening = Listening(birth, self._plane)
        self._control = ControlLink(
            birth, loop, clock, self._plane, on_addresses=self._on_addresses, on_lost=self._on_control_lost
        )
        self._command = WatchedChannel(loop, Channel(birth.command), self._on_command, self._on_orphaned)
        loop.set_exception_handler(self._on_stray_exception)
        signal.signal(signal.SIGUSR2, self._on_parent_died)

    async def run(self) -> int:
        for known in self._birth.addresses:
            self._control.set_addresses(known)
        for known in self._birth.keys:
            self._control.set_keys(known)
        self._plane.start()
        try:
            await self._start()
        except OSError as error:
            self._command.send(messages.failed(f"cannot accept connections: {error}"))
            self._plane.flush_log()
            return 1
        looking = self._loop.create_task(self._look())
        await self._ending.beyond(How.NOT)
        await self._drain()
        looking.cancel()
        self._plane.abort()
        await asyncio.sleep(0)  # what was aborted reaches the ledger in the callbacks of this turn
        self._plane.stop()
        self._plane.flush_log()
        return 0

    async def _start(self) -> None:
        """Accept, once targets' addresses and issuers' keys are known (or have been waited for long enough)."""
        try:
            async with asyncio.timeout(_ADDRESS_WAIT):
                while self._is_incomplete() and self._ending.how is How.NOT:
                    self._addresses_came.clear()
                    await self._addresses_came.wait()
        except TimeoutError:
            self._plane.log(
                f"worker {self._birth.index}: serves although a target's name is not resolved yet, "
                "or an issuer's keys are not fetched"
            )
        if self._ending.how is How.NOT:
            await self._listening.open()
            self._slot.set(Word.STATE, WorkerState.SERVING)
            self._command.send(messages.serving())

    def _is_incomplete(self) -> bool:
        return self._plane.needs_addresses() or self._control.needs_keys()

    async def _drain(self) -> None:
        """The phases of design section 3: not ready, then no keep-alive, then no accepting, then the
        deadline."""
        self._slot.set(Word.STATE, WorkerState.DRAINING)
        drain = self._control.follower.document.base.drain
        self._plane.begin_drain()
        if self._ending.how is How.DRAIN:
            await self._ending.beyond(How.DRAIN, drain.delay)
        if self._ending.how < How.ORPHANED:
            # Before anything is closed: whoever loses a connection makes a new one at once.
            await self._listening.finish()
        self._listening.close()
        self._plane.close_when_idle()
        until = self._clock.now() + drain.timeout
        while self._plane.connections() and self._clock.now() < until:
            await self._ending.beyond(How.ORPHANED, _DRAIN_LOOK)
            if self._ending.how is How.STOP:
                return

    async def _look(self) -> None:
        """The slow pulse: adoption, the parent, garbage."""
        turn = 0
        while True:
            await asyncio.sleep(_LOOK)
            if os.getppid() != self._birth.supervisor_pid:
                self._on_orphaned()
            try:
                await self._listening.heed_siblings()
            except OSError as error:
                self._plane.log(f"worker {self._birth.index}: cannot accept for a sibling: {error}")
            if turn % 100 == 99 and not self._plane.in_flight():
                gc.collect(1)  # the young generations, while nobody waits: under a millisecond
            turn += 1

    def _on_command(self, received: Received) -> None:
        order = _ORDERS.get(received.type)
        if order is not None:
            self._ending.order(order)
        elif received.type == "control" and received.fd is not None:
            self._control.attach(received.fd)
        # A drain or a stop may come while names are still being waited for.
        self._addresses_came.set()

    def _on_addresses(self) -> None:
        self._addresses_came.set()

    def _on_control_lost(self) -> None:
        self._command.send(messages.control_lost())

    def _on_orphaned(self) -> None:
        if self._ending.how < How.ORPHANED:
            self._plane.log(f"worker {self._birth.index}: the supervisor is gone; finishing")
            self._arm()
            self._listening.close(orphaned=True)
            self._ending.order(How.ORPHANED)
            self._addresses_came.set()

    def _on_parent_died(self, number: int, frame: FrameType | None) -> None:
        # The channel's end of file does the rest, as soon as the loop runs. If it never does, the alarm ends
        # us.
        self._arm()

    def _arm(self) -> None:
        """SIGALRM's default action needs neither the loop nor the interpreter: no orphan outlives its
        deadline."""
        drain = self._birth.document.base.drain
        signal.setitimer(signal.ITIMER_REAL, drain.timeout + _ORPHAN_GRACE)

    def _on_stray_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A defect in a callback costs its connection, not the worker; the operator sees where it is."""
        error = context.get("exception")
        text = str(context.get("message", ""))
        if isinstance(error, BaseException):
            text += "\n" + "".join(traceback.format_exception(error))
        for line in text.rstrip().splitlines():
            self._plane.log(f"worker {self._birth.index}: {line}")

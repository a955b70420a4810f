"""Whether the store is asked: connecting, the answers' deadline, the limiter's own breaker and its probe.

The breaker is the connection's life: there is one only after a greeting that ended with a decision of the real script,
and it is dropped when the store fails. So a stalled store costs its timeout a few times, not once per request. What
a failure means for a request is limiter.py's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from enum import IntEnum
from random import Random
from typing import Final, Protocol

from hiredis import ReplyError

from fastgw.clock import Clock
from fastgw.limiter.command import Command, Malformed
from fastgw.limiter.options import LimiterOptions, StoreAddress
from fastgw.limiter.script import SHA, TEXT, spec
from fastgw.limiter.wire import Link, StoreError, said

TICK: Final = 0.005  # how often the deadlines of commands are looked at, while there are any
MAX_FAILURES: Final = 3  # in a row, and the store is left alone; so is it if
MANY: Final = 8  # so many decisions run out of time at once
# Together less than 2 s: by then limits are exact again after the store's return.
DIAL_TIMEOUT: Final = 0.8  # for a connection and its greeting
SHORT_LIFE: Final = 1.0  # a connection that is lost sooner has failed
FIRST_WAIT: Final = 0.1  # between two attempts, doubling
LONGEST_WAIT: Final = 0.8


class State(IntEnum):
    CLOSED = 0  # not started, or ended
    JOINING = 1  # connecting at the start or after a loss: commands wait for it, within their timeout
    LIVE = 2
    DOWN = 3  # the breaker is open: nothing is asked; an attempt to connect is under way or planned


# Legal moves; anything else is a defect.
MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.CLOSED: frozenset({State.JOINING}),
    State.JOINING: frozenset({State.LIVE, State.DOWN, State.CLOSED}),
    State.LIVE: frozenset({State.JOINING, State.DOWN, State.CLOSED}),
    State.DOWN: frozenset({State.LIVE, State.CLOSED}),
}


class Owner(Protocol):
    def on_answered(self, command: Command, outcomes: bytes) -> None: ...

    def on_failed(self, commands: list[Command]) -> None:
        """The store will not decide them: their answers, if any come, concern nobody."""


class Store:
    __slots__ = (
        "_clock", "_delay", "_dialing", "_down_since", "_due", "_failures", "_joined_at", "_late", "_link", "_log",
        "_loop", "_owner", "_random", "_retry", "_sweep_at", "_timer", "_tls", "_unsent", "asking", "commands",
        "errors", "options", "state", "timeouts",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        options: LimiterOptions,
        owner: Owner,
        log: Callable[[str], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self.options = options
        self._owner = owner
        self._log = log
        self._random = Random()  # so that workers do not come back in step
        self._tls = tls or (ssl.create_default_context() if options.address.tls else None)
        self.state = State.CLOSED
        self.asking = False  # in JOINING and LIVE: a command may be sent
        self._link: Link | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._delay = FIRST_WAIT
        self._failures = 0  # in a row
        self._down_since = 0.0
        self._joined_at = 0.0
        # Commands that wait, in the order of their deadlines; those not yet sent are in both.
        self._due: deque[Command] = deque()
        self._unsent: deque[Command] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._sweep_at = 0.0
        self._late = False
        self.commands = 0
        self.timeouts = 0
        self.errors = 0

    # --- the owner's side -------------------------------------------------------------------------------------

    def start(self) -> None:
        self._move(State.JOINING)
        self._dial()

    def close(self) -> None:
        """End it: everything that waits fails."""
        if self.state is State.CLOSED:
            return
        self._move(State.CLOSED)
        for handle in (self._timer, self._retry, self._dialing):
            if handle is not None:
                handle.cancel()
        self._timer = self._retry = self._dialing = None
        self._drop("closed")
        self._fail(self._give_up())

    def send(self, command: Command) -> None:
        """Only while `asking`."""
        command.sent_at = self._clock.now()
        self._due.append(command)
        if self._timer is None:
            self._arm(TICK)
        if self._link is not None:
            self._write(self._link, command)
        else:
            self._unsent.append(command)

    # --- answers ----------------------------------------------------------------------------------------------

    def _write(self, link: Link, command: Command) -> None:
        self.commands += 1
        link.send(command.encode(), _Sent(self, link, command))

    def take(self, link: Link, command: Command, answer: object) -> None:
        """An answer to a command that was sent on this link."""
        if isinstance(answer, ReplyError):
            if str(answer).startswith("NOSCRIPT") and not command.repeated:
                if not command.settled:
                    command.repeated = True
                    self._write(link, command)
            elif not command.settled:
                self.errors += 1
                self._failed([command], said(answer))
            return
        if command.settled:
            return
        try:
            outcomes = command.read(answer, self._clock.now())
        except Malformed:
            link.close("its answer is not one to what was asked")
            return
        self._failures = 0
        self._delay = FIRST_WAIT
        command.settle()
        due = self._due
        while due and due[0].settled:
            due.popleft()
        self._owner.on_answered(command, outcomes)

    # --- failures ---------------------------------------------------------------------------------------------

    def _failed(self, commands: list[Command], cause: str) -> None:
        self._failures += len(commands)
        if self._failures >= MAX_FAILURES and self.asking:
            commands = [*commands, *(each for each in self._go_down(cause) if each not in commands)]
        self._fail(commands)

    def _fail(self, commands: list[Command]) -> None:
        for command in commands:
            command.settle()
        if commands:
            self._owner.on_failed(commands)

    def _go_down(self, cause: str) -> list[Command]:
        """Open the breaker; returns what waited."""
        self._move(State.DOWN)
        self._down_since = self._clock.now()
        self._log(
            f"limits: {self.options.address.shown} is not asked until it decides again ({cause}); "
            "each limit does as its on_error says"
        )
        waited = self._give_up()
        self._drop(cause)
        if self._dialing is None:
            self._plan()
        return waited

    def _give_up(self) -> list[Command]:
        waited = [command for command in self._due if not command.settled]
        self._due.clear()
        self._unsent.clear()
        return waited

    def _drop(self, cause: str) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close(cause)

    def _lost(self, link: Link, cause: str) -> None:
        """A link is closed. One that we have dropped ourselves is no longer ours."""
        if link is not self._link:
            return
        self._link = None
        self.errors += 1
        waited = self._give_up()
        if (
            waited or self._clock.now() - self._joined_at < SHORT_LIFE
        ):  # else an idle connection that was tidied away
            self._failures += 1
        if self._failures >= MAX_FAILURES:
            self._go_down(cause)
        else:
            self._move(State.JOINING)
            self._dial()
        self._fail(waited)

    # --- deadlines --------------------------------------------------------------------------------------------

    def _arm(self, delay: float) -> None:
        self._sweep_at = self._clock.now() + delay
        self._timer = self._loop.call_later(delay, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = self._clock.now()
        due = self._due
        while due and due[0].settled:
            due.popleft()
        if not due:
            return
        if now - self._sweep_at > TICK and not self._late:
            # The loop or the machine stood still: an answer that came in time may wait in the kernel, unread.
            self._late = True
            self._arm(0.001)
            return
        self._late = False
        before = now - self.options.timeout
        expired = []
        while due and (due[0].settled or due[0].sent_at <= before):
            command = due.popleft()
            if not command.settled:
                expired.append(command)
        if expired:
            self.timeouts += len(expired)
            if self.state is State.JOINING or sum(len(each.decisions) for each in expired) >= MANY:
                self._failures = MAX_FAILURES
            self._failed(expired, f"no answer within {self.options.timeout * 1000:g} ms")
        if self._due and self._timer is None:
            self._arm(TICK)

    # --- connecting -------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """The next attempt, after a wait that grows."""
        delay = self._delay * self._random.uniform(0.8, 1.2)
        self._delay = min(self._delay * 2.0, LONGEST_WAIT)
        self._retry = self._loop.call_later(delay, self._dial)

    def _dial(self) -> None:
        self._retry = None
        self._dialing = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        link = Link(self._loop, self._lost)
        try:
            async with asyncio.timeout(DIAL_TIMEOUT):
                await self._open(link)
                await self._greet(link)
        except (
            StoreError,
            OSError,
            ValueError,
        ) as error:  # TimeoutError is an OSError; ValueError: a host's name
            cause = _cause(error)
            link.close(cause)
            self._dialing = None
            if self.state is State.JOINING:
                self.errors += 1
                self._fail(self._go_down(cause))
            elif self.state is State.DOWN:
                self._plan()
            return
        except asyncio.CancelledError:
            link.close("closed")
            raise
        self._dialing = None
        self._join(link)

    async def _open(self, link: Link) -> None:
        address = self.options.address
        if address.path:
            await self._loop.create_unix_connection(lambda: link, address.path)
        else:
            await self._loop.create_connection(
                lambda: link, address.host, address.port, ssl=self._tls if address.tls else None
            )

    async def _greet(self, link: Link) -> None:
        """Who we are, the script, and a decision that writes: so that a store which is full, read-only or still
        loading is not taken for one that is back."""
        address = self.options.address
        await _log_in(link, address)
        if await link.ask(b"SCRIPT", b"LOAD", TEXT) != SHA:
            raise StoreError("it names our script otherwise")
        asked_at = self._clock.now()
        answer = await link.ask(
            b"EVALSHA", SHA, b"1", self.options.prefix + b"{probe}", spec(1e6, 1e6), b"\1\0"
        )
        if type(answer) is not list or len(answer) != 2 or answer[0] != b"1":
            raise StoreError("its answer is not one to what was asked")
        if link.cause:
            raise StoreError(link.cause)
        took = self._clock.now() - asked_at
        if self.state is State.DOWN and took > self.options.timeout:
            raise StoreError(f"it took {took * 1000:.0f} ms to decide")

    def _join(self, link: Link) -> None:
        if self.state is State.DOWN:
            self._log(
                f"limits: {self.options.address.shown} decides again, "
                f"after {self._clock.now() - self._down_since:.1f} s"
            )
            self._failures = MAX_FAILURES - 1  # half open: the next failure opens the breaker again
        self._link = link
        self._joined_at = self._clock.now()
        self._move(State.LIVE)
        unsent, self._unsent = self._unsent, deque()
        for command in unsent:
            if not command.settled:
                self._write(link, command)

    def _move(self, to: State) -> None:
        if to not in MOVES[self.state]:
            raise RuntimeError(f"the store cannot go from {self.state.name} to {to.name}")
        self.state = to
        self.asking = to is State.JOINING or to is State.LIVE


class _Sent:
    """A command in a link's queue. It outlives the command's own patience: a late answer ends here."""

    __slots__ = ("_command", "_link", "_store")

    def __init__(self, store: Store, link: Link, command: Command) -> None:
        self._store = store
        self._link = link
        self._command = command

    def on_answer(self, answer: object) -> None:
        self._store.take(self._link, self._command, answer)


async def _log_in(link: Link, address: StoreAddress) -> None:
    if address.password:
        words = [word.encode() for word in (address.username, address.password) if word]
        if await link.ask(b"AUTH", *words) != b"OK":
            raise StoreError("it does not let us in")
    if address.database and await link.ask(b"SELECT", b"%d" % address.database) != b"OK":
        raise StoreError("it has no such database")


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection and greeting within {DIAL_TIMEOUT:g} s"
    if isinstance(error, StoreError):
        return str(error)
    return str(getattr(error, "strerror", None) or error or type(error).__name__)

"""The process table: what each place in it is doing, and which change of that is legal.

One writer (the supervisor's loop), one way to change a state (`Process.turn`); anything else raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto

from fastgw.ipc.channel import Channel
from fastgw.supervisor.backoff import Backoff
from fastgw.supervisor.heartbeat import Pulse


class Kind(Enum):
    WORKER = "worker"
    CONTROL = "control"
    LOGGER = "logger"
    VALKEY = "valkey"


class State(Enum):
    WAITING = auto()  # no process; one is started when its time comes
    STARTING = auto()  # forked, has not said that it serves
    SERVING = auto()
    ENDING = auto()  # told to end, not to be replaced
    KILLED = auto()  # sent SIGKILL, to be replaced
    DOOMED = auto()  # sent SIGKILL, not to be replaced
    GONE = auto()  # no process, and none will come


class Event(Enum):
    SPAWNED = auto()
    SERVES = auto()
    TOLD_TO_END = auto()
    KILLED = auto()
    DIED = auto()


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.WAITING, Event.SPAWNED): State.STARTING,
    (State.WAITING, Event.TOLD_TO_END): State.GONE,
    (State.STARTING, Event.SERVES): State.SERVING,
    (State.STARTING, Event.TOLD_TO_END): State.ENDING,
    (State.STARTING, Event.KILLED): State.KILLED,
    (State.STARTING, Event.DIED): State.WAITING,
    (State.SERVING, Event.TOLD_TO_END): State.ENDING,
    (State.SERVING, Event.KILLED): State.KILLED,
    (State.SERVING, Event.DIED): State.WAITING,
    (State.ENDING, Event.KILLED): State.DOOMED,
    (State.ENDING, Event.DIED): State.GONE,
    (State.KILLED, Event.TOLD_TO_END): State.DOOMED,
    (State.KILLED, Event.DIED): State.WAITING,
    (State.DOOMED, Event.DIED): State.GONE,
}

# The states in which there is a process to reap.
ALIVE = frozenset({State.STARTING, State.SERVING, State.ENDING, State.KILLED, State.DOOMED})


class IllegalTransition(Exception):
    """A defect: the loop tried to do something to a process that its state does not allow."""


class Process:
    """One place in the table. The process that fills it changes; the place, its index and its memory stay."""

    __slots__ = (
        "backoff", "born_at", "channel", "connected", "due_at", "error", "index", "kind", "pid", "pulse",
        "served", "state",
    )  # fmt: skip

    def __init__(self, kind: Kind, index: int = 0) -> None:
        self.kind = kind
        self.index = index
        self.state = State.WAITING
        self.backoff = Backoff()
        self.pulse = Pulse()
        self.due_at = 0.0  # while WAITING: not before then
        self.served = False  # whether any process in this place ever served
        # Of the process that fills the place now:
        self.pid = 0
        self.born_at = 0.0
        self.channel: Channel | None = None
        self.connected = False  # a worker: has a channel to the control process that lives now
        self.error = ""  # what it said about why it cannot start

    @property
    def name(self) -> str:
        return f"worker {self.index}" if self.kind is Kind.WORKER else self.kind.value

    @property
    def alive(self) -> bool:
        return self.state in ALIVE

    def turn(self, event: Event) -> None:
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise IllegalTransition(f"{self.name} is {self.state.name}: {event.name} is not possible")
        self.state = following
        if following is State.SERVING:
            self.served = True

    def spawned(self, pid: int, channel: Channel | None, now: float) -> None:
        self.turn(Event.SPAWNED)
        self.pid = pid
        self.channel = channel
        self.born_at = now
        self.connected = False
        self.error = ""
        self.pulse.reset()

    def died(self, now: float) -> None:
        """Reaped. Where it is to be replaced, `due_at` says from when."""
        self.turn(Event.DIED)
        if self.channel is not None:
            self.channel.close()
        self.channel = None
        self.pid = 0
        self.connected = False
        self.due_at = now + self.backoff.died(now - self.born_at)


class Table:
    """All places: the workers by index, control, the logger, the embedded Valkey (gone from the outset where the
    configuration wants none)."""

    __slots__ = ("control", "logger", "valkey", "workers")

    def __init__(self, workers: int, *, valkey: bool = False) -> None:
        self.workers = [Process(Kind.WORKER, index) for index in range(workers)]
        self.control = Process(Kind.CONTROL)
        self.logger = Process(Kind.LOGGER)
        self.valkey = Process(Kind.VALKEY)
        if not valkey:
            self.valkey.turn(Event.TOLD_TO_END)

    def __iter__(self) -> Iterator[Process]:
        """The logger first: what the others have to say at birth must have a reader. Then whom they will ask."""
        yield self.logger
        yield self.valkey
        yield self.control
        yield from self.workers

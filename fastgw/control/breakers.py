"""What the workers say of their breakers, and what an operator has forced: kept until it expires, for workers that are
born meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fastgw.clock import Clock
from fastgw.control.operator_log import OperatorLog
from fastgw.ipc import messages
from fastgw.ipc.messages import Message

CLOSED: Final = "closed"
AUTO: Final = "auto"
ITSELF: Final = ""  # the target of an upstream's own breaker

Forget = Callable[[Callable[[Mapping[str, object]], bool]], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """The last word of a worker about one breaker."""

    state: str
    cause: str
    since: float  # wall clock
    probe_at: float  # wall clock; 0: no probe is due
    forced: bool

    def plain(self, worker: int) -> dict[str, object]:
        return {
            "worker": worker,
            "state": self.state,
            "cause": self.cause,
            "since": self.since or None,
            "probe_at": self.probe_at or None,
            "forced": self.forced,
        }


# Of a worker that has said nothing: it tells every state but this one.
QUIET: Final = Heard(CLOSED, "", 0.0, 0.0, False)


@dataclass(frozen=True, slots=True)
class Force:
    state: str
    until: float  # wall clock


class Breakers:
    """`tell` sends a fact to every worker and to those that come, `forget` drops facts that its argument refuses."""

    def __init__(
        self, tell: Callable[[Message], None], forget: Forget, log: OperatorLog, clock: Clock
    ) -> None:
        self._tell = tell
        self._forget = forget
        self._log = log
        self._clock = clock
        self._heard: dict[int, dict[tuple[str, str], Heard]] = {}
        self._forced: dict[tuple[str, str], Force] = {}
        self._decided: set[tuple[str, str]] = set()  # what this process itself was told to force, or to leave

    def heard(self, worker: int, message: Mapping[str, object]) -> None:
        where = (str(message["upstream"]), str(message["target"]))
        self._heard.setdefault(worker, {})[where] = Heard(
            str(message["state"]),
            str(message["cause"]),
            float(str(message["at"])),
            float(str(message["probe_at"])),
            bool(message["forced"]),
        )
        self._learn(where, str(message["state"]), float(str(message["until"])))

    def _learn(self, where: tuple[str, str], state: str, until: float) -> None:
        """What was forced before this process was born, out of the workers' mouths: for those that are born after it.
        A worker's word is older than an operator's to this process."""
        if until > self._clock.wall() and where not in self._decided and where not in self._forced:
            self._forced[where] = Force(state, until)
            self._tell(messages.force_breaker(*where, state, until))

    def gone(self, worker: int) -> None:
        """Its successor begins with closed ones."""
        self._heard.pop(worker, None)

    def of(self, worker: int, upstream: str, target: str) -> Heard:
        return self._heard.get(worker, {}).get((upstream, target), QUIET)

    def forced(self, upstream: str, target: str) -> Force | None:
        return self._forced.get((upstream, target))

    def force(self, upstream: str, target: str, state: str, seconds: float, by: str) -> Force:
        """`auto` ends what was forced before; otherwise for so many seconds."""
        what = f"{target} of {upstream}" if target else upstream
        until = 0.0 if state == AUTO else self._clock.wall() + seconds
        made = Force(state, until)
        self._decided.add((upstream, target))
        self._tell(messages.force_breaker(upstream, target, state, until))
        if state == AUTO:
            self._drop({(upstream, target)})
            self._log.say(f"control: the breaker of {what} is left to itself again ({by})")
        else:
            self._forced[upstream, target] = made
            self._log.say(f"control: the breaker of {what} is forced {state} for {seconds:g} s ({by})")
        return made

    def expire(self) -> None:
        """Now and then: what was forced for a time is over. The workers have their own clocks for it."""
        now = self._clock.wall()
        over = {where for where, force in self._forced.items() if force.until <= now}
        if over:
            self._drop(over)

    def keep(self, labels: Mapping[str, Iterable[str]]) -> None:
        """Of the upstreams that have breakers, with their targets' labels; nothing is remembered of any other."""
        wanted = {(name, label) for name, each in labels.items() for label in (ITSELF, *each)}
        for states in self._heard.values():
            for where in [where for where in states if where not in wanted]:
                del states[where]
        self._decided &= wanted
        over = {where for where in self._forced if where not in wanted}
        if over:
            self._drop(over)

    def wants(self, message: Mapping[str, object]) -> bool:
        """Whether this fact is still one."""
        return (message["upstream"], message["target"]) in self._forced

    def _drop(self, over: set[tuple[str, str]]) -> None:
        for where in over:
            self._forced.pop(where, None)
        self._forget(lambda message: message["type"] != "force_breaker" or self.wants(message))

"""The steward of health: asks every target whose upstream has `health`, again and again, and says what changed.

Only control asks; workers are told. A target is healthy until checks say otherwise, and its state is kept by identity:
it survives every reload that keeps its upstream's `health` and its address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fastgw.clock import Clock
from fastgw.control.health_check import Probe, Verdict
from fastgw.control.operator_log import OperatorLog
from fastgw.control.targets import Targets
from fastgw.ipc import messages
from fastgw.ipc.messages import Message
from fastgw.upstream.failure_options import HealthOptions
from fastgw.upstream.options import TargetOptions, UpstreamOptions
from fastgw.upstream.place import Place, host_field
from fastgw.upstream.tls import TlsContexts, server_name

# Checks at a time. Targets that do not answer hold their turn for `timeout`; more of them than this delay the rest.
CONCURRENT: Final = 128
# The first checks of many targets do not leave in one burst: within this share of the interval, and half a second.
FIRST_SPREAD: Final = 0.1
FIRST_SPREAD_AT_MOST: Final = 0.5
# Later ones drift apart, and away from those of other gateways: the interval, a tenth more or less.
JITTER: Final = 0.1

Check = Callable[[Probe], Awaitable[Verdict]]
Sleep = Callable[[float], Awaitable[object]]
Key = tuple[str, Place]  # upstream, place


@dataclass(slots=True)
class Watched:
    """What is known of one target."""

    label: str
    options: HealthOptions
    probe: Probe
    healthy: bool = True
    cause: str = "not checked yet"
    checked_at: float = 0.0  # wall clock; 0: not yet
    changed_at: float = 0.0
    told: bool = False  # whether the workers know: those that outlived a control process may believe otherwise
    good: int = 0  # verdicts in a row
    bad: int = 0
    task: asyncio.Task[None] | None = None


class HealthSteward:
    """`tell` gets a `health` message when a target's state changes, and once when it is first known."""

    def __init__(
        self,
        targets: Targets,
        check: Check,
        tell: Callable[[Message], None],
        log: OperatorLog,
        clock: Clock,
        random: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._targets = targets
        self._check = check
        self._tell = tell
        self._log = log
        self._clock = clock
        self._random = random
        self._sleep = sleep
        self._turns = asyncio.Semaphore(CONCURRENT)
        self._contexts = TlsContexts()
        self._watched: dict[Key, Watched] = {}

    def follow(self) -> None:
        """The document or an address has changed: watch exactly the targets that are wanted now."""
        wanted: dict[Key, tuple[HealthOptions, Probe]] = {}
        for name, upstream in self._targets.upstreams.items():
            if upstream.health is None:
                continue
            for known in self._targets.of(name):
                if known.place is not None:
                    probe = self._probe(upstream, upstream.health, known.options, known.place)
                    wanted[name, known.place] = (upstream.health, probe)
        for key in [key for key in self._watched if key not in wanted]:
            self._leave(key)
        for key, (options, probe) in wanted.items():
            watched = self._watched.get(key)
            if watched is not None:
                watched.options, watched.probe = options, probe
                continue
            watched = self._watched[key] = Watched(key[1].label, options, probe)
            watched.task = asyncio.get_running_loop().create_task(self._watch(key, watched))

    def of(self, upstream: str, place: Place) -> Watched | None:
        """None: not checked."""
        return self._watched.get((upstream, place))

    def wants(self, message: Mapping[str, object]) -> bool:
        """Whether this message is about a target that is checked."""
        place = Place(str(message["host"]), int(str(message["port"])), str(message["address"]))
        return (str(message["upstream"]), place) in self._watched

    async def close(self) -> None:
        tasks = [watched.task for watched in self._watched.values() if watched.task is not None]
        self._watched.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _probe(
        self, upstream: UpstreamOptions, health: HealthOptions, target: TargetOptions, place: Place
    ) -> Probe:
        secure = target.scheme == "https"
        return Probe(
            place.address,
            place.port,
            target.unix_path,
            host_field(target),
            health.path,
            health.timeout,
            health.statuses,
            self._contexts.of(upstream.tls) if secure else None,
            server_name(upstream.tls, target.host) if secure else "",
        )

    def _leave(self, key: Key) -> None:
        watched = self._watched.pop(key)
        if watched.task is not None:
            watched.task.cancel()
        if not watched.healthy:
            # `health` was taken from its upstream perhaps, and nobody would ever call it healthy again.
            watched.healthy, watched.cause = True, "not checked any more"
            self._say(key, watched)

    async def _watch(self, key: Key, watched: Watched) -> None:
        interval = watched.options.interval
        await self._sleep(self._random() * min(interval * FIRST_SPREAD, FIRST_SPREAD_AT_MOST))
        while True:
            async with self._turns:
                began = self._clock.now()
                verdict = await self._check(watched.probe)
            self._learn(key, watched, verdict)
            # From its beginning on, so that a target that runs into the time limit is not checked more rarely.
            pause = watched.options.interval * (1.0 + JITTER * (2.0 * self._random() - 1.0))
            await self._sleep(max(0.0, pause - (self._clock.now() - began)))

    def _learn(self, key: Key, watched: Watched, verdict: Verdict) -> None:
        watched.checked_at = self._clock.wall()
        options = watched.options
        if verdict.good:
            watched.good, watched.bad = watched.good + 1, 0
            count, needed = watched.good, options.healthy_after
        else:
            watched.good, watched.bad = 0, watched.bad + 1
            count, needed = watched.bad, options.unhealthy_after
        if count < needed or (watched.told and watched.healthy is verdict.good):
            if watched.healthy is verdict.good:
                watched.cause = verdict.cause
            return
        changed = watched.healthy is not verdict.good
        watched.healthy, watched.told = verdict.good, True
        watched.cause = verdict.cause
        if changed:
            watched.changed_at = watched.checked_at
            state = "healthy again" if verdict.good else "unhealthy"
            times = "1 check" if count == 1 else f"{count} checks in a row, the last one"
            self._log.say(f"control: {watched.label} of {key[0]} is {state} after {times}: {verdict.cause}")
        self._say(key, watched)

    def _say(self, key: Key, watched: Watched) -> None:
        upstream, place = key
        self._tell(
            messages.health(upstream, place.host, place.port, place.address, watched.healthy, watched.cause)
        )

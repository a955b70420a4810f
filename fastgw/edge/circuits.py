"""What a worker shows of its circuits and targets: transitions to the log, the metrics and control, gauges.

What may not live here: when a circuit opens (upstream/breaker.py), what is done with it (gateway/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from fastgw.account import families
from fastgw.account.series import Slot
from fastgw.clock import Clock
from fastgw.ipc import messages
from fastgw.upstream.breaker import CLOSED, Breaker, BreakerState, Transition
from fastgw.upstream.upstream import Upstream

_SHOWN = {state: state.name.lower() for state in BreakerState}


class Circuits:
    __slots__ = ("_clock", "_log", "_shown", "_slot", "_worker", "tell")

    def __init__(self, slot: Slot, worker: str, clock: Clock, log: Callable[[str], None]) -> None:
        self._slot = slot
        self._worker = worker
        self._clock = clock
        self._log = log
        self._shown: dict[str, set[str]] = {}  # labels of targets by upstream, that have gauges
        self.tell: Callable[[Mapping[str, object]], None] | None = None  # control

    def changed(self, upstream: str, target: str, transition: Transition) -> None:
        """A breaker's word; `target` is empty for the upstream's own."""
        slot, state = self._slot, transition.state
        labels = (upstream, target, self._worker)
        slot.cells[slot.counter(families.BREAKER_TRANSITIONS, (upstream, target, _SHOWN[state], transition.kind))] += 1
        slot.cells[slot.gauge(families.BREAKER_STATE, labels)] = int(state)
        slot.cells[slot.gauge(families.BREAKER_NEXT_PROBE, labels)] = int(self._wall(transition.probe_at))
        which = f"upstream {upstream}" + (f", target {target}" if target else "")
        probe = ""
        if transition.probe_at:
            probe = f"; next probe in {max(0.0, transition.probe_at - self._clock.now()):.1f} s"
        self._log(
            f"worker {self._worker}: {which}: circuit {_SHOWN[state].replace('_', ' ')}: {transition.cause}{probe}"
        )
        if self.tell is not None:
            self.tell(self._message(upstream, target, transition))

    def states(self, upstreams: Mapping[str, Upstream]) -> Iterator[Mapping[str, object]]:
        """Of every breaker that is not as it was born: what control learns after `hello`."""
        for name, upstream in upstreams.items():
            for label, breaker in upstream.breakers():
                if breaker.state is not CLOSED or breaker.forced:
                    yield self._message(name, label, breaker.last)

    def publish(self, upstreams: Mapping[str, Upstream], part: int = 0, parts: int = 1) -> None:
        """Gauges, of every upstream once a second: a part of them at a time, for 10,000 at once are a pause of 50 ms.
        What is gone from the configuration shows as well and idle: a series cannot end."""
        for name in list(upstreams)[part::parts]:
            self._publish(name, upstreams[name])
        for name in list(self._shown)[part::parts]:
            labels = self._shown[name]
            known = upstreams.get(name)
            here = {target.label for target in known.targets} if known is not None else set()
            for label in labels - here:
                self._gone(name, label)
            labels.intersection_update(here)
            if known is None:
                self._gone(name, "")
                del self._shown[name]

    def _publish(self, name: str, upstream: Upstream) -> None:
        slot, cells = self._slot, self._slot.cells
        shown = self._shown.get(name)
        if shown is None:
            shown = self._shown[name] = set()
        for target in upstream.targets:
            shown.add(target.label)
            cells[slot.gauge(families.UPSTREAM_IN_FLIGHT, (name, target.label))] = target.in_flight
        for label, breaker in upstream.breakers():
            self._gauge(name, label, breaker)
        if upstream.options.health is not None:
            for target in upstream.targets:
                labels = (name, target.label, self._worker)
                cells[slot.gauge(families.TARGET_HEALTHY, labels)] = target.healthy

    def _gone(self, name: str, label: str) -> None:
        slot, cells = self._slot, self._slot.cells
        labels = (name, label, self._worker)
        ended = (
            (families.BREAKER_STATE, labels, 0),
            (families.BREAKER_NEXT_PROBE, labels, 0),
            (families.TARGET_HEALTHY, labels, 1),
            (families.UPSTREAM_IN_FLIGHT, labels[:2], 0),
        )
        for family, where, value in ended:
            if slot.has(family, where):
                cells[slot.gauge(family, where)] = value

    def _gauge(self, name: str, label: str, breaker: Breaker) -> None:
        slot = self._slot
        slot.cells[slot.gauge(families.BREAKER_STATE, (name, label, self._worker))] = int(breaker.state)

    def _message(self, upstream: str, target: str, transition: Transition) -> Mapping[str, object]:
        return messages.breaker(
            upstream, target, _SHOWN[transition.state], transition.cause, self._wall(transition.at),
            self._wall(transition.probe_at), transition.forced, self._wall(transition.until),
        )  # fmt: skip

    def _wall(self, moment: float) -> float:
        return moment + self._clock.wall() - self._clock.now() if moment else 0.0

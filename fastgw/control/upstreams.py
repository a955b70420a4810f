"""GET /api/upstreams and what an operator may do to a breaker: what is known of every target, put together, and the
rules for a wish.

Knows no web framework: takes plain values, returns plain values or a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fastgw.config.quantities import parse_duration
from fastgw.control.breakers import AUTO, CLOSED, ITSELF, Breakers
from fastgw.control.health import HealthSteward
from fastgw.control.targets import Known, Targets
from fastgw.upstream.options import UpstreamOptions

STATES: Final = ("open", CLOSED, AUTO)
SHORTEST: Final = 1.0
LONGEST: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Refused:
    status: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Upstreams:
    """`workers` are the indices of those that live."""

    targets: Targets
    health: HealthSteward
    breakers: Breakers
    workers: Callable[[], list[int]]

    def plain(self) -> dict[str, object]:
        return {"upstreams": [self._upstream(each) for each in self.targets.upstreams.values()]}

    def one(self, name: str) -> dict[str, object] | None:
        """The same of one; None where there is none."""
        upstream = self.targets.upstreams.get(name)
        return None if upstream is None else self._upstream(upstream)

    def troubles(self) -> list[str]:
        """A line for each upstream that is not fully up."""
        lines = []
        for name, upstream in self.targets.upstreams.items():
            known = self.targets.of(name)
            missing = sum(each.place is None for each in known)
            sick = sum(not self._healthy(name, each) for each in known)
            words = [f"{sick} of {len(known)} targets unhealthy"] if sick else []
            if missing:
                words.append(f"{missing} of {len(known)} targets without an address")
            words += self._circuits(upstream, known)
            if words:
                lines.append(f"{name}: {', '.join(words)}")
        return lines

    def force(self, name: str, wish: object, by: str) -> dict[str, object] | Refused:
        """What POST /api/upstreams/{name}/breaker asks for."""
        upstream = self.targets.upstreams.get(name)
        if upstream is None:
            return Refused(404, "not_found", f"There is no upstream {name[:100]}")
        if upstream.breaker is None:
            return Refused(409, "no_breaker", f"The upstream {name} has no breaker; add breaker to it")
        read = _wish(wish)
        if isinstance(read, Refused):
            return read
        state, target, seconds = read
        labels = self.targets.labels(name)
        if target and target not in labels:
            there = f"there are {', '.join(sorted(labels)[:20])}" if labels else "none has an address now"
            return Refused(404, "not_found", f"The upstream {name} has no target {target[:100]}; {there}")
        if len(labels) == 1:
            target = ITSELF  # the only target has its upstream's circuit
        force = self.breakers.force(name, target, state, seconds, by)
        return {
            "upstream": name,
            "target": target or None,
            "state": force.state,
            "until": force.until or None,
            "workers": len(self.workers()),
        }

    def _upstream(self, upstream: UpstreamOptions) -> dict[str, object]:
        return {
            "name": upstream.name,
            "balance": upstream.balance,
            "breaker": self._breaker(upstream, ITSELF),
            "forced": self._forced(upstream.name, ITSELF),
            "targets": [self._target(upstream, each) for each in self.targets.of(upstream.name)],
        }

    def _target(self, upstream: UpstreamOptions, known: Known) -> dict[str, object]:
        """`healthy` is null where nobody checks it."""
        place = known.place
        watched = None if place is None else self.health.of(upstream.name, place)
        label = None if place is None else place.label
        # The only target has its upstream's circuit.
        circuit = ITSELF if len(self.targets.labels(upstream.name)) == 1 else label
        return {
            "target": label,
            "url": known.options.url,
            "weight": known.options.weight,
            "address": None if place is None else place.address or None,
            "healthy": None if watched is None else watched.healthy,
            "cause": known.error if watched is None else watched.cause,
            "checked_at": None if watched is None else watched.checked_at or None,
            "changed_at": None if watched is None else watched.changed_at or None,
            "breaker": None if label is None or circuit is None else self._breaker(upstream, circuit),
            "forced": None if label is None or circuit is None else self._forced(upstream.name, circuit),
        }

    def _breaker(self, upstream: UpstreamOptions, target: str) -> list[dict[str, object]] | None:
        if upstream.breaker is None:
            return None
        return [self.breakers.of(each, upstream.name, target).plain(each) for each in self.workers()]

    def _forced(self, upstream: str, target: str) -> dict[str, object] | None:
        force = self.breakers.forced(upstream, target)
        return None if force is None else {"state": force.state, "until": force.until}

    def _healthy(self, name: str, known: Known) -> bool:
        watched = None if known.place is None else self.health.of(name, known.place)
        return watched is None or watched.healthy

    def _circuits(self, upstream: UpstreamOptions, known: list[Known]) -> list[str]:
        if upstream.breaker is None:
            return []
        workers = self.workers()
        words = []
        for target in (ITSELF, *(each.place.label for each in known if each.place is not None)):
            heard = (self.breakers.of(worker, upstream.name, target) for worker in workers)
            cut = sum(each.state != CLOSED for each in heard)
            if cut:
                words.append(f"breaker{target and ' of ' + target} not closed in {cut} of {len(workers)} workers")
        return words


def _wish(wish: object) -> tuple[str, str, float] | Refused:
    """State, target and seconds."""
    if not isinstance(wish, Mapping):
        return _wrong('the body is an object, as in {"state": "open", "for": "30s"}')
    unknown = [str(key)[:50] for key in wish if key not in ("state", "for", "target")]
    if unknown:
        return _wrong(f"unknown: {', '.join(unknown[:10])}; there are state, for and target")
    state = wish.get("state")
    if not isinstance(state, str) or state not in STATES:
        return _wrong("state is open, closed or auto")
    target = wish.get("target", "")
    if not isinstance(target, str) or ("target" in wish and not target):
        return _wrong("target is a target's label, as in 127.0.0.1:9001; without it the upstream itself is meant")
    duration = wish.get("for")
    if state == AUTO:
        if duration is not None:
            return _wrong("auto is not for a time; leave for away")
        return state, target, 0.0
    seconds = _seconds(duration)
    if seconds is None:
        return _wrong(f"{state} needs for: a duration from 1s to 24h, as in 30s")
    return state, target, seconds


def _seconds(duration: object) -> float | None:
    # Bounded: Python refuses to turn thousands of digits into a number.
    if not isinstance(duration, str) or len(duration) > 32:
        return None
    try:
        seconds = parse_duration(duration)
    except ValueError:
        return None
    return seconds if SHORTEST <= seconds <= LONGEST else None


def _wrong(detail: str) -> Refused:
    return Refused(422, "invalid_request", detail[0].upper() + detail[1:])

"""A named service in this worker: its targets, and which of them gets the next attempt (phase 8).

It survives as long as its name, a target as long as its address. What may not live here: attempts, HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from fastgw.http1.memo import Streak
from fastgw.model.exchange import Exchange
from fastgw.model.keys import KeyOf, key_of, point_of
from fastgw.model.messages import Reply
from fastgw.upstream.balance import Balancer, make_balancer
from fastgw.upstream.breaker import CLOSED, Breaker, Transition
from fastgw.upstream.budget import RetryBudget
from fastgw.upstream.failure_options import RetriesOptions
from fastgw.upstream.options import TargetOptions, UpstreamOptions
from fastgw.upstream.place import Place, host_field, literal
from fastgw.upstream.slow_start import taking_part
from fastgw.upstream.target import MAX_UNHEARD, Target
from fastgw.upstream.tls import TlsTarget, server_name
from fastgw.upstream.wire import Shared

Key = tuple[str, int, str]  # host as configured or unix path, port, address

# What a breaker told: the upstream, the target's label (empty for the upstream itself), and what happened.
OnTransition = Callable[[str, str, Transition], None]

_NO_STATUSES: Final[frozenset[int]] = frozenset()
# What a target answers that cannot serve, whatever the options say: other targets are preferred.
SICK: Final = frozenset({502, 503, 504})


class Upstream:
    """`single` is the only target, where there is nothing to choose; `breaker` is None where none is configured."""

    __slots__ = (
        "_balancer", "_errors", "_health", "_key_of", "_on_transition", "_random", "_resolved", "_shared", "_targets",
        "attempts", "balance", "breaker", "budget", "calm", "failing", "guarded", "in_flight", "max_in_flight",
        "name", "options", "refusal", "retry_statuses", "retry_words", "single", "streak", "targets", "watched",
    )  # fmt: skip

    def __init__(
        self, options: UpstreamOptions, shared: Shared, random: Callable[[], float], on_transition: OnTransition
    ) -> None:
        self.name = options.name
        self.options = options
        self._shared = shared
        self._random = random
        self._on_transition = on_transition
        self._targets: dict[Key, Target] = {}
        self._resolved: dict[tuple[str, int], tuple[str, ...]] = {}
        self._errors: dict[tuple[str, int], str] = {}
        self._health: dict[Key, bool] = {}  # also of addresses that are not known yet
        self.targets: tuple[Target, ...] = ()
        self.single: Target | None = None
        self.guarded = False  # there is a breaker to ask, or a budget for retries to keep
        self.streak = Streak()
        self.in_flight = 0
        self.max_in_flight = 0
        self.balance = ""
        self._balancer: Balancer[Target] | None = None
        self._key_of: KeyOf | None = None  # of an exchange, where it decides the target
        self.breaker: Breaker | None = None
        self.refusal: tuple[int, Reply] | None = None  # the last one while it was open; gateway's
        self.calm = True  # all targets are fit and warm: nothing for `tick` to do but the breakers' windows
        # From the options `retries` and `breaker`.
        self.attempts = 1
        self.retry_words: frozenset[str] = frozenset()
        self.retry_statuses = _NO_STATUSES
        self.budget = RetryBudget(0.0)
        self.failing = _NO_STATUSES  # statuses that are failures to the breaker
        self.watched = SICK  # statuses that speak against a target
        self.configure(options)

    def configure(self, options: UpstreamOptions) -> None:
        """Take over changed options; unchanged targets keep their pools, breakers their state."""
        self.options = options
        self.max_in_flight = options.max_in_flight or 0
        if options.balance != self.balance:
            self.balance = options.balance
            self._balancer = make_balancer(options.balance, self._random)
        self._key_of = key_of(options.hash_on or "client_ip") if options.balance == "hash" else None
        self._configure_retries(options.retries)
        self.breaker = self._configured(self.breaker, "")
        self.failing = frozenset(options.breaker.statuses) if options.breaker else _NO_STATUSES
        self.watched = self.failing | self.retry_statuses | SICK
        self.guarded = self.breaker is not None or self.attempts > 1
        self._refresh()

    def _configure_retries(self, retries: RetriesOptions | None) -> None:
        words = retries.when if retries is not None else ()
        self.attempts = retries.attempts if retries is not None else 1
        self.retry_words = frozenset(word for word in words if not word.isdigit())
        self.retry_statuses = frozenset(int(word) for word in words if word.isdigit())
        self.budget.configure(retries.budget if retries is not None else 0.0)

    def _configured(self, breaker: Breaker | None, label: str) -> Breaker | None:
        options = self.options.breaker
        if options is None:
            return None
        now = self._shared.clock.now()
        if breaker is not None:
            breaker.configure(options, now)
            return breaker
        return Breaker(options, now, self._random, partial(self._transition, label))

    # --- names and health -----------------------------------------------------------------------------------------

    def resolve(self, host: str, port: int, addresses: tuple[str, ...], error: str | None) -> None:
        """What control found for a name. An error keeps the last good addresses."""
        where = (host, port)
        if error is not None:
            self._errors[where] = error
            return
        self._errors.pop(where, None)
        if self._resolved.get(where) != addresses:
            self._resolved[where] = addresses
            self._refresh()

    def unresolved(self) -> bool:
        """A name for which neither addresses nor an error have come yet."""
        return any(
            not target.unix_path
            and literal(target.host) is None
            and (target.host, target.port) not in self._resolved
            and (target.host, target.port) not in self._errors
            for target in self.options.targets
        )

    def why_none(self) -> str | None:
        """Why no target has an address, where a look-up said so."""
        return next(iter(self._errors.values()), None)

    def set_health(self, host: str, port: int, address: str, healthy: bool) -> None:
        """What the active checks found, by the target's identity."""
        key = (host, port, address)
        self._health[key] = healthy
        target = self._targets.get(key)
        if target is not None and target.healthy != healthy:
            target.healthy = healthy
            if healthy:
                target.returned(self._shared.clock.now())
            self.calm = False

    # --- which target ---------------------------------------------------------------------------------------------

    def choose(
        self, exchange: Exchange, now: float, exclude: Target | None = None, trial: bool = True
    ) -> Target | None:
        """The target of the next attempt, or None where none has an address or every circuit is open.

        `exclude` just failed and comes last. A target that failed before is tried with an attempt that could be repeated
        elsewhere (`trial`); with others only where nothing else is left, or none such has come for long.
        """
        balancer = self._balancer
        targets = self.targets
        if balancer is None or not targets:
            return None
        point = 0 if self._key_of is None else point_of(self._key_of(exchange))
        fit = [target for target in targets if target.fit()]
        if len(fit) < len(targets):
            self.calm = False
            for target in targets:
                due = target is not exclude and target.healthy and target.wants_trial(now)
                if due and (trial or target.is_overdue(now)):
                    target.overdue_at = 0.0
                    return target
            fit = self._others(fit, exclude) or self._last_resort(now)
            if not fit:
                return None
        if self.calm:
            return balancer.pick(fit, exclude, point)
        return balancer.pick(taking_part(fit, exclude, point, self._random), exclude, point)

    def _others(self, fit: list[Target], exclude: Target | None) -> list[Target]:
        """The fit ones without the one that just failed; then those that are merely silent; then it, if it is fit."""
        others = [target for target in fit if target is not exclude]
        return others or [target for target in self.targets if target is not exclude and target.trusted()] or fit

    def _last_resort(self, now: float) -> list[Target]:
        """No target is as it should be. Health never ejects the last one; an open circuit does."""
        admitted = [target for target in self.targets if target.admits(now)]
        healthy = [target for target in admitted if target.healthy] or admitted
        awake = [target for target in healthy if not target.resting] or healthy
        return [target for target in awake if target.unheard < MAX_UNHEARD] or awake

    def retry_after(self, now: float) -> int:
        """Seconds until an attempt may be let in again: of the upstream's circuit, or the first of its targets'."""
        own = self.breaker
        seconds = own.retry_after(now) if own is not None and not own.would_admit(now) else 1
        closed = [target.breaker for target in self.targets if target.breaker is not None and not target.admits(now)]
        if closed and len(closed) == len(self.targets):
            seconds = max(seconds, min(breaker.retry_after(now) for breaker in closed))
        return seconds

    def settle(
        self, target: Target, ticket: int, own_ticket: int, verdict: bool | None, now: float, cause: str = ""
    ) -> None:
        """What became of an attempt: an answer, a failure (with its cause), or nothing that says anything (None). The
        tickets are those of this upstream's breaker and of the target's; 0 for none.

        A failure is the target's own as long as another one answers: five attempts at one that stalls end in one sweep of
        the deadlines, and would close the door of the healthy one too."""
        if ticket and self.breaker is not None:
            own = verdict is False and self.single is None and self._another_answers(target)
            _tell(self.breaker, ticket, None if own else verdict, now, cause)
        if own_ticket and target.breaker is not None:
            _tell(target.breaker, own_ticket, verdict, now, cause)

    def _another_answers(self, failed: Target) -> bool:
        """Or has not been heard to fail: at the start of the gateway nobody has answered yet."""
        return any(target is not failed and not target.misses and target.trusted() for target in self.targets)

    # --- breakers and time ----------------------------------------------------------------------------------------

    def force(self, label: str, state: str, until: float, now: float) -> None:
        """An operator's word: `open` or `closed` until then, or `auto`. An unknown label is a target that is gone; the
        only target has no circuit of its own (control says the upstream's instead)."""
        breaker = self.breaker
        if label:
            found = next((target for target in self.targets if target.label == label), None)
            if found is None:
                return
            breaker = found.breaker
        if breaker is None:
            return
        if state == "auto":
            breaker.unforce(now)
        else:
            breaker.force(state, until, now)

    def tick(self, now: float) -> None:
        """Ten times a second while it is not calm, else once."""
        calm = self._tick_breaker(self.breaker, now)
        for target in self.targets:
            calm = self._tick_breaker(target.breaker, now) and calm
            if target.warm_from:
                target.warm(now)
            if target.warm_from or not target.fit():
                calm = False
        self.calm = calm

    def _tick_breaker(self, breaker: Breaker | None, now: float) -> bool:
        if breaker is None:
            return True
        breaker.tick(now)
        return breaker.state is CLOSED

    def _transition(self, label: str, transition: Transition) -> None:
        self.calm = False
        if transition.kind == "probes_succeeded" and label:
            for target in self.targets:
                if target.label == label:
                    target.returned(transition.at)
        self._on_transition(self.name, label, transition)

    def breakers(self) -> list[tuple[str, Breaker]]:
        """Label (empty for the upstream's own) and breaker."""
        found = [("", self.breaker), *((target.label, target.breaker) for target in self.targets)]
        return [(label, breaker) for label, breaker in found if breaker is not None]

    def fade(self) -> None:
        for target in self.targets:
            target.fade()

    # --- following the document and the resolver ------------------------------------------------------------------

    def _refresh(self) -> None:
        wanted: dict[Key, TargetOptions] = {}
        for options in self.options.targets:
            for address in self._addresses(options):
                wanted[(options.unix_path or options.host, options.port, address)] = options
        for key in [key for key in self._targets if key not in wanted]:
            self._targets.pop(key).pool.retire()
            self._health.pop(key, None)
        first = not self._targets
        now = self._shared.clock.now()
        for key, options in wanted.items():
            target = self._targets.get(key)
            if target is None:
                target = self._targets[key] = self._make(options, key[2])
                target.healthy = self._health.get(key, True)
                target.slow_start = self.options.slow_start
                if not first:
                    target.returned(now)
            else:
                target.weight = options.weight
                target.slow_start = self.options.slow_start
                if target.warm_from:
                    target.warm(now)
                target.secure(self._tls(options), host_field(options))
                target.pool.configure(self.options.connections)
            target.breaker = self._configured(target.breaker, target.label) if len(wanted) > 1 else None
        self.targets = tuple(self._targets[key] for key in wanted)
        self.single = self.targets[0] if len(self.targets) == 1 else None
        self.calm = False

    def _addresses(self, options: TargetOptions) -> tuple[str, ...]:
        if options.unix_path:
            return ("",)
        address = literal(options.host)
        return (address,) if address is not None else self._resolved.get((options.host, options.port), ())

    def _make(self, options: TargetOptions, address: str) -> Target:
        label = Place(options.unix_path or options.host, options.port, address).label
        return Target(
            label, address, options.port, options.unix_path, host_field(options), options.weight,
            self.options.connections, self._shared, self.streak, self._tls(options),
        )  # fmt: skip

    def _tls(self, options: TargetOptions) -> TlsTarget | None:
        if options.scheme != "https":
            return None
        tls = self.options.tls
        return TlsTarget(self._shared.tls_contexts.of(tls), server_name(tls, options.host))

    def retire(self) -> None:
        for target in self._targets.values():
            target.pool.retire()


def _tell(breaker: Breaker, ticket: int, verdict: bool | None, now: float, cause: str) -> None:
    if verdict:
        breaker.succeeded(ticket, now)
    elif verdict is None:
        breaker.dropped(ticket, now)
    else:
        breaker.failed(ticket, now, cause)

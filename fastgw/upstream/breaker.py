"""The breaker of a target or of an upstream: a table of transitions, with the clock passed in.

closed -> open on `failures` in a row or on `error_rate` over `window`; open -> half_open when the probe time has come;
half_open lets `probes` attempts in at a time; `successes` of them close it, one failure opens it again, for twice the
time. May not live here: what counts as a failure, who asks (gateway/), what is published where (worker/).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from math import ceil
from typing import Final, Protocol

from fastgw.upstream.window import Window


class BreakerState(IntEnum):
    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


# A member looked up on its class costs 45 ns in CPython 3.11, a module's name 4.
CLOSED: Final = BreakerState.CLOSED
HALF_OPEN: Final = BreakerState.HALF_OPEN
OPEN: Final = BreakerState.OPEN

# From which state, by what kind of cause, to which: everything else raises. The kinds are a metric's label.
LEGAL: Final[dict[tuple[BreakerState, str], tuple[BreakerState, ...]]] = {
    (CLOSED, "failures"): (OPEN,),
    (CLOSED, "error_rate"): (OPEN,),
    (OPEN, "probe_due"): (HALF_OPEN,),
    (HALF_OPEN, "probe_failed"): (OPEN,),
    (HALF_OPEN, "probes_succeeded"): (CLOSED,),
    (CLOSED, "forced"): (OPEN, CLOSED),
    (HALF_OPEN, "forced"): (OPEN, CLOSED),
    (OPEN, "forced"): (OPEN, CLOSED),
    (OPEN, "force_ended"): (HALF_OPEN,),
    (CLOSED, "force_ended"): (CLOSED,),
}

# What a forced state is called by the operator; "" is the breaker's own way.
FORCED: Final = {"open": OPEN, "closed": CLOSED}
# The time it stays open is up to this share shorter than written: breakers that opened together do not probe together.
# Shorter only, so that `max_open_for` is the longest time and still has its spread.
JITTER: Final = 0.1
# 2 ** 20 times any `open_for` is above any `max_open_for`; a larger exponent only makes larger numbers.
MOST_DOUBLINGS: Final = 20
# Successes since the last failure from which on a target is called steady: see RetryBudget.
STEADY: Final = 20


# Seconds between two ends of a forced state that are one.
SAME: Final = 1.0


class BreakerLimits(Protocol):
    """The options a breaker reads; seconds and shares of one."""

    @property
    def failures(self) -> int: ...
    @property
    def error_rate(self) -> float: ...
    @property
    def window(self) -> float: ...
    @property
    def min_requests(self) -> int: ...
    @property
    def open_for(self) -> float: ...
    @property
    def max_open_for(self) -> float: ...
    @property
    def probes(self) -> int: ...
    @property
    def successes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Transition:
    """What became of it, for people (`cause`) and for a metric (`kind`, one of the words of LEGAL)."""

    state: BreakerState
    cause: str
    at: float
    probe_at: float  # when the next probe is let in; 0.0: there is nothing to wait for
    forced: bool
    kind: str
    until: float = 0.0  # when what was forced ends


class Breaker:
    """Whoever begins an attempt asks `admit` and hands the ticket back with what became of it.

    A ticket is the era it was given in. Results of another era are ignored: attempts that began before the circuit opened
    are no probes. Hot: a caller may read `state` and `era` and, for a success while CLOSED with the ticket of this era,
    write `ok += 1; failures_in_row = 0` itself."""

    __slots__ = (
        "_closed_at", "_counted", "_failed_at_ok", "_forced", "_forced_until", "_on_change", "_openings", "_options",
        "_passed", "_places", "_probe_at", "_random", "_window", "era", "failures_in_row", "last", "ok", "state",
    )  # fmt: skip

    def __init__(
        self, options: BreakerLimits, now: float,
        random: Callable[[], float], on_change: Callable[[Transition], None],
    ) -> None:  # fmt: skip
        self._options = options
        self._random = random
        self._on_change = on_change
        self.state = CLOSED
        self.era = 1
        self.last = Transition(CLOSED, "", now, 0.0, False, "")  # the latest, for whoever asks later
        # While closed
        self.ok = 0  # only ever grows
        self.failures_in_row = 0
        self._counted = 0  # how much of `ok` is in the window
        self._failed_at_ok = 0  # what `ok` was at the latest failure
        self._window = Window(options.window, now)
        # While open or half open
        self._probe_at = 0.0
        # Of the probes under way: when the place of each is free again, whatever becomes of it.
        self._places: list[float] = []
        self._passed = 0  # probes that succeeded
        # Over all of it
        self._openings = 0  # in a row: each doubles the time
        self._closed_at = now
        self._forced = ""
        self._forced_until = 0.0

    @property
    def forced(self) -> bool:
        return self._forced != ""

    @property
    def steady(self) -> bool:
        """Closed, and its last twenty results at least were successes: an attempt here is no gamble."""
        return self.state is CLOSED and self.ok - self._failed_at_ok >= STEADY

    # --- before an attempt ----------------------------------------------------------------------------------------

    def admit(self, now: float) -> int:
        """A ticket if an attempt may begin, else 0. Takes a probe's place where it is half open."""
        if self.state is CLOSED:
            return self.era
        if not self.would_admit(now):
            return 0
        if self.state is OPEN:
            if self._forced:
                self.unforce(now)
            else:
                self._change(HALF_OPEN, "probe_due", "time for a probe", now)
        # A probe that never ends must not keep the others out for good.
        self._places = [until for until in self._places if until > now]
        self._places.append(now + self._options.open_for)
        return self.era

    def would_admit(self, now: float) -> bool:
        """The same without taking anything."""
        if self.state is CLOSED:
            return True
        if self.state is OPEN:
            return now >= self._probe_at
        busy = 0
        for until in self._places:
            busy += until > now
        return busy < self._options.probes

    def probing(self, now: float) -> bool:
        """Whether an attempt that begins now would be a probe."""
        return self.state is not CLOSED and self.would_admit(now)

    def retry_after(self, now: float) -> int:
        """Whole seconds until the next attempt is let in, rounded up; at least 1, also where probes are under way."""
        if self.state is OPEN:
            return max(1, ceil(self._probe_at - now))
        return 1

    # --- after it -------------------------------------------------------------------------------------------------

    def succeeded(self, ticket: int, now: float) -> None:
        if ticket != self.era:
            return
        if self.state is CLOSED:
            self.ok += 1
            self.failures_in_row = 0
            return
        self._give_place()
        self._passed += 1
        if self._passed >= self._options.successes:
            many = "1 probe" if self._passed == 1 else f"{self._passed} probes"
            self._closed_at = now
            self._change(CLOSED, "probes_succeeded", f"{many} succeeded", now)

    def failed(self, ticket: int, now: float, cause: str) -> None:
        if ticket != self.era:
            return
        if self.state is not CLOSED:
            self._open("probe_failed", f"probe failed: {cause}", now)
            return
        options, window = self._options, self._window
        self.failures_in_row += 1
        self._failed_at_ok = self.ok
        self._roll(now)
        window.add(0, 1)
        if self._forced:
            return
        if self.failures_in_row >= options.failures:
            row = self.failures_in_row
            many = "1 failure" if row == 1 else f"{row} failures"
            self._open("failures", f"{many} in a row, the last one {cause}", now)
            return
        total = window.oks + window.failures
        if total >= options.min_requests and window.failures / total >= options.error_rate:
            share = 100 * window.failures / total
            what = f"{share:.0f} % of {total} attempts failed within {options.window:g} s"
            self._open("error_rate", what, now)

    def dropped(self, ticket: int, now: float) -> None:
        """It ended without a verdict: the client went away."""
        if ticket == self.era and self.state is HALF_OPEN:
            self._give_place()

    def _give_place(self) -> None:
        # The oldest place, whose ever it was: a ticket does not tell one probe from another. A probe that outlived its
        # own place so frees another's: one more at a time than written, and never one that is kept out for nothing.
        if self._places:
            self._places.pop(0)

    # --- from outside ---------------------------------------------------------------------------------------------

    def force(self, state: str, until: float, now: float) -> None:
        """`open` admits nothing, `closed` never opens, until that time. What was doubled starts over."""
        to = FORCED[state]
        if until <= now:
            self.unforce(now)
            return
        if state == self._forced and abs(until - self._forced_until) < SAME:
            return  # told again: computed from two clocks, it is never quite the same moment
        self._forced = state
        self._forced_until = until
        self._openings = 0
        self._change(to, "forced", "forced by an operator", now, until if to is OPEN else 0.0)

    def unforce(self, now: float) -> None:
        """Back to its own way: after open by probes, after closed with nothing counted."""
        if not self._forced:
            return
        self._forced = ""
        self._change(HALF_OPEN if self.state is OPEN else CLOSED, "force_ended", "no longer forced", now)

    def tick(self, now: float) -> None:
        """Called every 100 ms."""
        if self._forced and now >= self._forced_until:
            self.unforce(now)
        if now >= self._window.ends:
            self._roll(now)

    def configure(self, options: BreakerLimits, now: float) -> None:
        """Other options from now on. The state stays, and so does a probe time that was told already; only what was
        counted over a window of another length starts over."""
        if options.window != self._options.window:
            self._window = Window(options.window, now)
            self._counted = self.ok
        self._options = options

    # --- transitions ----------------------------------------------------------------------------------------------

    def _open(self, kind: str, cause: str, now: float) -> None:
        options = self._options
        # One that opens again within a window after it closed has not recovered: the time goes on doubling.
        if self.state is CLOSED and now - self._closed_at >= options.window:
            self._openings = 0
        longest: float = min(options.open_for * 2**self._openings, options.max_open_for)
        self._openings = min(self._openings + 1, MOST_DOUBLINGS)
        self._change(OPEN, kind, cause, now, now + longest * (1.0 - JITTER * self._random()))

    def _change(self, to: BreakerState, kind: str, cause: str, now: float, probe_at: float = 0.0) -> None:
        """The one place where the state changes. Telling is last: whoever is told sees the breaker as it is then."""
        if to not in LEGAL.get((self.state, kind), ()):
            raise ValueError(f"a breaker that is {self.state.name} does not become {to.name} by {kind!r}")
        self.state = to
        self.era += 1
        self._probe_at = probe_at
        self._places = []
        self._passed = 0
        self.failures_in_row = 0
        self._counted = self._failed_at_ok = self.ok
        self._window = Window(self._options.window, now)
        self.last = Transition(to, cause, now, probe_at, self.forced, kind, self._forced_until if self._forced else 0.0)
        self._on_change(self.last)

    def _roll(self, now: float) -> None:
        # Successes since the last time belong to the slot that is about to end: at most a tick away from the truth.
        fresh = self.ok - self._counted
        self._counted = self.ok
        self._window.add(fresh, 0)
        self._window.roll(now)

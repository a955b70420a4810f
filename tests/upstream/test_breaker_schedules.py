"""Random schedules of attempts, time, operators and reloads: the breaker agrees with a model that keeps everything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.upstream.breaker import CLOSED, HALF_OPEN, LEGAL, OPEN, Breaker, BreakerState, Transition
from tests.upstream.test_breaker import Limits

START = 64.0  # times are quarters of seconds: sums of them are exact


@dataclass
class Model:
    """The rules once more, slowly: all there ever was in lists, nothing remembered that can be worked out."""

    options: Limits
    now: float = START
    state: BreakerState = CLOSED
    forced: str = ""
    until: float = 0.0
    openings: int = 0
    closed_at: float = START
    results: list[tuple[float, bool]] = field(default_factory=list)  # of this era
    probes: list[float] = field(default_factory=list)  # when their places are free again
    counted_from: float = START
    tickets: set[int] = field(default_factory=set)  # of this era, by number of attempt
    changed: int = 0

    def become(self, state: BreakerState) -> None:
        self.state = state
        self.results.clear()
        self.probes.clear()
        self.tickets.clear()
        self.counted_from = self.now
        self.changed += 1

    def open(self) -> None:
        if self.state is CLOSED and self.now - self.closed_at >= self.options.window:
            self.openings = 0
        self.until = self.now + min(self.options.open_for * 2**self.openings, self.options.max_open_for)
        self.openings += 1
        self.become(OPEN)

    def admits(self) -> bool:
        if self.state is OPEN:
            return self.now >= self.until
        return self.state is CLOSED or sum(end > self.now for end in self.probes) < self.options.probes

    def begin(self, number: int) -> bool:
        if not self.admits():
            return False
        if self.state is OPEN:
            self.end_force() if self.forced else self.become(HALF_OPEN)
        if self.state is HALF_OPEN:
            self.probes = [end for end in self.probes if end > self.now]
            self.probes.append(self.now + self.options.open_for)
        self.tickets.add(number)
        return True

    def end(self, number: int, good: bool | None) -> None:
        if number not in self.tickets:
            return
        self.tickets.remove(number)
        if self.state is HALF_OPEN and good is not False:
            self.probes = self.probes[1:]
        if good is None:
            return
        self.results.append((self.now, good))
        if self.state is HALF_OPEN:
            if not good:
                self.open()
            elif len(self.results) >= self.options.successes:
                self.closed_at = self.now
                self.become(CLOSED)
        elif not good and not self.forced and (self.row() >= self.options.failures or self.too_many()):
            self.open()

    def row(self) -> int:
        goods = [place for place, (_, good) in enumerate(self.results) if good]
        return len(self.results) - (goods[-1] + 1 if goods else 0)

    def too_many(self) -> bool:
        slot = self.options.window / 10
        oldest = int((self.now - self.counted_from) / slot) - 10
        recent = [g for at, g in self.results if at >= self.counted_from and self.slot_of(at, slot) > oldest]
        failures = recent.count(False)
        return len(recent) >= self.options.min_requests and failures / len(recent) >= self.options.error_rate

    def slot_of(self, at: float, slot: float) -> int:
        return int((at - self.counted_from) / slot)

    def force(self, state: str, until: float) -> None:
        self.forced, self.until = state, until
        self.openings = 0
        self.become(OPEN if state == "open" else CLOSED)

    def end_force(self) -> None:
        self.forced = ""
        self.become(HALF_OPEN if self.state is OPEN else CLOSED)


class Schedule:
    """Does the same to both. Attempts are kept by number, the model knows them by that and not by ticket."""

    def __init__(self, options: Limits) -> None:
        self.told: list[Transition] = []
        self.model = Model(options)
        self.breaker = Breaker(options, START, lambda: 0.0, self.told.append)
        self.tickets: dict[int, int] = {}
        self.number = 0

    def step(self, what: str, much: int) -> None:
        model, breaker = self.model, self.breaker
        if what == "begin":
            self.number += 1
            wanted = breaker.would_admit(model.now)
            assert breaker.probing(model.now) is (wanted and breaker.state is not CLOSED)
            ticket = breaker.admit(model.now)
            assert bool(ticket) is wanted is model.begin(self.number)
            if ticket:
                self.tickets[self.number] = ticket
        elif what == "pass":
            for _ in range(much):  # a quarter at a time: the tick comes before anything else does
                model.now += 0.25
                if model.forced and model.now >= model.until:
                    model.end_force()
                breaker.tick(model.now)
        elif what in ("good", "inline", "bad", "dropped") and self.tickets:
            self.end(what, sorted(self.tickets)[much % len(self.tickets)])
        elif what in ("open", "closed"):
            if (what, model.now + much) != (model.forced, model.until):
                model.force(what, model.now + much)
            breaker.force(what, model.now + much, model.now)
        elif what == "auto":
            if model.forced:
                model.end_force()
            breaker.unforce(model.now)
        elif what == "reload":
            model.options = replace(
                model.options, failures=1 + much % 5, probes=1 + much % 3, successes=1 + much % 2
            )
            breaker.configure(model.options, model.now)

    def end(self, what: str, number: int) -> None:
        model, breaker = self.model, self.breaker
        ticket = self.tickets.pop(number)
        if what == "inline" and breaker.state is CLOSED and ticket == breaker.era:
            breaker.ok += 1
            breaker.failures_in_row = 0
        elif what in ("good", "inline"):
            breaker.succeeded(ticket, model.now)
        elif what == "bad":
            breaker.failed(ticket, model.now, "reset")
        else:
            breaker.dropped(ticket, model.now)
        model.end(number, {"bad": False, "dropped": None}.get(what, True))

    def check(self) -> None:
        model, breaker = self.model, self.breaker
        assert breaker.state is model.state
        assert breaker.era == 1 + model.changed
        assert breaker.forced is bool(model.forced)
        assert breaker.would_admit(model.now) is model.admits()
        if model.state is OPEN:
            wait = breaker.retry_after(model.now)
            assert max(1.0, model.until - model.now) <= wait < max(1.0, model.until - model.now) + 1
            if not model.forced:
                assert breaker.last.probe_at - breaker.last.at <= model.options.max_open_for
        else:
            assert breaker.retry_after(model.now) == 1

    def check_told(self) -> None:
        state = CLOSED
        assert len(self.told) == self.model.changed
        for told in self.told:
            assert told.state in LEGAL[state, told.kind]
            assert (told.probe_at > told.at) is (told.state is OPEN)
            state = told.state
        assert [told.at for told in self.told] == sorted(told.at for told in self.told)


LIMITS = st.builds(
    Limits,
    failures=st.integers(1, 6),
    error_rate=st.sampled_from([0.25, 0.5, 0.6, 1.0]),
    window=st.sampled_from([5.0, 10.0]),
    min_requests=st.integers(2, 12),
    open_for=st.sampled_from([0.5, 1.0, 5.0]),
    max_open_for=st.sampled_from([5.0, 8.0]),
    probes=st.integers(1, 3),
    successes=st.integers(1, 3),
)
# Attempts and their ends are what happens most; operators and reloads now and then.
WHAT = ["begin"] * 6 + ["good", "inline", "bad", "bad", "bad", "dropped", "pass", "pass"]
WHAT += ["open", "closed", "auto", "reload"]
STEPS = st.lists(st.tuples(st.sampled_from(WHAT), st.integers(1, 24)), max_size=120)


@settings(max_examples=200, deadline=None)
@given(LIMITS, STEPS)
def test_any_schedule(options: Limits, steps: list[tuple[str, int]]) -> None:
    schedule = Schedule(options)
    for what, much in steps:
        schedule.step(what, much)
        schedule.check()
    schedule.check_told()


@settings(max_examples=150, deadline=None)
@given(LIMITS, st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=150))
def test_any_traffic_one_after_the_other(options: Limits, traffic: list[tuple[bool, int]]) -> None:
    """Attempts that begin and end at once, so that failure rates and doublings are reached."""
    schedule = Schedule(options)
    for good, quarters in traffic:
        schedule.step("pass", quarters)
        schedule.step("begin", 1)
        schedule.step("inline" if good else "bad", 0)
        schedule.check()
    schedule.check_told()

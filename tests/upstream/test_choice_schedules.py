"""Random lives of targets: who may be chosen then, one trial at a time, and nobody who recovered is forgotten."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.model.exchange import Exchange
from fastgw.upstream.breaker import CLOSED, Transition
from fastgw.upstream.target import LONGEST_REST, MAX_UNHEARD, Target
from fastgw.upstream.upstream import Upstream
from tests.upstream.fakes import Bench, upstream

URLS = [f"http://127.0.0.1:900{number}" for number in range(4)]
BREAKER = {"failures": 3, "open_for": "2s", "max_open_for": "8s", "successes": 2, "min_requests": 20}
WAYS = ["round_robin", "least_requests", "p2c", "hash"]
Attempt = tuple[Target, int]


class Life:
    """An upstream, and the attempts that are under way as Choice counts them."""

    def __init__(self, bench: Bench, count: int, balance: str, guarded: bool, slow_start: str) -> None:
        self.bench = bench
        options = {"breaker": BREAKER} if guarded else {}
        made = upstream("app", URLS[:count], balance=balance, slow_start=slow_start, **options)
        self.app = Upstream(made, bench.shared, Random(1).random, lambda *said: self.changes.append(said[2]))
        self.changes: list[Transition] = []
        self.attempts: list[Attempt] = []
        self.exchange = Exchange(None, b"GET", b"/", b"", False, 0.0, 0)
        self.callers = 0

    def now(self) -> float:
        return self.bench.clock.now()

    def begin(self, trial: bool, exclude: Target | None = None) -> Target | None:
        self.callers += 1
        self.exchange.client = b"192.0.2.%d" % (self.callers * 37 % 251)
        app, now = self.app, self.now()
        on_trial = {target for target in app.targets if target.wants_trial(now)}
        target = app.choose(self.exchange, now, exclude, trial)
        if target is None:
            assert not any(one.admits(now) for one in app.targets), "refused although a circuit lets it in"
            return None
        assert target.admits(now), "chosen although its circuit is open"
        others = [one for one in app.targets if one is not exclude]
        if not target.healthy:
            assert not any(one.healthy and one.fit() for one in others)
        if target.resting and target not in on_trial:
            assert not any(one.fit() for one in others), "a target at rest while another one is fit"
        if target is exclude:
            assert not any(one.trusted() for one in others), "the one that failed, and another one could be trusted"
        target.in_flight += 1
        target.unheard += 1
        self.attempts.append((target, target.breaker.admit(now) if target.breaker else 0))
        return target

    def end(self, number: int, outcome: str) -> None:
        target, ticket = self.attempts.pop(number % len(self.attempts))
        target.in_flight -= 1
        if outcome == "ok":
            target.sample(0.01, self.now())
            self.app.settle(target, 0, ticket, True, self.now())
        elif outcome == "left":
            target.unheard = max(0, target.unheard - 1)
            self.app.settle(target, 0, ticket, None, self.now())
        else:
            target.failed(self.now(), outcome == "silent")
            self.app.settle(target, 0, ticket, False, self.now(), outcome)

    def wait(self, seconds: float) -> None:
        before = int(self.now())
        self.bench.clock.advance(seconds)
        self.app.tick(self.now())
        for _ in range(int(self.now()) - before):
            self.app.fade()

    def check(self) -> None:
        for target in self.app.targets:
            under_way = [one for one, _ in self.attempts if one is target]
            assert 0 <= target.unheard <= len(under_way)
            assert target.in_flight == len(under_way)
            assert 0.0 < target.share <= 1.0


events = st.lists(
    st.tuples(
        st.sampled_from(["begin"] * 6 + ["post"] + ["ok"] * 2 + ["silent", "reset", "left", "wait", "health"]),
        st.integers(0, 11),
    ),
    max_size=80,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 4), st.sampled_from(WAYS), st.booleans(), st.sampled_from(["0s", "3s"]), st.booleans(), events)
def test_whoever_recovers_gets_traffic_again(
    count: int, balance: str, guarded: bool, slow_start: str, gets: bool, schedule: list[tuple[str, int]]
) -> None:
    bench = Bench()
    try:
        life = Life(bench, count, balance, guarded, slow_start)
        failed: Target | None = None
        for what, number in schedule:
            if what in ("begin", "post"):
                life.begin(what == "begin", failed)
                failed = None
            elif what == "wait":
                life.wait(number / 4)
            elif what == "health":
                target = life.app.targets[number % count]
                life.app.set_health(target.address, target.port, target.address, number % 3 > 0)
            elif life.attempts:
                target = life.attempts[number % len(life.attempts)][0]
                failed = target if what in ("silent", "reset") else None
                life.end(number, what)
            life.check()
        # From now on everything is well, whatever kind of requests comes.
        for target in life.app.targets:
            life.app.set_health(target.address, target.port, target.address, True)
        while life.attempts:
            life.end(0, "left")
        life.wait(LONGEST_REST)
        for _ in range(160):
            if life.begin(gets) is not None:
                life.end(0, "ok")
            life.wait(0.4)
        for target in life.app.targets:
            assert target.fit() and target.share == 1.0
            assert target.breaker is None or target.breaker.state is CLOSED
        served = {target for _ in range(300) if (target := life.begin(gets)) is not None and life.end(0, "ok") is None}
        assert len(served) == count
    finally:
        bench.loop.close()


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 4), st.sampled_from(WAYS[:3]), st.booleans(), st.integers(20, 60))
def test_a_target_that_says_nothing_gets_a_few_and_then_one_at_a_time(
    count: int, balance: str, guarded: bool, rate: int
) -> None:
    """Requests at a steady rate for eight seconds, answers at once but of one target; its own fail after a second."""
    bench = Bench()
    try:
        life = Life(bench, count, balance, guarded, "0s")
        silent = life.app.targets[0]
        met, pending = 0, []
        for step in range(8 * rate):
            target = life.begin(True)
            assert target is not None
            if target is silent:
                met += 1
                pending.append(step)
            else:
                life.end(len(life.attempts) - 1, "ok")
            while pending and pending[0] <= step - rate:
                del pending[0]
                life.end(0, "silent")
                assert life.begin(True, silent) is not silent
                life.end(len(life.attempts) - 1, "ok")
            life.wait(1 / rate)
            life.check()
        assert met <= 2 * MAX_UNHEARD
    finally:
        bench.loop.close()

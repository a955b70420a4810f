"""Every way to balance under random schedules: targets come, go, warm up, slow down and fail, attempts begin and end, and
each choice is one that the rules allow."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fastgw.model.keys import draw, point_of, seed_of
from fastgw.upstream.balance import make_balancer
from fastgw.upstream.slow_start import taking_part, warm_share

SLOW_START = 10.0
MAX_TARGETS = 6


@dataclass(eq=False)
class Peer:
    name: str
    weight: int
    since: float
    in_flight: int = 0
    ewma: float = 0.0
    current: float = 0.0
    share: float = 1.0

    def __post_init__(self) -> None:
        self.seed = seed_of(self.name)


class Choices(RuleBasedStateMachine):
    """What an upstream does with a balancer, and a plain statement of what may come out."""

    kind = ""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.random = Random(seed).random
        self.balancer = make_balancer(self.kind, self.random)
        self.now = 0.0
        self.there: list[Peer] = []
        self.away: list[Peer] = []
        self.attempts: list[Peer] = []

    @precondition(lambda self: len(self.there) + len(self.away) < MAX_TARGETS)
    @rule(weight=st.integers(1, 9))
    def add(self, weight: int) -> None:
        self.there.append(Peer(f"192.0.2.{len(self.there) + len(self.away)}:80", weight, self.now))

    @precondition(lambda self: self.there)
    @rule(which=st.integers(0, 5))
    def leave(self, which: int) -> None:
        self.away.append(self.there.pop(which % len(self.there)))

    @precondition(lambda self: self.away)
    @rule(which=st.integers(0, 5))
    def come_back(self, which: int) -> None:
        peer = self.away.pop(which % len(self.away))
        peer.since = self.now
        self.there.append(peer)

    @rule(seconds=st.floats(0, 4))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for peer in self.there:
            peer.share = warm_share(self.now - peer.since, SLOW_START)

    @precondition(lambda self: self.there)
    @rule(which=st.integers(0, 5), seconds=st.sampled_from([0.0, 0.001, 0.5]))
    def measure(self, which: int, seconds: float) -> None:
        self.there[which % len(self.there)].ewma = seconds

    @precondition(lambda self: self.attempts)
    @rule(which=st.integers(0, 99))
    def end(self, which: int) -> None:
        self.attempts.pop(which % len(self.attempts)).in_flight -= 1

    @precondition(lambda self: self.there)
    @rule(key=st.binary(max_size=8), which=st.none() | st.integers(0, 5), cold=st.booleans())
    def choose(self, key: bytes, which: int | None, cold: bool) -> None:
        exclude = None if which is None else self.there[which % len(self.there)]
        point = point_of(key) if self.kind == "hash" else 0
        there = taking_part(self.there, exclude, point, self.random) if cold else self.there
        chosen = self.balancer.pick(there, exclude, point)
        assert chosen in there
        assert chosen is not exclude or self.there == [exclude]
        self.allowed(chosen, [peer for peer in there if peer is not exclude] or [chosen], point)
        chosen.in_flight += 1
        self.attempts.append(chosen)

    def allowed(self, chosen: Peer, others: list[Peer], point: int) -> None:
        if self.kind == "least_requests":
            assert all(chosen.in_flight * peer.weight <= peer.in_flight * chosen.weight for peer in others)
        elif self.kind == "hash":
            assert chosen is min(others, key=lambda peer: draw(point, peer.seed) / peer.weight)
        elif self.kind == "p2c" and len(others) > 1:
            assert any(
                peer is not chosen and cost(chosen, peer) <= cost(peer, chosen) * (1 + 1e-9)
                for peer in others
            )

    @invariant()
    def round_robin_owes_nobody_much(self) -> None:
        peers = [*self.there, *self.away] if hasattr(self, "there") else []
        assert sum(peer.current for peer in peers) == 0
        bound = len(peers) * sum(peer.weight for peer in peers)
        assert all(abs(peer.current) <= bound for peer in peers)


def cost(peer: Peer, other: Peer) -> float:
    """Latency counts where it is known of both."""
    latency = peer.ewma if peer.ewma and other.ewma else 1.0
    return (peer.in_flight / peer.weight + 1) * latency


@pytest.mark.parametrize("kind", ["round_robin", "least_requests", "p2c", "hash"])
def test_every_choice_is_one_that_the_rules_allow(kind: str) -> None:
    run_state_machine_as_test(
        type("Choices", (Choices,), {"kind": kind}),
        settings=settings(max_examples=40, stateful_step_count=60, deadline=None),
    )

"""Nothing fires early, everything in the first sweep after its time, and what is closed costs no memory."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.model.deadlines import COMPACT_AT, NEVER, Deadlines


class Owner:
    def __init__(self, then: Callable[[Owner, float], None] | None = None) -> None:
        self.deadline = NEVER
        self.wake = NEVER
        self.fired: list[float] = []
        self._then = then

    def on_deadline(self, now: float) -> None:
        assert self.deadline <= now
        self.fired.append(now)
        self.deadline = NEVER
        if self._then is not None:
            self._then(self, now)


def test_it_fires_at_its_time_and_not_before() -> None:
    deadlines, owner = Deadlines(), Owner()
    deadlines.watch(owner, 10.0)
    assert deadlines.sweep(9.999) == 0
    assert deadlines.sweep(10.0) == 1
    assert deadlines.sweep(11.0) == 0
    assert owner.fired == [10.0]


def test_a_deadline_that_moved_on_by_an_attribute_write_fires_at_its_new_time() -> None:
    deadlines, owner = Deadlines(), Owner()
    deadlines.watch(owner, 10.0)
    owner.deadline = 20.0
    assert deadlines.sweep(15.0) == 0
    assert deadlines.sweep(20.0) == 1


def test_a_deadline_that_moved_nearer_fires_once_at_the_nearer_time() -> None:
    deadlines, owner = Deadlines(), Owner()
    deadlines.watch(owner, 10.0)
    deadlines.watch(owner, 5.0)
    assert deadlines.sweep(5.0) == 1
    assert deadlines.sweep(10.0) == 0
    assert owner.fired == [5.0]


def test_a_cleared_deadline_never_fires_and_leaves_no_entry() -> None:
    deadlines, owner = Deadlines(), Owner()
    deadlines.watch(owner, 10.0)
    owner.deadline = NEVER
    assert deadlines.sweep(1e9) == 0
    assert len(deadlines) == 0


def test_it_may_be_renewed_while_it_fires() -> None:
    deadlines = Deadlines()
    by_watch = Owner(lambda self, now: deadlines.watch(self, now + 1.0))
    by_write = Owner(lambda self, now: setattr(self, "deadline", now + 1.0))
    for owner in (by_watch, by_write):
        deadlines.watch(owner, 1.0)
    for now in (1.0, 2.0, 3.0):
        assert deadlines.sweep(now) == 2
    assert by_watch.fired == by_write.fired == [1.0, 2.0, 3.0]


def test_one_may_forget_another_while_it_fires() -> None:
    deadlines = Deadlines()
    other = Owner()
    first = Owner(lambda self, now: deadlines.forget(other))
    deadlines.watch(first, 1.0)
    deadlines.watch(other, 2.0)
    assert deadlines.sweep(5.0) == 1
    assert other.fired == []


def test_an_owner_may_forget_itself_while_it_fires() -> None:
    deadlines = Deadlines()
    owner = Owner(lambda self, now: deadlines.forget(self))
    deadlines.watch(owner, 1.0)
    assert deadlines.sweep(1.0) == 1
    assert len(deadlines) == 0


def test_whoever_was_forgotten_can_be_watched_again_at_the_same_time() -> None:
    deadlines, owner = Deadlines(), Owner()
    deadlines.watch(owner, 10.0)
    deadlines.forget(owner)
    assert owner.deadline == NEVER
    deadlines.watch(owner, 10.0)
    assert deadlines.sweep(10.0) == 1
    assert owner.fired == [10.0]


def test_to_forget_twice_or_a_stranger_is_nothing() -> None:
    deadlines, owner = Deadlines(), Owner()
    deadlines.forget(owner)
    deadlines.watch(owner, 1.0)
    deadlines.forget(owner)
    deadlines.forget(owner)
    assert deadlines.sweep(2.0) == 0


def test_equal_times_fire_in_the_order_in_which_they_were_set() -> None:
    deadlines = Deadlines()
    order: list[int] = []
    for number in range(5):
        deadlines.watch(Owner(lambda self, now, number=number: order.append(number)), 1.0)
    deadlines.sweep(1.0)
    assert order == list(range(5))


def test_a_thousand_due_at_once_fire_in_one_sweep() -> None:
    deadlines = Deadlines()
    owners = [Owner() for _ in range(1000)]
    for number, owner in enumerate(owners):
        deadlines.watch(owner, 1.0 + number % 7 / 7)
    assert deadlines.sweep(2.0) == 1000


@pytest.mark.parametrize(
    "times",
    [
        (60.0,),
        (60.0, 10.0),
        (60.0, 10.0, 1.0),
        (60.0, 30.0, 20.0, 10.0, 5.0, 1.0),
    ],
)
def test_memory_is_bounded_under_churn(times: tuple[float, ...]) -> None:
    """A flood of short connections, each of which asked for ever nearer deadlines before it closed."""
    deadlines = Deadlines()
    alive = [Owner() for _ in range(10)]
    for owner in alive:
        deadlines.watch(owner, 100.0)
    for _ in range(10 * COMPACT_AT):
        owner = Owner()
        for seconds in times:
            deadlines.watch(owner, seconds)
        deadlines.forget(owner)
    assert len(deadlines) <= 4 * COMPACT_AT
    assert deadlines.sweep(100.0) == 10


def test_memory_is_bounded_where_one_connection_moves_its_deadline_nearer_for_ever() -> None:
    deadlines, owner = Deadlines(), Owner()
    for number in range(10 * COMPACT_AT):
        # What a keep-alive connection does: a long deadline between requests, a short one inside them.
        deadlines.watch(owner, number + 60.0)
        deadlines.watch(owner, number + 10.0)
        deadlines.sweep(float(number))
    assert len(deadlines) <= 4 * COMPACT_AT


def assert_exact(deadlines: Deadlines, owners: list[Owner]) -> None:
    """Whoever is watched has one live entry at its next moment; every other entry is counted as dead."""
    watched = [owner for owner in owners if owner.wake != NEVER]
    assert all(
        any(entry[0] == owner.wake and entry[2] is owner for entry in deadlines._heap) for owner in watched
    )
    assert deadlines._dead == len(deadlines) - len(watched)
    assert all(owner.wake <= owner.deadline for owner in owners)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("watch"), st.integers(0, 4), st.integers(1, 40)),
        st.tuples(st.just("write"), st.integers(0, 4), st.integers(1, 40)),
        st.tuples(st.just("forget"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("sweep"), st.just(0), st.integers(1, 15)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_any_schedule_fires_what_is_due_and_nothing_else(schedule: list[tuple[str, int, int]]) -> None:
    """The hot callers' idiom: write the attribute, and call `watch` only where it is nearer than `wake`."""
    deadlines = Deadlines()
    owners = [Owner() for _ in range(5)]
    now = 0.0
    for what, index, number in schedule:
        owner = owners[index]
        if what == "watch":
            deadlines.watch(owner, now + number)
        elif what == "write":
            owner.deadline = now + number
            if owner.deadline < owner.wake:
                deadlines.watch(owner, owner.deadline)
        elif what == "forget":
            deadlines.forget(owner)
        else:
            now += number
            due = {owner for owner in owners if owner.deadline <= now}
            before = {owner: len(owner.fired) for owner in owners}
            assert deadlines.sweep(now) == len(due)
            assert {owner for owner in owners if len(owner.fired) > before[owner]} == due
        assert_exact(deadlines, owners)
    deadlines.sweep(1e9)
    assert len(deadlines) == 0


def test_an_owner_that_asks_again_for_a_moment_that_is_past_waits_for_the_next_sweep() -> None:
    deadlines = Deadlines()
    by_watch = Owner(deadlines.watch)
    by_write = Owner(lambda self, now: setattr(self, "deadline", now - 1.0))
    for owner in (by_watch, by_write):
        deadlines.watch(owner, 1.0)
    for now in (1.0, 1.5, 2.0):
        assert deadlines.sweep(now) == 2
    assert by_watch.fired == by_write.fired == [1.0, 1.5, 2.0]


def test_the_dead_are_counted_exactly_through_a_rebuild_inside_a_sweep() -> None:
    """Owners fire, forget each other and renew while the heap is rebuilt under the sweep's feet."""
    deadlines = Deadlines()
    random = Random(7)
    owners: list[Owner] = []

    def disturb(owner: Owner, now: float) -> None:
        for other in random.sample(owners, 5):
            deadlines.watch(other, now + random.choice((0.5, 5.0, 50.0)))
            if random.random() < 0.3:
                deadlines.forget(other)
        deadlines.watch(owner, now + random.choice((1.0, 2.0, 30.0)))

    owners += [Owner(disturb) for _ in range(400)]
    rebuilt = False
    for owner in owners:
        deadlines.watch(owner, 1.0)
    for step in range(1, 60):
        before, size = deadlines._serial, len(deadlines)
        due = sum(owner.deadline <= step for owner in owners)
        assert deadlines.sweep(float(step)) >= min(due, 1)
        pushed = deadlines._serial - before
        rebuilt = rebuilt or size + pushed - len(deadlines) > COMPACT_AT
        assert_exact(deadlines, owners)
        assert len(deadlines) <= len(owners) + 2 * (COMPACT_AT + len(owners))
        for owner in random.sample(owners, 100):
            deadlines.watch(owner, step + random.choice((1.0, 3.0)))
    assert rebuilt

"""Random schedules of takers, waiters and breaks: the pool's counts, bounds and order hold after every step."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.model.deadlines import NEVER
from fastgw.upstream.connection import UpstreamConnection
from fastgw.upstream.wire import State
from tests.upstream.fakes import Bench, FakeTransport, Owner, upstream


class Seeker(Owner):
    """Behaves like an exchange: takes, connects or waits; keeps what it got until it is told to give it back."""

    def __init__(self, model: Model, number: int) -> None:
        super().__init__()
        self.model = model
        self.number = number
        self.held: UpstreamConnection | None = None

    def seek(self) -> None:
        pool, model = self.model.pool, self.model
        connection = model.bench.take()
        if connection is not None:
            assert not pool.queued, "a newcomer overtakes the queue"
            self.hold(connection)
        elif pool.has_room():
            assert not pool.queued, "a newcomer overtakes the queue"
            self.connect()
        elif pool.enqueue(self):
            model.line.append(self)
        else:
            assert pool.queued >= pool.limits.queue

    def connect(self) -> None:
        self.model.connecting.append(self)
        self.held = self.model.pool.connect(self, self.model.bench.clock.now() + 1000.0)

    def hold(self, connection: UpstreamConnection) -> None:
        connection.owner = self
        connection.deadline = NEVER  # as `begin` does at once: the idle one is over
        self.held = connection
        self.model.busy.append(self)

    def on_turn(self, connection: UpstreamConnection | None) -> None:
        model = self.model
        assert model.line[0] is self, "somebody else's turn, or that of one who has gone"
        assert not self.waiting
        model.line.pop(0)
        if connection is None:
            self.connect()
        else:
            assert connection.state is State.IDLE
            assert connection.owner is self
            self.hold(connection)


class Model:
    """What the pool must agree with."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.pool = bench.pool
        self.connecting: list[Seeker] = []
        self.busy: list[Seeker] = []
        self.line: list[Seeker] = []  # those that wait for their turn, chosen or not, in their order
        self._most = 0  # connections and promises before the last step

    def step(self, what: str, pick: int, number: int) -> None:
        self._most = self.pool.open + self.pool.reserved
        if what == "seek":
            Seeker(self, number).seek()
        elif what == "made" and self.connecting:
            seeker = self.connecting.pop(pick % len(self.connecting))
            assert seeker.held is not None
            seeker.held.connection_made(FakeTransport())  # type: ignore[arg-type]
            self.busy.append(seeker)
        elif what == "fail" and self.connecting:
            self._drop(self.connecting, pick)
        elif what == "give" and self.busy:
            seeker = self.busy.pop(pick % len(self.busy))
            assert seeker.held is not None
            seeker.held.owner = None
            self.bench.give(seeker.held)
        elif what == "break" and self.busy:
            self._drop(self.busy, pick)
        elif what == "break handed" and self.handed():
            self.handed()[pick % len(self.handed())].close()
        elif what == "leave" and self.line:
            self.pool.leave(self.line.pop(pick % len(self.line)))
        elif what == "leave chosen" and self.pool._chosen:
            self.pool.leave(
                self.line.pop(pick % len(self.pool._chosen))
            )  # they stand at the head of the line
        elif what == "turn":
            self.bench.loop.run()
        elif what == "wait":
            self.bench.tick(3.0)
        elif what == "reload":
            connections = {"max": 1 + pick % 4, "idle": pick % 3, "queue": 4, "idle_timeout": "4s"}
            self.pool.configure(upstream("app", ["http://a:1"], connections=connections).connections)

    def handed(self) -> list[UpstreamConnection]:
        return [connection for connection in self.pool._chosen.values() if connection is not None]  # type: ignore[misc]

    def _drop(self, group: list[Seeker], pick: int) -> None:
        held = group.pop(pick % len(group)).held
        assert held is not None
        held.close()

    def check(self) -> None:
        pool = self.pool
        chosen, handed = len(pool._chosen), self.handed()
        assert all(connection.state is State.IDLE for connection in handed)
        assert pool.reserved == chosen - len(handed)
        assert pool.open == pool.idle + len(self.busy) + len(self.connecting) + len(handed)
        promised = pool.open + pool.reserved
        assert 0 <= promised <= max(pool.max, self._most), "more than before is beyond the bound"
        assert pool.idle <= pool.limits.idle
        assert [*pool._chosen, *pool.waiters] == self.line
        assert all(seeker.waiting for seeker in self.line)
        assert pool.queued == len(pool.waiters)
        assert not (pool.idle and pool.queued), "somebody waits beside an idle connection"
        assert not pool.queued or promised >= pool.max, "somebody waits beside room that is nobody's"


schedules = st.lists(
    st.tuples(
        st.sampled_from(
            ["seek"] * 6 + ["made"] * 3 + ["give"] * 3 + ["turn"] * 3
            + ["fail", "break", "break handed", "leave", "leave chosen", "wait", "reload"]
        ),
        st.integers(0, 9),
    ),
    max_size=60,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 4), schedules)
def test_any_schedule_keeps_the_counts_the_bounds_and_the_order(
    most: int, idle: int, queue: int, schedule: list[tuple[str, int]]
) -> None:
    bench = Bench(max=most, idle=idle, queue=queue, idle_timeout="4s")
    model = Model(bench)
    try:
        for number, (what, pick) in enumerate(schedule):
            model.step(what, pick, number)
            model.check()
        for _ in range(20):  # what is under way comes to its end, and nobody is forgotten
            model.step("turn", 0, 0)
            while model.connecting:
                model.step("made", 0, 0)
            while model.busy:
                model.step("give", 0, 0)
            model.check()
        assert not model.line
        bench.pool.retire()
        assert bench.pool.open == bench.pool.queued == bench.pool.reserved == 0
    finally:
        bench.loop.close()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=6), st.integers(2, 8))
def test_turns_come_in_the_order_of_the_queue(leavers: list[int], count: int) -> None:
    bench = Bench(max=1, queue=9)
    try:
        connection = bench.connected()
        waiters = [Owner() for _ in range(count)]
        for waiter in waiters:
            bench.pool.enqueue(waiter)
        for index in leavers:
            bench.pool.leave(waiters[index % count])
        staying = [waiter for waiter in waiters if waiter.waiting]
        order: list[Owner] = []
        while bench.pool.queued:
            bench.give(connection)
            bench.loop.run()
            order += [waiter for waiter in waiters if waiter.events and waiter not in order]
        assert order == staying
    finally:
        bench.loop.close()

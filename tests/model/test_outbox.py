"""Each sender's bytes keep their order and are all sent; nobody's trouble with a transport is anybody else's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.model.outbox import AT_ONCE, DIRECT, LONELY_TURNS, PASS_BY, Outbox


class Transport:
    def __init__(self, log: list[bytes] | None = None) -> None:
        self.written: list[bytes] = []
        self.broken = False
        self._log = log

    def write(self, data: bytes) -> None:
        if self.broken:
            raise RuntimeError("Cannot call write() after write_eof()")
        self.written.append(data)
        if self._log is not None:
            self._log.append(data)


class Sender:
    def __init__(self, log: list[bytes] | None = None) -> None:
        self.wire = Transport(log)
        self.transport: Transport | None = self.wire

    @property
    def written(self) -> list[bytes]:
        return self.wire.written


class Turns:
    """The loop's call_soon."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.made = 0

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)
        self.made += 1

    def end(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class Box:
    def __init__(self) -> None:
        self.turns = Turns()
        self.outbox = Outbox(self.turns.call_soon)
        self.send = self.outbox.send

    def lonely(self, sender: Sender, turns: int) -> None:
        for _ in range(turns):
            self.send(sender, b".")
            self.turns.end()


@pytest.fixture
def box() -> Box:
    return Box()


def test_writes_of_a_turn_go_out_at_its_end_in_their_order(box: Box) -> None:
    log: list[bytes] = []
    one, other = Sender(log), Sender(log)
    for sender, data in ((one, b"1"), (other, b"2"), (one, b"3")):
        box.send(sender, data)
    assert log == []
    assert box.turns.made == 1
    box.turns.end()
    assert log == [b"1", b"2", b"3"]
    assert (one.written, other.written) == ([b"1", b"3"], [b"2"])
    assert box.turns.calls == []


def test_a_turn_without_writes_costs_nothing(box: Box) -> None:
    box.outbox.flush()
    assert box.turns.made == 0


def test_the_first_of_many_does_not_wait_for_the_last(box: Box) -> None:
    sender = Sender()
    for number in range(AT_ONCE - 1):
        box.send(sender, b"%d" % number)
    assert sender.written == []
    box.send(sender, b"last")
    assert len(sender.written) == AT_ONCE
    assert sender.written[-1] == b"last"


def test_a_large_write_goes_straight_on_behind_what_its_sender_wrote_before(box: Box) -> None:
    sender = Sender()
    large = b"x" * (DIRECT + 1)
    box.send(sender, b"head")
    box.send(sender, large)
    assert sender.written == [b"head", large]
    box.send(sender, b"tail")
    box.turns.end()
    assert sender.written == [b"head", large, b"tail"]


def test_one_of_exactly_the_bound_waits(box: Box) -> None:
    sender = Sender()
    box.send(sender, b"x" * DIRECT)
    assert sender.written == []


def test_what_is_kept_is_bounded(box: Box) -> None:
    sender = Sender()
    for _ in range(1000):
        box.send(sender, b"x" * DIRECT)
        assert len(box.outbox._pending) < AT_ONCE


def test_a_flush_before_the_end_of_the_turn_sends_all(box: Box) -> None:
    """Whoever closes in order calls it first."""
    one, other = Sender(), Sender()
    box.send(one, b"1")
    box.send(other, b"2")
    box.outbox.flush()
    assert (one.written, other.written) == ([b"1"], [b"2"])
    box.turns.end()
    assert (one.written, other.written) == ([b"1"], [b"2"])


# --- transports in trouble ---


@pytest.mark.parametrize("passing", [False, True])
def test_a_sender_whose_transport_is_gone_costs_nobody_elses_bytes(passing: bool, box: Box) -> None:
    first, gone, last = Sender(), Sender(), Sender()
    if passing:
        box.lonely(Sender(), LONELY_TURNS)
    else:
        box.send(gone, b"before")
    gone.transport = None
    for sender in (first, gone, last):
        box.send(sender, b"x")
    box.turns.end()
    assert (first.written, gone.written, last.written) == ([b"x"], [], [b"x"])


@pytest.mark.parametrize("passing", [False, True])
def test_a_transport_that_refuses_costs_nobody_elses_bytes(passing: bool, box: Box) -> None:
    """uvloop raises RuntimeError for a write behind write_eof; nobody who sends hears of it."""
    first, broken, last = Sender(), Sender(), Sender()
    if passing:
        box.lonely(Sender(), LONELY_TURNS)
    broken.wire.broken = True
    for sender in (first, broken, last):
        box.send(sender, b"x")
    box.turns.end()
    assert (first.written, broken.written, last.written) == ([b"x"], [], [b"x"])


def test_the_transport_counts_that_there_is_when_it_is_written(box: Box) -> None:
    sender = Sender()
    box.send(sender, b"x")
    sender.transport = None
    box.turns.end()
    assert sender.written == []


# --- stepping aside ---


def test_it_steps_aside_while_turns_are_short(box: Box) -> None:
    sender = Sender()
    box.lonely(sender, LONELY_TURNS)
    made = box.turns.made
    assert made == LONELY_TURNS
    for number in range(PASS_BY):
        box.send(sender, b"%d" % number)
        assert sender.written[-1] == b"%d" % number  # at once
    assert box.turns.made == made
    box.send(sender, b"kept")
    assert sender.written[-1] != b"kept"
    assert box.turns.made == made + 1


def test_after_the_pause_one_more_lonely_turn_is_enough(box: Box) -> None:
    sender = Sender()
    box.lonely(sender, LONELY_TURNS + PASS_BY)
    box.lonely(sender, 1)
    box.send(sender, b"direct")
    assert sender.written[-1] == b"direct"


def test_it_returns_when_turns_have_more(box: Box) -> None:
    one, other = Sender(), Sender()
    box.lonely(one, LONELY_TURNS + PASS_BY)
    box.send(one, b"1")
    box.send(other, b"2")
    box.turns.end()
    box.lonely(one, LONELY_TURNS - 1)
    box.send(one, b"kept")
    assert one.written[-1] != b"kept"


def test_lonely_turns_must_come_in_a_row(box: Box) -> None:
    one, other = Sender(), Sender()
    for _ in range(5):
        box.lonely(one, LONELY_TURNS - 1)
        box.send(one, b"1")
        box.send(other, b"2")
        box.turns.end()
    box.send(one, b"kept")
    assert one.written[-1] != b"kept"


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 3), st.sampled_from([1, 3, DIRECT, DIRECT + 1])),
        st.tuples(st.just("turn"), st.just(0), st.just(0)),
        st.tuples(st.just("lonely"), st.integers(0, 3), st.integers(1, LONELY_TURNS + 3)),
        st.tuples(st.just("burst"), st.integers(0, 3), st.integers(1, PASS_BY + 3)),
        st.tuples(st.just("flush"), st.just(0), st.just(0)),
        st.tuples(st.just("break"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("go"), st.integers(0, 3), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_any_schedule_keeps_every_senders_bytes_and_their_order(schedule: list[tuple[str, int, int]]) -> None:
    box = Box()
    senders = [Sender() for _ in range(4)]
    sent: list[list[bytes]] = [[] for _ in senders]
    whole = [True] * 4  # its transport was there all the time: nothing may be missing
    number = 0

    def send(index: int, size: int = 1) -> None:
        nonlocal number
        number += 1
        data = b"%d:" % number + b"x" * size
        sent[index].append(data)
        box.send(senders[index], data)

    for what, index, size in schedule:
        if what == "send":
            send(index, size)
        elif what == "turn":
            box.turns.end()
        elif what == "lonely":
            for _ in range(size):
                send(index)
                box.turns.end()
        elif what == "burst":
            for _ in range(size):
                send(index)
        elif what == "flush":
            box.outbox.flush()
        elif what == "break":
            senders[index].wire.broken = True
            whole[index] = False
        else:
            senders[index].transport = None
            whole[index] = False
    box.turns.end()
    for sender, all_of_it, complete in zip(senders, sent, whole, strict=True):
        if complete:
            assert sender.written == all_of_it
        else:
            assert sender.written == all_of_it[: len(sender.written)]

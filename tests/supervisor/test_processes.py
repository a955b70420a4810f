"""The process table: which change of state is legal, and that no other is."""

from __future__ import annotations

import itertools

import pytest

from fastgw.ipc.channel import Channel, pair
from fastgw.supervisor.processes import (
    ALIVE,
    TRANSITIONS,
    Event,
    IllegalTransition,
    Kind,
    Process,
    State,
    Table,
)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_what_the_table_does_not_hold_is_refused(state, event):
    process = Process(Kind.WORKER, 3)
    process.state = state
    following = TRANSITIONS.get((state, event))
    if following is None:
        with pytest.raises(IllegalTransition, match="worker 3"):
            process.turn(event)
        assert process.state is state
    else:
        process.turn(event)
        assert process.state is following


def test_whoever_lives_can_die_and_whoever_is_dead_cannot():
    for state in State:
        assert ((state, Event.DIED) in TRANSITIONS) == (state in ALIVE)


def test_nobody_is_replaced_after_being_told_to_end():
    """From every state: told to end, and then whatever may happen."""
    after = {
        TRANSITIONS[state, Event.TOLD_TO_END] for state in State if (state, Event.TOLD_TO_END) in TRANSITIONS
    }
    while True:
        more = after | {TRANSITIONS[key] for key in TRANSITIONS if key[0] in after}
        if more == after:
            break
        after = more
    assert after == {State.ENDING, State.DOOMED, State.GONE}


def test_a_place_outlives_its_processes():
    ours, theirs = pair()
    process = Process(Kind.WORKER, 0)
    process.spawned(4711, Channel(ours), now=10.0)
    process.turn(Event.SERVES)
    process.connected = True
    process.died(now=10.1)
    assert (process.pid, process.channel, process.connected, process.served) == (0, None, False, True)
    assert process.due_at == 10.1
    theirs.close()


def test_the_logger_is_started_first():
    table = Table(2)
    assert [process.name for process in table] == ["logger", "valkey", "control", "worker 0", "worker 1"]

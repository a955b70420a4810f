from __future__ import annotations

from k6 import timeline
from k6.modes import Change
from k6.timeline import Moment, Slot

DOCUMENT = {
    "metrics": {
        "took": {"values": {"med": 1.0}},
        "took{slot:0}": {"values": {"med": 0.5, "p(99)": 1.5, "max": 2.0, "count": 100}},
        "took{slot:2}": {"values": {"med": 0.7, "p(99)": 1.7, "max": 2.2, "count": 99}},
        "took{slot:3}": {"values": {"count": 0}},
    }
}


def test_slots_are_read_in_order_and_gaps_are_empty() -> None:
    assert timeline.slots_of(DOCUMENT) == [
        Slot(100, 0.5, 1.5, 2.0),
        Slot(0, 0, 0, 0),
        Slot(99, 0.7, 1.7, 2.2),
        Slot(0, 0, 0, 0),
    ]
    assert timeline.slots_of({"metrics": {}}) == []


def test_modes_and_moments_come_to_their_slots() -> None:
    changes = [Change(50.12, -1), Change(50.22, -1)]
    made = timeline.build("x.csv", timeline.slots_of(DOCUMENT), 50.0, [Moment("stopped", 50.11)], 2, changes)
    assert [slot.mode for slot in made.slots] == ["redis", "redis+local", "redis+local", "local"]
    assert made.moments == (("stopped", 1),)


def test_the_file_has_all_and_the_terminal_what_is_near_a_moment() -> None:
    slots = [Slot(1, 0.1, 0.2, 0.3)] * 40
    made = timeline.build("x.csv", slots, 0.0, [Moment("killed", 2.05)], 1, [])
    assert len(made.csv().splitlines()) == 41
    assert "2.0,1,0.10,0.20,0.30,redis,killed" in made.csv()
    shown = made.render().splitlines()
    assert len(shown) == 2 + timeline.SHOWN_BEFORE + 1 + timeline.SHOWN_AFTER
    assert sum("killed" in line for line in shown) == 1

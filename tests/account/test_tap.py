"""What is shown of a worker's exchanges while somebody looks on: what was asked for, at a bounded rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson
import pytest

from fastgw.account.tap import EVERY, LONGEST_LINE, MOST_IN_MESSAGE, MOST_NOTED, MOST_NOTICES, Tap
from fastgw.clock import ManualClock
from fastgw.errors import Reason
from fastgw.ipc import messages
from fastgw.ipc.channel import MAX_PACKET
from fastgw.model.exchange import Exchange
from fastgw.model.identity import NEVER_EXPIRES, Identity

ANN, BOB = (Identity(name, "", "", frozenset(), {}, NEVER_EXPIRES) for name in ("ann", "bob"))


class Screen:
    """Whom the tap tells, and the timer that it sets."""

    def __init__(self, **condition: object) -> None:
        self.clock = ManualClock()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.told: list[tuple[list[str], int, list[str]]] = []
        self.keeps_up = True
        self.tap = Tap(condition, self.tell, lambda seconds, call: self.timers.append((seconds, call)), self.clock.now)

    def tell(self, lines: Sequence[str], missed: int, notices: Sequence[str]) -> bool:
        if self.keeps_up:
            self.told.append((list(lines), missed, list(notices)))
        return self.keeps_up

    def show(
        self, route: str = "one", troubled: bool = False, seconds: float = 0.0, line: bytes = b"{}\n", **of: object
    ) -> bool:
        exchange = Exchange(None, b"GET", b"/", b"", False, 0.0, 0)
        exchange.reason = Reason.RATE_LIMITED if troubled else Reason.OK
        for name, value in of.items():
            setattr(exchange, name, value)
        wanted = self.tap.wants(route, exchange, seconds)
        if wanted:
            self.tap.add(line)
        return wanted

    def turn(self, seconds: float = EVERY) -> None:
        self.clock.advance(seconds)
        timers, self.timers = self.timers, []
        for _, call in timers:
            call()


def test_lines_of_a_moment_travel_together_with_one_timer() -> None:
    screen = Screen()
    screen.show(line=b'{"a":1}\n')
    screen.show(line=b'{"a":2}\n')
    screen.tap.note("worker 0: circuit open")
    assert [seconds for seconds, _ in screen.timers] == [EVERY]
    screen.turn()
    assert screen.told == [(['{"a":1}', '{"a":2}'], 0, ["worker 0: circuit open"])]
    screen.turn()
    assert len(screen.told) == 1
    assert screen.timers == []


@pytest.mark.parametrize(
    ("condition", "shown", "kept_back"),
    [
        ({"troubled": True}, {"troubled": True}, {"troubled": False}),
        ({"slower": 0.1}, {"seconds": 0.1}, {"seconds": 0.09}),
        ({"routes": ["one", "two"]}, {"route": "two"}, {"route": "three"}),
        ({"reasons": ["rate_limited"]}, {"troubled": True}, {}),
        ({"upstreams": ["app"]}, {"upstream": "app"}, {"upstream": "other"}),
        ({"consumers": ["ann"]}, {"identity": ANN}, {}),
        ({"consumers": ["bob"]}, {"identity": BOB}, {"identity": ANN}),
        ({"troubled": True}, {"status": 400}, {"status": 399}),
    ],
)
def test_what_nobody_asked_for_is_neither_sent_nor_counted(
    condition: dict[str, object], shown: dict[str, object], kept_back: dict[str, object]
) -> None:
    screen = Screen(**condition)
    assert screen.show(**kept_back) is False  # type: ignore[arg-type]
    assert screen.timers == []
    assert screen.show(**shown) is True  # type: ignore[arg-type]


def test_the_rate_is_bounded_and_half_of_it_is_for_trouble() -> None:
    screen = Screen(rate=100)
    shown = sum(screen.show() for _ in range(1000))
    assert shown == 50
    assert sum(screen.show(troubled=True) for _ in range(1000)) == 50
    screen.turn()
    assert sum(len(lines) for lines, _, _ in screen.told) == 100
    assert sum(missed for _, missed, _ in screen.told) == 950 + 950
    screen.turn(10.0)
    assert screen.show() is False  # the allowance is counted anew with each message
    screen.turn(10.0)
    assert sum(screen.show() for _ in range(1000)) == 50


def test_whoever_only_missed_something_learns_it_too() -> None:
    screen = Screen(rate=2)
    screen.show()
    screen.turn(0.0)
    assert not screen.show()
    screen.turn(0.0)
    assert screen.told[-1] == ([], 1, [])


def test_what_the_other_side_did_not_take_is_counted_and_said_later() -> None:
    screen = Screen()
    screen.keeps_up = False
    screen.show()
    screen.turn()
    screen.keeps_up = True
    screen.show()
    screen.turn()
    assert screen.told == [(["{}"], 1, [])]


def test_messages_are_small_and_a_line_beyond_reason_is_left_out() -> None:
    screen = Screen()
    line = b"x" * (LONGEST_LINE - 1) + b"\n"
    for _ in range(5):
        screen.show(line=line)
    screen.show(line=b"x" * LONGEST_LINE + b"\n")
    screen.turn()
    assert [len(lines) for lines, _, _ in screen.told] == [3, 2]
    assert all(sum(map(len, lines)) <= MOST_IN_MESSAGE for lines, _, _ in screen.told)
    assert sum(missed for _, missed, _ in screen.told) == 1


def test_a_storm_of_notices_is_cut() -> None:
    screen = Screen()
    for number in range(MOST_NOTICES + 9):
        screen.tap.note(f"{number}")
    screen.turn()
    assert len(screen.told[0][2]) == MOST_NOTICES


def test_the_worst_message_fits_into_a_packet() -> None:
    screen = Screen()
    for _ in range(10):
        screen.show(line=b'"' * (LONGEST_LINE - 1) + b"\n")  # each of them is quoted once more
        screen.tap.note("\x01" * 10_000)  # six bytes each
    screen.turn()
    assert len(screen.told) > 1
    for lines, missed, notices in screen.told:
        assert len(orjson.dumps(messages.live(lines, missed, notices))) <= MAX_PACKET
    assert sum(len(text) for _, _, notices in screen.told for text in notices) == MOST_NOTED


def test_room_for_notices_comes_back_with_the_next_message() -> None:
    screen = Screen()
    for text in ("x" * 2 * MOST_NOTED, "late"):
        screen.tap.note(text)
    screen.turn()
    screen.tap.note("next")
    screen.turn()
    assert [notices for _, _, notices in screen.told] == [["x" * MOST_NOTED], ["next"]]


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    screen = Screen()
    screen.show(line=b"\xff\n")
    screen.turn()
    assert screen.told[0][0] == ["\N{REPLACEMENT CHARACTER}"]


def test_another_wish_takes_effect_at_once() -> None:
    screen = Screen(troubled=True)
    assert not screen.show()
    screen.tap.change({"slower": 0.5})
    assert screen.show(seconds=0.6)
    assert not screen.show(troubled=True, seconds=0.4)


def test_without_a_rate_it_is_more_than_a_person_reads() -> None:
    screen = Screen()
    assert sum(screen.show(troubled=True) for _ in range(10_000)) == 500

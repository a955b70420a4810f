from __future__ import annotations

import pytest

from fastgw.cli.event_stream import MAX_EVENT, Event, EventStream

WHOLE = (
    b": warm\n\nevent: exchange\ndata: {\"a\":1}\n\ndata:x\r\ndata: \xc3\xa4\r\n\r\nid: 7\rretry: 3\revent: left out\r\r"
    b"event: notice\ndata\ndata: y\n\n"
)
EVENTS = [Event("exchange", '{"a":1}'), Event("message", "x\nä"), Event("notice", "\ny")]


def test_a_stream_in_one_piece() -> None:
    assert EventStream().feed(WHOLE) == EVENTS


@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_a_stream_split_anywhere_is_the_same(at: int) -> None:
    stream = EventStream()
    assert stream.feed(WHOLE[:at]) + stream.feed(WHOLE[at:]) == EVENTS


def test_a_stream_byte_by_byte_is_the_same() -> None:
    stream = EventStream()
    found = [event for byte in WHOLE for event in stream.feed(bytes([byte]))]
    assert found == EVENTS


def test_half_an_event_is_none() -> None:
    assert EventStream().feed(b"event: exchange\ndata: {}\n") == []


@pytest.mark.parametrize("line", [b"data: " + b"x" * (MAX_EVENT + 1), b"data: " + b"x" * 1000 + b"\n"])
def test_an_event_without_an_end_is_refused(line: bytes) -> None:
    stream = EventStream()
    with pytest.raises(ValueError, match="no stream of events"):
        for _ in range(MAX_EVENT // 1000 + 1):
            stream.feed(line)

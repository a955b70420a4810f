"""Server-sent events out of bytes, in whatever pieces they come (WHATWG HTML section 9.2.6). Knows no sockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_EVENT: Final = 4 * 1024 * 1024  # bytes; what sends more is no gateway


@dataclass(frozen=True, slots=True)
class Event:
    name: str  # `message` where the stream names none
    data: str


class EventStream:
    """`feed` returns the events that are whole now. Comments are left out: they only keep the connection warm."""

    __slots__ = ("_data", "_name", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[Event]:
        """ValueError where an event never ends."""
        data = self._rest + data
        # A carriage return at the end may be the first half of a line's end.
        held = b"\r" if data.endswith(b"\r") else b""
        lines = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + held
        found = []
        for line in lines:
            event = self._line(line.decode(errors="replace"))
            if event is not None:
                found.append(event)
        if len(self._rest) + sum(map(len, self._data)) > MAX_EVENT:
            raise ValueError("this is no stream of events: one has no end")
        return found

    def _line(self, line: str) -> Event | None:
        if not line:
            event = Event(self._name or "message", "\n".join(self._data)) if self._data else None
            self._name = ""
            self._data = []
            return event
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None

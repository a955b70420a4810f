"""Heads that differ from one another in one line: a trace id, a nonce, a timestamp. They are remembered without it.

A connection (or an upstream) whose heads the memo never knows shows two of them side by side; where exactly one
plain line differs, its name is the volatile one, and from then on the memo's key is the head without that line. The line
itself is checked by the pattern that checks any line, and put behind the others (RFC 9110 5.3: the order of fields of
different names means nothing). Without this a unique header costs a full parse on each side, three times the exchange.
"""

from __future__ import annotations

from typing import Final

from fastgw.http1 import rules

LEARN_AFTER: Final = 3  # misses in a row, before two heads are compared
# Names whose line decides more than itself: they are never taken out of a head.
_DECIDING: Final = (
    rules.SPECIAL_REQUEST | rules.SPECIAL_RESPONSE | rules.NOT_CONNECTION_OPTIONS | {b"content-length", b"date"}
)


class Volatile:
    """What one connection or upstream has learnt. `marker` is CRLF, the name as it is spelt, and the colon; empty
    while nothing is known."""

    __slots__ = ("_last", "marker", "name")

    def __init__(self) -> None:
        self.marker = b""
        self.name = b""  # lower case
        self._last: list[bytes] = []

    def learn(self, lines: list[bytes]) -> bool:
        """Compare a head, as lines without their CRLF, with the one before; True once the volatile line is known."""
        last, self._last = self._last, lines
        if len(last) != len(lines):
            return False
        differing = [one for one, other in zip(lines, last, strict=True) if one != other]
        if len(differing) != 1:
            return False
        name, colon, _ = differing[0].partition(b":")
        lower = name.lower()
        if not colon or not rules.TOKEN.fullmatch(name) or not _is_plain(lower):
            return False
        if sum(line[: len(name) + 1].lower() == lower + b":" for line in lines) != 1:
            return False  # repeated: their order means something
        self.marker = b"\r\n" + name + b":"
        self.name = lower
        self._last = []
        return True


def _is_plain(name: bytes) -> bool:
    return (
        name not in _DECIDING
        and b"_" not in name
        and not name.startswith((rules.FORWARDED_PREFIX, rules.CONSUMER_PREFIX))
    )


def take_out(raw: bytes, marker: bytes, start: int, end: int) -> tuple[bytes, bytes] | None:
    """(the field lines of `raw[start:end]` without the marked line, that line with its CRLF), where `start` is behind
    the CRLF of the first line and `end` behind the CRLF of the last. None where it is not there or not valid. The caller
    asks `stands_elsewhere` once it knows the other lines."""
    at = raw.find(marker, start - 2, end)
    if at < 0:
        return None
    stop = raw.find(b"\r\n", at + 2) + 2
    line = raw[at + 2 : stop]
    if stop > end or not rules.BLOCK.fullmatch(line):
        return None
    return raw[start : at + 2] + raw[stop:end], line


def stands_elsewhere(name: bytes, fields: dict[bytes, bytes]) -> bool:
    """Whether the other lines of its head say something about the volatile one: another line of that name is a second
    value, and what Connection names ends at this hop."""
    if name in fields:
        return True
    connection = fields.get(b"connection")
    return connection is not None and name in connection.lower()


def value_of(line: bytes) -> bytes:
    """The value of a checked line (RFC 9110 5.5: without the white space around it)."""
    return line[line.index(b":") + 1 : -2].strip(b" \t")

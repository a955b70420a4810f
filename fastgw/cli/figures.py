"""Numbers as people read them, and what a terminal may be shown. No input of anybody's is trusted here: a path can hold
escape sequences."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TextIO

_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


def span(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 1 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for unit, name, smaller, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit} {name} {rest} {part}" if rest else f"{whole // unit} {name}"
    return f"{whole} s"


def size(count: float) -> str:
    """KB is 1024, as in the configuration."""
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def rate(value: float | None) -> str:
    """Per second; small ones with what makes them differ from nothing."""
    if not value:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def milliseconds(value: float | None) -> str:
    """Three digits: nobody needs more, and columns stay narrow. `-` where nothing was measured."""
    if value is None:
        return "-"
    if value >= 10_000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"


def visible(text: object, longest: int = 160) -> str:
    """On one line, and harmless: what is not printable is written out, what is longer is cut."""
    whole = str(text)
    if not whole.isprintable():
        whole = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in whole[: longest + 1])
    return whole if len(whole) <= longest else whole[: longest - 3] + "..."


def columns(rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> Iterator[str]:
    """Rows as lines with aligned columns; those in `right` are aligned to the right."""
    lines = list(rows)
    numbers = frozenset(right)
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            cell.rjust(width) if number in numbers else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


class Paint:
    """Colours for one stream: only where it is a terminal, and not against NO_COLOR (no-color.org)."""

    __slots__ = ("on",)

    _CODES: Final = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36",
                     "dim": "2", "bold": "1"}  # fmt: skip

    def __init__(self, on: bool) -> None:
        self.on = on

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> Paint:
        if environ.get("NO_COLOR"):
            return cls(False)
        return cls(bool(environ.get("FORCE_COLOR")) or (stream.isatty() and environ.get("TERM") != "dumb"))

    def __call__(self, text: str, colour: str) -> str:
        return f"\x1b[{self._CODES[colour]}m{text}\x1b[0m" if self.on and text else text

from __future__ import annotations

import io

import pytest

from fastgw.cli.figures import Paint, columns, milliseconds, rate, size, span, visible


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (59.9, "59 s"), (60, "1 min"), (200, "3 min 20 s"),
        (3599, "59 min 59 s"), (3600, "1 h"), (7500, "2 h 5 min"), (86400, "1 d"), (90000, "1 d 1 h"),
    ],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KB"), (64 * 1024**2, "64 MB"), (2**50, "1024.0 TB")]
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "0"), (0, "0"), (0.004, "0.00"), (0.5, "0.50"), (1.25, "1.2"), (99.94, "99.9"), (1234.6, "1,235")],
)
def test_rates(value: float | None, text: str) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0.00 ms"), (0.256, "0.26 ms"), (12.34, "12.3 ms"), (123.4, "123 ms"), (12345, "12.3 s")],
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/orders/ä", "/orders/ä"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\nb\u009b1m\u202ec\ud800", "a\\x0ab\\x9b1m\\x202ec\\xd800"),
        (None, "None"),
        ("x" * 160, "x" * 160),
        ("x" * 161, "x" * 157 + "..."),
        ("\x1b" * 161, "\\x1b" * 39 + "\\..."),
    ],
)
def test_what_is_shown_is_harmless_and_short(text: object, shown: str) -> None:
    assert visible(text) == shown


def test_columns_are_aligned() -> None:
    assert list(columns([("A", "N", ""), ("long", "7", "x"), ("b", "123", "")], right=(1,))) == [
        "A       N",
        "long    7  x",
        "b     123",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "on"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (io.StringIO(), {}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_only_where_they_are_wanted(stream: io.StringIO, environ: dict[str, str], on: bool) -> None:
    paint = Paint.of(stream, environ)
    assert paint.on is on
    assert paint("x", "red") == ("\x1b[31mx\x1b[0m" if on else "x")
    assert paint("", "red") == ""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fastgw.config.quantities import Rate, parse_duration, parse_rate, parse_share, parse_size


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_duration, "250ms", 0.25),
        (parse_duration, "0s", 0.0),
        (parse_duration, "1.5s", 1.5),
        (parse_duration, "5m", 300.0),
        (parse_duration, "1h", 3600.0),
        (parse_size, "0B", 0),
        (parse_size, "64KB", 65536),
        (parse_size, "10MB", 10 * 1024**2),
        (parse_size, "1GB", 1024**3),
        (parse_rate, "100/s", Rate(100.0, 1.0)),
        (parse_rate, "5000/m", Rate(5000.0, 60.0)),
        (parse_rate, "0.5/h", Rate(0.5, 3600.0)),
        (parse_share, "20%", 0.2),
        (parse_share, "0%", 0.0),
        (parse_share, "100%", 1.0),
    ],
)
def test_taken(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


DURATIONS = ["", "10", "s", "-1s", "+1s", "1 s", "1S", "1d", "1s ", "1s\n", " 1s", "1e3s", "1.s", ".5s", "１s", "nans",
             "infs", "1m30s", "9999999999s", "999999999h"]  # fmt: skip
SIZES = [
    "",
    "10",
    "MB",
    "-1MB",
    "1.5MB",
    "1 MB",
    "1mb",
    "1M",
    "1KiB",
    "1MB\n",
    "１MB",
    "9999999999999MB",
    "999999999999GB",
]
RATES = ["", "10", "/s", "10/", "10/ms", "10 / s", "-1/s", "0/s", "0.0/m", "10/s\n", "1０/s", "10/d"]
SHARES = ["", "20", "%", "101%", "-1%", "20 %", "0.2", "20%\n", "２0%", "100.1%"]


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((parse_duration, text) for text in DURATIONS),
        *((parse_size, text) for text in SIZES),
        *((parse_rate, text) for text in RATES),
        *((parse_share, text) for text in SHARES),
    ],
)
def test_refused(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match="write a "):
        parse(text)


def test_a_rate_per_second() -> None:
    assert parse_rate("60/m").per_second == 1.0

from __future__ import annotations

import pytest

from fastgw.config.scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("Null", None), ("true", True), ("FALSE", False), ("0", 0), ("-7", -7),
        ("+7", 7), ("010", 10), ("0o17", 15), ("0xFf", 255), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0),
        ("-1E-2", -0.01),
    ],
)  # fmt: skip
def test_yaml_1_2(text: str, value: object) -> None:
    resolved = resolve(text)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    "text",
    ["on", "off",
     "yes", "No", "y", "22:30", "2001-12-14", "1_000", "0b1", "nULL", "tRue", "1.2.3", "0o8", "0xg", "-", ".",
     "+",
     "1e", "127.0.0.1", "-0x1", "１", "1 2", "=", "<<"],
)  # fmt: skip
def test_everything_else_is_text(text: str) -> None:
    assert resolve(text) == text


@pytest.mark.parametrize(
    "text",
    [".inf", "-.INF", "+.inf", ".nan", ".NaN", "9" * 19, "-" + "9" * 18, "1e999", "-1e999", "0x" + "f" * 17, "9" * 5000,
     "1." + "1" * 5000],
)  # fmt: skip
def test_numbers_that_cannot_be_carried(text: str) -> None:
    with pytest.raises(ValueError, match="quote it"):
        resolve(text)

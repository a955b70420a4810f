"""YAML 1.2 core schema: what a plain scalar means (YAML 1.2.2 section 10.3.2). Nothing else: `on`, `yes`, `22:30`
and dates are text."""

from __future__ import annotations

import re

WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
OCTAL = re.compile(r"0o[0-7]+", re.ASCII)
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
SPECIAL_FLOATS = frozenset({".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
                            ".nan", ".NaN", ".NAN"})  # fmt: skip
MAX_DIGITS = 18  # below 2**63, which is what JSON and the store carry
MAX_FLOAT_CHARACTERS = 40

Scalar = str | int | float | bool | None

# Only a scalar that begins with one of these can be anything but text: saves the patterns on the common case.
NUMBER_STARTS = frozenset("-+.0123456789")


def resolve(text: str) -> Scalar:
    """ValueError for a number that cannot be carried exactly."""
    if text in WORDS:
        return WORDS[text]
    if text[0] not in NUMBER_STARTS:
        return text
    if INTEGER.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number can have {MAX_DIGITS} digits at most; quote it if it is text")
        return int(text)
    if text in SPECIAL_FLOATS:
        raise ValueError("infinity and not-a-number are no values here; quote it if it is text")
    if FLOAT.fullmatch(text):
        number = float(text) if len(text) <= MAX_FLOAT_CHARACTERS else float("inf")
        if number in (float("inf"), float("-inf")):
            raise ValueError("this number is too large; quote it if it is text")
        return number
    if OCTAL.fullmatch(text) or HEXADECIMAL.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number can have {MAX_DIGITS} digits at most; quote it if it is text")
        return int(text, 0)
    return text

"""Durations, sizes, rates and shares: text in, numbers out. ValueError says what would be right.

No pydantic here; fields.py makes types of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
BYTES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
PER_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}

DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)", re.ASCII)
SIZE = re.compile(r"([0-9]{1,12})(B|KB|MB|GB)", re.ASCII)
RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/(s|m|h)", re.ASCII)
SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%", re.ASCII)

MAX_DURATION = 10 * 365 * 86400.0  # ten years: beyond it a deadline is a mistake
MAX_SIZE = 2**50  # a pebibyte: sums of sizes stay exact everywhere

DURATION_HELP = "write a number and a unit, as in 250ms, 10s, 5m or 1h"
SIZE_HELP = "write a number and a unit, as in 512B, 64KB or 10MB (KB = 1024)"
RATE_HELP = "write a number and a unit of time, as in 100/s, 5000/m or 10/h"
SHARE_HELP = "write a percentage, as in 20%"


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` in `per` seconds."""

    count: float
    per: float

    @property
    def per_second(self) -> float:
        return self.count / self.per


def parse_duration(text: str) -> float:
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError(DURATION_HELP)
    seconds = float(match[1]) * SECONDS[match[2]]
    if seconds > MAX_DURATION:
        raise ValueError("this is longer than ten years; " + DURATION_HELP)
    return seconds


def parse_size(text: str) -> int:
    match = SIZE.fullmatch(text)
    if match is None:
        raise ValueError(SIZE_HELP)
    size = int(match[1]) * BYTES[match[2]]
    if size > MAX_SIZE:
        raise ValueError("this is more than a pebibyte; " + SIZE_HELP)
    return size


def parse_rate(text: str) -> Rate:
    match = RATE.fullmatch(text)
    if match is None:
        raise ValueError(RATE_HELP)
    count = float(match[1])
    if count <= 0:
        raise ValueError("a rate must be above zero; " + RATE_HELP)
    return Rate(count, PER_SECONDS[match[2]])


def parse_share(text: str) -> float:
    match = SHARE.fullmatch(text)
    if match is None or float(match[1]) > 100:
        raise ValueError(SHARE_HELP)
    return float(match[1]) / 100

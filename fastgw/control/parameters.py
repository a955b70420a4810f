"""The query parameters of the admin API: each once, with its schema and its reader."""

from __future__ import annotations

import re
from typing import Final

from fastgw.config.quantities import DURATION_HELP, parse_duration
from fastgw.control.endpoints import Query

LONGEST_WAIT: Final = 60.0
LONGEST_NOTE: Final = 500
MOST_ENTRIES: Final = 1000

# Bounded: Python refuses to turn thousands of digits into a number, and no store has so many versions.
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


def read_number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("this is no number of a version; write it in digits, as in 7")
    return int(text)


def read_count(text: str) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= MOST_ENTRIES:
        raise ValueError(f"write a number from 1 to {MOST_ENTRIES}")
    return int(text)


def read_wait(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise ValueError(DURATION_HELP) from None
    if seconds > LONGEST_WAIT:
        raise ValueError("nobody is kept waiting for more than 60s; write less, and ask /api/status afterwards")
    return seconds


def read_flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("write true or false")
    return text == "true"


def read_note(text: str) -> str:
    if len(text) > LONGEST_NOTE or not text.isprintable():
        raise ValueError(f"a note is one line of at most {LONGEST_NOTE} characters")
    return text


VERSION: Final = Query(
    "version",
    "an earlier version instead of the current one",
    {"type": "string", "pattern": "^[0-9]{1,18}$", "examples": ["7"]},
    read_number,
)
LIMIT: Final = Query(
    "limit",
    "only the newest so many",
    {"type": "integer", "minimum": 1, "maximum": MOST_ENTRIES},
    read_count,
)
WAIT: Final = Query(
    "wait",
    "wait so long for every worker to serve the outcome, at most 60s; without it the answer comes at once",
    {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?(ms|s|m|h)$", "examples": ["5s"]},
    read_wait,
)
DRY_RUN: Final = Query(
    "dry_run",
    "check and compile, but change nothing",
    {"type": "boolean"},
    read_flag,
)
NOTE: Final = Query(
    "note",
    "why, for the list of versions",
    {"type": "string", "maxLength": LONGEST_NOTE},
    read_note,
)

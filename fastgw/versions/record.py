"""A version as bytes, the same in every store: a line of JSON that says what it is, with a checksum of the content;
and the content, JSON too. What a store hands back is checked here.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

import orjson

from fastgw.versions.version import Changes, Entry, StoreError, Version

# How many versions a store keeps. An operator looks back over days, not years; 1,000 of 10,000 routes are 5 GB of
# file, so a gateway that publishes by machine has to forget some time.
KEPT: Final = 1000
MAX_NUMBER: Final = 99_999_999
MAX_HEAD: Final = 256 * 1024  # bytes; 300 names of parts are at most 80 KB of it
MAX_NOTE: Final = 1000  # characters

# What was found wrong with a version -> the error that names its place and the cure.
Damaged = Callable[[str], StoreError]


def head(entry: Entry, content: bytes) -> bytes:
    return orjson.dumps(
        {
            "number": entry.number,
            "hash": entry.hash,
            "at": entry.at,
            "by": entry.by,
            "note": entry.note,
            "from_file": entry.from_file,
            "changes": None if entry.changes is None else entry.changes.plain(),
            "sum": _sum(content),
        }
    )


def read_head(number: int, line: bytes, damaged: Damaged) -> Entry:
    return _entry(number, _fields(line, damaged), damaged)


def read(number: int, line: bytes, content: bytes, damaged: Damaged) -> Version:
    fields = _fields(line, damaged)
    entry = _entry(number, fields, damaged)
    if fields.get("sum") != _sum(content):
        raise damaged("its content is not what was written")
    try:
        plain = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise damaged("its content is not JSON") from None
    if not isinstance(plain, dict):
        raise damaged("its content is not a document")
    return version(entry, plain)


def version(entry: Entry, plain: dict[str, Any]) -> Version:
    return Version(
        entry.number, entry.hash, entry.at, entry.by, entry.note, entry.from_file, plain, entry.changes
    )


def _sum(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _fields(line: bytes, damaged: Damaged) -> dict[str, Any]:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise damaged("its first line is not JSON") from None
    if not isinstance(fields, dict):
        raise damaged("its first line is no object")
    return fields


def _entry(number: int, fields: dict[str, Any], damaged: Damaged) -> Entry:
    try:
        values = [fields[key] for key in ("number", "hash", "at", "by", "note", "from_file")]
    except KeyError as error:
        raise damaged(f"its first line has no {error.args[0]}") from None
    kinds = (int, str, int | float, str, str, bool)
    # Versions of before changes were kept have none.
    changes = _changes(fields.get("changes"))
    if (
        values[0] != number
        or not all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True))
        or (changes is None and fields.get("changes") is not None)
    ):
        raise damaged("its first line does not describe it")
    digest, at, by, note, from_file = values[1:]
    return Entry(number, digest, at, by, note, from_file, changes)


def _changes(value: object) -> Changes | None:
    if not isinstance(value, dict) or not isinstance(value.get("total"), int):
        return None
    names: list[tuple[str, ...]] = []
    for kind in ("added", "changed", "removed"):
        keys = value.get(kind)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            return None
        names.append(tuple(keys))
    return Changes(names[0], names[1], names[2], value["total"])

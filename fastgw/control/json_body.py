"""The bytes of a body become plain values, or words about what is wrong with them.

Stricter than JSON itself: a key twice in one object is refused, since which of the two counts is a matter of taste.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

# A document has 8 levels. Bounded, because many functions that look at one call themselves for each level.
MAX_DEPTH: Final = 64

_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
_END_OF_KEY: Final = re.compile(rb'"[ \t\r\n]*:')


def read_json(data: bytes) -> Any:
    """Raises ValueError in words. 5 MB take 0.1 s: not for an event loop."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the body is no JSON: {error}") from None
    keys = _keys(value)
    # Counted in the text, where a quote before a colon ends a key unless it is escaped: a fifth of the time that
    # a second parser takes, which then says which key it was.
    if keys != len(_END_OF_KEY.findall(_ESCAPE.sub(b"", data))):
        json.loads(data, object_pairs_hook=_each_once)
    return value


def _keys(value: Any) -> int:
    """How many there are, level by level, and not too many levels."""
    keys = 0
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for each in level:
            if type(each) is dict:
                keys += len(each)
                below.extend(each.values())
            elif type(each) is list:
                below.extend(each)
        if not below:
            return keys
        level = below
    raise ValueError(f"the body is nested more than {MAX_DEPTH} levels deep")


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"the key {json.dumps(key[:60])} stands twice in one object; remove one")
        seen.add(key)

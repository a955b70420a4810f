"""Keys whose feature this version does not have: an error instead of a promise that is not kept.

Building a feature means deleting its line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from fastgw.config.findings import Finding
from fastgw.config.paths import Path

IsOff = Callable[[Any], bool]


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, list | dict) and not value)


def _false(value: Any) -> bool:
    return value is None or value is False or value == "false"


ANY: Final = "*"

# Where, and whether the value there switches the feature off. `*` is every entry.
UNBUILT: Final[tuple[tuple[tuple[str, ...], IsOff], ...]] = (
    (("listeners", ANY, "tls"), _empty),
    (("listeners", ANY, "proxy_protocol"), _false),
    (("cache",), _empty),
    (("routes", ANY, "cache"), _empty),
)


def unbuilt(plain: dict[str, Any]) -> Iterator[Finding]:
    for pattern, is_off in UNBUILT:
        for path, value in _matches(plain, pattern, ()):
            if not is_off(value):
                yield Finding(path, f"{_what(pattern, value)} is not supported by this version; remove it")


def _what(pattern: tuple[str, ...], value: Any) -> str:
    key = pattern[-1]
    return f"{key}: {value}" if isinstance(value, str | bool) else key


def _matches(value: Any, pattern: tuple[str, ...], path: Path) -> Iterator[tuple[Path, Any]]:
    if not pattern:
        yield path, value
        return
    first, rest = pattern[0], pattern[1:]
    if first != ANY:
        if isinstance(value, dict) and first in value:
            yield from _matches(value[first], rest, (*path, first))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _matches(item, rest, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _matches(item, rest, (*path, number))

"""How two documents differ, for a person to read: routes and consumers by their names, not by their places, and no
secret in it, only that it changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fastgw.config.paths import Path, text_of
from fastgw.gateway.document.masking import masked

# Of each kind; a person reads less, and 10,000 routes may all differ.
MOST: Final = 1000

# Lists whose entries are known by their names.
_NAMED: Final = ("routes", "consumers", "limits")

_ABSENT: Final = object()

# Place, and the values there: old, old as shown, new, new as shown.
_Difference = tuple[Path, Any, Any]


def differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"added": [], "changed": [], "removed": [], "truncated": False}
    for path, before, after in _between((old, masked(old)), (new, masked(new)), ()):
        place = text_of(path)
        if before is _ABSENT:
            kind, entry = "added", {"path": place, "value": after}
        elif after is _ABSENT:
            kind, entry = "removed", {"path": place, "value": before}
        else:
            kind, entry = "changed", {"path": place, "from": before, "to": after}
        if len(result[kind]) < MOST:
            result[kind].append(entry)
        else:
            result["truncated"] = True
    return result


def _between(old: tuple[Any, Any], new: tuple[Any, Any], path: Path) -> Iterator[_Difference]:
    """Each side is a value and what may be shown of it; they have the same shape."""
    (before, before_shown), (after, after_shown) = old, new
    if before is after or before == after:
        return
    if isinstance(before, list) and isinstance(after, list) and path and path[-1] in _NAMED:
        before_shown, after_shown = _by_name(before_shown), _by_name(after_shown)
        before, after = _by_name(before), _by_name(after)
    if not (isinstance(before, dict) and isinstance(after, dict)):
        # Looks the same, and one of the two is what the mask made of it: sent back, which means unchanged.
        if before_shown != after_shown or (before != before_shown and after != after_shown):
            yield path, before_shown, after_shown
        return
    for key in before:
        if key not in after:
            yield (*path, key), before_shown[key], _ABSENT
        else:
            yield from _between((before[key], before_shown[key]), (after[key], after_shown[key]), (*path, key))
    for key in after:
        if key not in before:
            yield (*path, key), _ABSENT, after_shown[key]


def _by_name(entries: list[Any]) -> dict[str, Any]:
    """Entries without a name, or with one that stands twice, by their place: a posted document may be wrong."""
    named: dict[str, Any] = {}
    for number, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        named[name if isinstance(name, str) and name not in named else f"#{number}"] = entry
    return named

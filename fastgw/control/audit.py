"""Who changed what, and what was refused: one JSON object a line in the operator's log, after `audit: `.

No secret and no content of a document goes in here, and no line is longer than the log takes whole.
"""

from __future__ import annotations

from typing import Final

import orjson

from fastgw.clock import Clock
from fastgw.control.operator_log import OperatorLog
from fastgw.versions.version import Changes

ACCEPTED: Final = "accepted"
UNCHANGED: Final = "unchanged"  # asked for, and the same as before
REFUSED: Final = "refused"

# Characters of each text, of four bytes at most: a line of the log has 4 KB.
_LONGEST: Final = 150


class Audit:
    __slots__ = ("_clock", "_log")

    def __init__(self, log: OperatorLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    def note(
        self,
        what: str,
        by: str,
        outcome: str,
        *,
        version: int | None = None,
        before: int | None = None,
        note: str = "",
        changes: Changes | None = None,
        reason: str = "",
    ) -> None:
        """`what`: publish, rollback, reload, put route orders ...; `version`: what is in force after it, `before`: what
        was before it."""
        line: dict[str, object] = {"at": round(self._clock.wall(), 3), "by": _cut(by), "what": _cut(what),
                                   "outcome": outcome}  # fmt: skip
        if version is not None:
            line["version"] = version
        if before is not None:
            line["from"] = before
        if note:
            line["note"] = _cut(note)
        if changes is not None:
            line["changes"] = {"parts": changes.total, "names": [_cut(name, 64) for name in _first(changes)]}
        if reason:
            line["reason"] = _cut(reason)
        self._log.say("audit: " + orjson.dumps(line).decode())


def _first(changes: Changes) -> tuple[str, ...]:
    """Enough to recognise the change by; all of them are in the version."""
    return (*changes.added, *changes.changed, *changes.removed)[:3]


def _cut(text: str, most: int = _LONGEST) -> str:
    """What is not to be seen (a line break in any alphabet, a terminal's controls, half of a surrogate pair) could make
    one line look like two."""
    seen = "".join(each if each.isprintable() else "?" for each in text[: most + 1])
    return seen if len(seen) <= most else seen[:most] + "..."

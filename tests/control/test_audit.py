from __future__ import annotations

from typing import Any

import orjson
import pytest

from fastgw.clock import ManualClock
from fastgw.control.audit import ACCEPTED, REFUSED, Audit
from fastgw.versions.version import Changes
from tests.control.harness import ReadableLog


def line(log: ReadableLog) -> dict[str, Any]:
    (text,) = log.lines()
    assert text.startswith("audit: ")
    found: dict[str, Any] = orjson.loads(text.removeprefix("audit: "))
    return found


def test_a_change_that_was_accepted(log: ReadableLog) -> None:
    changes = Changes(("route:a", "route:b"), ("base", "route:c"), (), 4)
    audit = Audit(log, ManualClock())
    audit.note("publish", "api, 10.0.0.1", ACCEPTED, version=3, before=2, note="why", changes=changes)
    assert line(log) == {
        "at": 1700000000.0,
        "by": "api, 10.0.0.1",
        "what": "publish",
        "outcome": "accepted",
        "version": 3,
        "from": 2,
        "note": "why",
        "changes": {"parts": 4, "names": ["route:a", "route:b", "base"]},
    }


def test_one_that_was_refused(log: ReadableLog) -> None:
    Audit(log, ManualClock()).note("put route a", "api", REFUSED, version=2, reason="routes[0].path: is odd")
    found = line(log)
    assert (found["outcome"], found["reason"], found["version"]) == ("refused", "routes[0].path: is odd", 2)
    assert not {"from", "note", "changes"} & found.keys()


@pytest.mark.parametrize(
    "text",
    ["x" * 100_000, "\x00" * 5000, "\ud800", "a\nb\r\u2028c\x85d\x9b", '"' * 5000, "\\" * 5000, "\U0001f600" * 5000],
    ids=range(7),
)
def test_no_text_breaks_the_line_or_its_bound(text: str, log: ReadableLog) -> None:
    changes = Changes((text,), (text,), (text,), 3)
    Audit(log, ManualClock()).note(text, text, REFUSED, version=1, before=0, note=text, changes=changes, reason=text)
    found = line(log)
    assert len(found["by"]) <= 153 and found["by"].isprintable()

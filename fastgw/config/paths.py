"""The place of a value in a document: `("routes", 2, "match", "path")`, shown as `routes[2].match.path`."""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

PLAIN_STEP = re.compile(r"[A-Za-z0-9_-]+")


def text_of(path: Path) -> str:
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif PLAIN_STEP.fullmatch(step):
            text += f".{step}" if text else step
        else:
            quoted = step if len(step) <= 64 else step[:64] + "..."
            text += f"[{quoted!r}]"
    return text

"""A document is compiled here before it is published, so that no worker ever meets one that does not compile.

The last one that did is kept: what it has in common with the next one is not compiled again.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from fastgw.control.published import Published
from fastgw.gateway.compile import compile_snapshot, route_key
from fastgw.gateway.document.model import Document
from fastgw.gateway.snapshot import Snapshot


class Trial:
    """Used by one thread at a time."""

    __slots__ = ("_snapshot",)

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None

    def compile(self, document: Document, before: Published) -> tuple[str, ...]:
        """The names of the routes that differ from `before`. Raises ValueError: a defect of ours."""
        self._snapshot = _run(compile_snapshot(document, before.version + 1, self._snapshot))
        return self.differing(document, before.document)

    def differing(self, document: Document, before: Document) -> tuple[str, ...]:
        """The routes that are new, gone, or behave in another way, through what they depend on as well."""
        new, old = document.routes, before.routes
        changed = [
            name
            for name, options in new.items()
            if name not in old or route_key(document, name, options) != route_key(before, name, old[name])
        ]
        return tuple(sorted([*changed, *(name for name in old if name not in new)]))


def _run(steps: Generator[None, None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value

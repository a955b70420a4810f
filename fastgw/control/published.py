"""What is published: the current document, and of the few before it as much as a difference needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastgw.gateway.document.model import Document
from fastgw.ipc import difference, messages
from fastgw.ipc.messages import Message

# Peers are at most a few versions behind; whoever is further gets the whole.
_REMEMBERED = 4


@dataclass(frozen=True, slots=True)
class Published:
    """`parts` is Document.parts(), made once: 65 ms for 10,000 routes."""

    version: int
    document: Document
    parts: Mapping[str, bytes]

    @property
    def hash(self) -> str:
        return self.document.hash


class History:
    """The current document and the part hashes of the last few. Written by the publisher alone."""

    __slots__ = ("_known", "_messages", "current")

    def __init__(self, current: Published) -> None:
        self.current = current
        self._known: dict[str, Mapping[str, str]] = {current.hash: current.document.hashes}
        # Every peer that holds the same gets the same bytes.
        self._messages: dict[str | None, tuple[Message, bytes]] = {}

    def publish(self, published: Published) -> None:
        self.current = published
        self._messages.clear()
        self._known.pop(published.hash, None)
        self._known[published.hash] = published.document.hashes
        while len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]

    def message(self, holds: str | None) -> tuple[Message, bytes]:
        """What brings a peer from the document with this hash to the current one. None: from nothing."""
        base = holds if holds in self._known else None
        found = self._messages.get(base)
        if found is None:
            current = self.current
            known = {} if base is None else self._known[base]
            changed, removed = difference.between(known, current.document.hashes)
            payload = difference.encode({key: current.parts[key] for key in changed}, removed)
            found = self._messages[base] = messages.config(current.version, current.hash, base), payload
        return found

"""When this process looks for garbage: not while it makes a document, and not in one.

The collector walks every object that it knows: while 10,000 routes are read that is 5 s instead of 1.5 (facts.md), and
with two documents in memory each full collection afterwards is a pause of 0.4 s in which nothing is answered. No document
and no snapshot has a cycle, so that counting references frees them all the same.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# A document that was sent is there before it is looked at: 80 ms for 10,000 routes, which not every publish should pay.
COLLECT_EVERY: Final = 20


class Collection:
    """`freezes`: what is there after a document was made is not looked at any more. For a process of its own only: what
    is garbage in a cycle at that moment stays for ever, a few objects."""

    __slots__ = ("_freezes", "_times")

    def __init__(self, freezes: bool) -> None:
        self._freezes = freezes
        self._times = 0

    @contextmanager
    def paused(self) -> Iterator[None]:
        if self._freezes and self._times % COLLECT_EVERY == 0:
            gc.collect()
        self._times += 1
        gc.disable()
        try:
            yield
        finally:
            if self._freezes:
                gc.freeze()
            gc.enable()

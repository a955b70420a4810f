"""How a worker is to end, once it is told: an order that only ever becomes more urgent."""

from __future__ import annotations

import asyncio
from enum import IntEnum


class How(IntEnum):
    """By urgency. A later order replaces an earlier one only if it is more urgent."""

    NOT = 0
    DRAIN = 1  # keep accepting for `drain.delay`, not ready; then finish
    QUIT = 2  # finish
    ORPHANED = 3  # the supervisor is dead: close the listeners at once, then finish
    STOP = 4  # at once


class Ending:
    __slots__ = ("_changed", "how")

    def __init__(self) -> None:
        self.how = How.NOT
        self._changed = asyncio.Event()

    def order(self, how: How) -> None:
        if how > self.how:
            self.how = how
            self._changed.set()

    async def beyond(self, how: How, within: float | None = None) -> bool:
        """Wait until the order is more urgent than `how`; False when `within` seconds have passed first."""
        try:
            async with asyncio.timeout(within):
                while self.how <= how:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

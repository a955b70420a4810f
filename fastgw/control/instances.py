"""How many gateways share the store of the limits: this one says now and then that it lives, and tells its workers how
many do. While the store is away each of them admits its share; the last answer is what is known then.

Also what GET /api/status shows of the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastgw.account import families
from fastgw.account.series import SeriesMemory, Word
from fastgw.control.operator_log import OperatorLog
from fastgw.gateway.document.limit_store import LimitStore
from fastgw.gateway.document.model import Document

# url, prefix and name of this instance; returns how many live. Raises OSError.
Announce = Callable[[str, bytes, str], Awaitable[int]]

# An announcement counts for 10 s: two may be lost before this gateway is missed.
INTERVAL = 3.0

# The store's client has its own time limits; this one is for what they do not cover.
_PATIENCE = 5.0


class Instances:
    """`me` is unique among all gateways; `tell` gets the count when it changes."""

    def __init__(
        self,
        announce: Announce,
        store: LimitStore,
        me: str,
        *,
        tell: Callable[[int], None],
        log: OperatorLog,
        interval: float = INTERVAL,
    ) -> None:
        self._announce = announce
        self._store = store
        self._me = me
        self._tell = tell
        self._log = log
        self._interval = interval
        self._changed = asyncio.Event()
        self.count = 1
        self.up: bool | None = None  # None: not asked yet
        self.error = ""

    @property
    def store(self) -> LimitStore:
        return self._store

    def follow(self, document: Document) -> None:
        """A new document: perhaps another store, which is asked at once."""
        before = self._store.options
        if self._store.follow(document.base.redis):
            after = self._store.options
            if before is None or after is None or before.url != after.url:
                self.up, self.error = None, ""
            self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self._changed.clear()
            await self._say()
            try:
                async with asyncio.timeout(self._interval):
                    await self._changed.wait()
            except TimeoutError:
                pass  # the usual case: nothing has changed, and it is time to say it again

    async def _say(self) -> None:
        options = self._store.options
        if options is None:
            self._learn(1)  # nobody shares what is in our own processes
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                count = await self._announce(options.url, options.prefix, self._me)
        except (OSError, TimeoutError) as error:
            self._note(False, str(error) or "no answer", options.address.shown)
            return
        self._note(True, "", options.address.shown)
        self._learn(count)

    def _learn(self, count: int) -> None:
        if count != self.count:
            self.count = count
            self._tell(count)

    def _note(self, up: bool, error: str, shown: str) -> None:
        """Each change once, not each failure."""
        if up is not self.up and not (up and self.up is None):
            self._log.say(f"control: {shown} " + ("answers again" if up else f"does not answer: {error}"))
        self.up, self.error = up, error


class StoreStatus:
    """The store of the limits as GET /api/status shows it: by what control hears, and by what each worker does."""

    def __init__(self, instances: Instances, series: SeriesMemory, workers: int) -> None:
        self._instances = instances
        self._series = series
        # Of each worker's gauge: where it is, once it was found; and how far its directory was read, which only grows.
        self._cells: list[int | None] = [None] * workers
        self._read: list[int] = [0] * workers

    def plain(self) -> dict[str, object] | None:
        """None: limits are local to each worker, as the configuration wants it."""
        instances = self._instances
        options = instances.store.options
        if options is None:
            return None
        return {
            "url": options.address.shown,
            "embedded": self._embedded() if instances.store.embedded else None,
            "state": {None: "unknown", True: "up", False: "down"}[instances.up],
            "error": instances.error,
            "instances": instances.count,
            "modes": [self._mode(index) for index in range(len(self._cells))],
        }

    def _embedded(self) -> dict[str, object]:
        slot = self._series.slot(len(self._cells) + 2)
        return {"pid": slot.get(Word.PID), "restarts": slot.get(Word.RESPAWNS)}

    def _mode(self, index: int) -> str:
        """Of one worker: redis, or local while it does not ask; unknown where it has not said so yet."""
        slot = self._series.slot(index)
        if self._cells[index] is None:
            for entry, position in slot.entries(self._read[index]):
                self._read[index] = position
                if entry.family is families.LIMIT_STORE_UP:
                    self._cells[index] = entry.offset
                    break
        cell = self._cells[index]
        if cell is None:
            return "unknown"
        return "redis" if slot.cells[cell] else "local"


async def announce(url: str, prefix: bytes, instance: str) -> int:
    """The real one. redis-py is imported when it is first needed, and in a thread: it takes 0.4 s."""
    over_redis = await asyncio.to_thread(_over_redis)
    return await over_redis(url, prefix, instance)


def _over_redis() -> Announce:
    from fastgw.limiter.announce import announce as over_redis  # noqa: PLC0415 (see above)

    return over_redis

"""This gateway among those that share its store: it follows what the others publish, says what it serves itself, and
knows who else is there. A store that is away changes nothing but that.

What may not live here: how a version comes into force (publisher.py) and how a store keeps it (versions/).
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from fastgw.clock import Clock
from fastgw.config.errors import ConfigError
from fastgw.control.operator_log import OperatorLog
from fastgw.control.outcome import Outcome
from fastgw.control.published import History
from fastgw.gateway.document.fleet import FleetVersions, fleet_hash, version_hash
from fastgw.gateway.document.model import Document
from fastgw.versions.register import Register
from fastgw.versions.version import StoreError, Version

POLL: Final = 0.5  # seconds between two questions for the newest number
_ANNOUNCE: Final = 2.0  # seconds; a line counts for 10 s, so a few may be lost
_AFTER_A_DEFECT: Final = 10.0  # seconds; the log is not to be flooded
_LAST_WORD: Final = 1.0  # seconds for the store to hear that this gateway ends
_SHOWN: Final = 1000  # characters of an error that the others see


class Follower(Protocol):
    """The publisher, as far as it is asked here."""

    async def reload(self, by: str) -> Outcome: ...

    async def follow(self, version: Version) -> bool: ...


@dataclass(frozen=True, slots=True)
class Sharing:
    """The store and the register of a fleet."""

    store: FleetVersions
    register: Register


class Fleet:
    """`sharing`: None for a gateway with versions of its own, which is alone. `me` is unique among all gateways;
    `applied` tells how many workers serve a version, of how many. `from_store`: False where the store could not be
    asked at the start, so that the file is served without it."""

    def __init__(
        self,
        sharing: Sharing | None,
        publisher: Follower,
        history: History,
        me: str,
        *,
        applied: Callable[[int, float], Awaitable[tuple[int, int]]],
        clock: Clock,
        log: OperatorLog,
        from_store: bool = True,
    ) -> None:
        self._sharing = sharing
        self._publisher = publisher
        self._history = history
        self._me = me
        self._applied = applied
        self._clock = clock
        self._log = log
        self._file_is_waiting = not from_store
        self._file_was_tried = False
        # What is wrong.
        self.up: bool | None = None  # None: not asked yet
        self._error = ""
        self._refused = 0  # a version that this gateway does not accept, and why
        self._refusal = ""
        # What was said last.
        self._serving: Document | None = None
        self._since = 0.0
        self._hash = ""
        self._said: Mapping[str, object] | None = None
        self._said_at = float("-inf")

    async def run(self) -> None:
        """Until it is cancelled."""
        while self._sharing is not None:
            try:
                await self.look()
            except Exception:
                # Ours. What can be done is to go on asking: the others still publish.
                self._log.say("control: following the fleet failed\n" + traceback.format_exc())
                await asyncio.sleep(_AFTER_A_DEFECT)
            await asyncio.sleep(POLL)

    async def close(self) -> None:
        """The others need not wait until the line is too old."""
        if self._sharing is None or not self.up or self._said is None:
            return
        try:
            async with asyncio.timeout(_LAST_WORD):
                await asyncio.to_thread(self._sharing.register.forget, self._me)
        except (StoreError, TimeoutError):
            pass  # it is forgotten in ten seconds

    # --- following ---

    async def look(self) -> None:
        """Ask the store once, and do what follows from its answer."""
        if self._sharing is None:
            return
        try:
            number = await asyncio.to_thread(self._sharing.store.newest_number)
        except StoreError as error:
            self._file_was_tried = False
            self._note(False, str(error))
            return
        try:
            await self._catch_up(self._sharing, number)
            await self._announce(self._sharing.register)
        except StoreError as error:
            self._note(False, str(error))
        else:
            self._note(True, "")

    async def _catch_up(self, sharing: Sharing, number: int) -> None:
        if self._file_is_waiting and not self._file_was_tried:
            # It may be a new one. Once for each outage, since it may be wrong too.
            self._file_was_tried = True
            outcome = await self._publisher.reload("the store can be reached")
            self._file_is_waiting = not outcome.ok
        current = self._history.current.version
        if number < current:
            await asyncio.to_thread(lambda: sharing.store.put_back(self._current()))
        elif number > current and number != self._refused:
            version = await asyncio.to_thread(sharing.store.newest)
            if version is not None:
                await self._follow(version)

    async def _follow(self, version: Version) -> None:
        try:
            await self._publisher.follow(version)
        except ConfigError as error:
            self._refuse(version, str(error))
        except StoreError:
            raise
        except Exception as error:
            # Ours: it does not compile here, which the publisher of another gateway has not seen.
            self._refuse(version, f"internal error ({type(error).__name__}: {error})")

    def _refuse(self, version: Version, error: str) -> None:
        """Once: it is looked at again when a newer one comes."""
        self._refused, self._refusal = version.number, error
        self._log.say(
            f"control: version {version.number} of the fleet is refused here, "
            f"version {self._history.current.version} stays: {error}"
        )

    def _current(self) -> Version:
        published = self._history.current
        document = published.document
        return Version(
            published.version, fleet_hash(document), self._clock.wall(), self._me,
            "put back: the store had lost it", False, document.plain,
        )  # fmt: skip

    def _note(self, up: bool, error: str) -> None:
        """Each change once, not each failure."""
        changed = up is not self.up
        if changed and not up:
            self._log.say(f"control: {error}; what is served stays")
        elif changed and self.up is False:
            self._log.say("control: the version store can be used again")
        self.up, self._error = up, error

    # --- announcing ---

    async def _announce(self, register: Register) -> None:
        line = await self._line()
        now = self._clock.now()
        if line != self._said or now - self._said_at >= _ANNOUNCE:
            await asyncio.to_thread(register.write, self._me, line)
            self._said, self._said_at = line, now

    async def _line(self) -> Mapping[str, object]:
        current = self._history.current
        if current.document is not self._serving:
            self._serving, self._since = current.document, self._clock.wall()
            self._hash = version_hash(current.document)
        serving, workers = await self._applied(current.version, 0.0)
        return {
            "instance": current.document.base.instance,
            "version": current.version,
            "hash": self._hash,
            "at": self._since,
            "workers": {"serving": serving, "of": workers},
            "error": self._refusal[:_SHOWN] if current.version < self._refused else "",
        }

    async def plain(self) -> dict[str, Any]:
        """GET /api/fleet. While the store is away this gateway is all that is known."""
        mine = {**await self._line(), "id": self._me, "me": True}
        others: list[dict[str, Any]] = []
        if self._sharing is not None and self.up:
            try:
                found = await asyncio.to_thread(self._sharing.register.read)
                others = [_entry(me, line) for me, line in found if me != self._me]
            except StoreError as error:
                self._note(False, str(error))
        instances = sorted([mine, *others], key=lambda each: (str(each["instance"]), str(each["id"])))
        return {"instances": instances, "store": self._store()}

    def _store(self) -> dict[str, Any]:
        if self._sharing is None:
            return {"kind": "file", "up": True, "error": ""}
        return {"kind": "redis", "up": self.up is True, "error": self._error}


def _entry(me: str, line: Mapping[str, Any]) -> dict[str, Any]:
    """Another gateway's line, which may be of another version of this program: the shape is kept whatever it says."""
    workers = line.get("workers")
    counts = workers if isinstance(workers, dict) else {}
    return {
        "id": me,
        "instance": str(line.get("instance", "")),
        "version": _number(line.get("version")),
        "hash": str(line.get("hash", "")),
        "at": float(_number(line.get("at"))),
        "workers": {key: _number(counts.get(key)) for key in ("serving", "of")},
        "error": str(line.get("error", "")),
        "me": False,
    }


def _number(value: object) -> int | float:
    return value if isinstance(value, int | float) else 0

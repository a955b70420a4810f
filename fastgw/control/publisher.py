"""Brings a document into force: check, compile, store, send. A failure anywhere changes nothing.

One at a time, whoever asks: the file (`reload`), the admin API (`publish`, `edit`, `rollback`), another gateway of the
fleet (`follow`). The slow half (preparation.py) runs in a thread, so that the admin API answers meanwhile.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from fastgw.clock import Clock
from fastgw.config.errors import ConfigError, Problem
from fastgw.control.audit import ACCEPTED, REFUSED, UNCHANGED, Audit
from fastgw.control.collection import Collection
from fastgw.control.operator_log import OperatorLog
from fastgw.control.outcome import EditRefused, NoSuchVersion, Order, Outcome, needs_restart
from fastgw.control.peers import Peers
from fastgw.control.preparation import SENT, Made, Make, Preparation
from fastgw.control.published import History, Published
from fastgw.gateway.document.fleet import version_hash
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.model import Document, Plain, plain_from_parts
from fastgw.gateway.document.sent import load_sent
from fastgw.versions.version import Raced, StoreError, Version, VersionStore

__all__ = ["EditRefused", "NoSuchVersion", "Outcome", "Publisher", "Raced", "needs_restart"]

# Lines of errors that go to the log; the API and the status carry all of them.
_SHOWN: Final = 20
# How often a change that builds on whatever there is begins again because another gateway was faster.
_TRIES: Final = 3

T = TypeVar("T")


class Publisher:
    """The one writer of the history. `on_published` is told of each new document, before the workers are."""

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str],
        store: VersionStore,
        *,
        history: History,
        peers: Peers,
        clock: Clock,
        log: OperatorLog,
        on_published: Callable[[Document], None],
        collection: Collection,
    ) -> None:
        self._path = path
        self._store = store
        self._history = history
        self._peers = peers
        self._clock = clock
        self._log = log
        self._on_published = on_published
        self._born_with = history.current.document.base
        self._one_at_a_time = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._preparation = Preparation(path, environ, store, clock, collection)
        self.audit = Audit(log, clock)
        self.last_reload: Outcome | None = None

    async def reload(self, by: str) -> Outcome:
        """Read the file and publish what it says; never raises for what is wrong with it."""
        return await self._alone(self._reload(Order("reload", by)))

    async def publish(
        self, plain: Any, *, by: str, note: str = "", expected: int | None = None, dry_run: bool = False
    ) -> Outcome:
        """A whole document, as the admin API shows it; it is taken over, and changed. Raises ConfigError, Raced and
        StoreError."""
        order = Order("publish", by, note, expected, dry_run, whole=True)
        return await self._alone(self._change(order, lambda now: load_sent(plain, SENT, now.document)))

    async def edit(
        self,
        change: Callable[[Plain], Plain],
        *,
        by: str,
        note: str = "",
        expected: int | None = None,
        dry_run: bool = False,
        what: str = "edit",
    ) -> Outcome:
        """`change` gets a copy of the current document, in a thread, and returns what it shall be; it may raise
        EditRefused, and is called again where another gateway was faster. `what` is for the log: put route orders."""

        def make(now: Published) -> Document:
            wanted = change(plain_from_parts(now.parts))
            return load_sent(wanted, SENT, now.document)

        order = Order(what, by, note, expected, dry_run)
        return await self._alone(self._change(order, make))

    async def rollback(
        self, to: int, *, by: str, note: str = "", expected: int | None = None, dry_run: bool = False
    ) -> Outcome:
        """A new version with the content of an older one. Raises NoSuchVersion besides."""

        def make(now: Published) -> Document:
            version = self._store.get(to)
            if version is None:
                raise NoSuchVersion(to)
            return load_plain(version.plain, f"version {to} of the store", False, now.document)

        order = Order("rollback", by, note or f"back to version {to}", expected, dry_run, whole=True)
        return await self._alone(self._change(order, make))

    async def follow(self, version: Version) -> bool:
        """Serve what another gateway published; False: it is not newer. Raises ConfigError where this gateway does not
        accept it."""
        return await self._alone(self._follow(version))

    async def catch_up(self) -> None:
        """Serve what the store has newer than what is served: a control process that dies after it has stored a version
        leaves that to the next one. For the start; it never raises."""
        try:
            await self._alone(self._begin())
        except StoreError as error:
            self._log.say(f"control: {error}")
        except Exception:
            self._log.say("control: taking up the newest version failed\n" + traceback.format_exc())

    async def _begin(self) -> None:
        await self._catch_up()
        await asyncio.to_thread(self._preparation.warm, self._history.current)

    # --- one at a time ---

    async def _alone(self, work: Coroutine[Any, Any, T]) -> T:
        """To its end, even if whoever asked goes away meanwhile: what is in the store is to be served."""
        task = asyncio.ensure_future(self._locked(work))
        self._running.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def _locked(self, work: Coroutine[Any, Any, T]) -> T:
        async with self._one_at_a_time:
            return await work

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # asked for, so that nobody complains where the caller is gone

    async def _reload(self, order: Order) -> Outcome:
        before = self._history.current.version
        try:
            made = await asyncio.to_thread(self._preparation.file, self._history.current, order.by)
        except ConfigError as error:
            outcome = self._failed(order, error.problems)
        except Exception as error:
            # Ours: the operator sees that it is, the log has the rest.
            self._log.say("control: reload failed\n" + traceback.format_exc())
            words = f"internal error ({type(error).__name__}), see the log"
            outcome = self._failed(order, (Problem(str(self._path), 0, "", words),))
        else:
            outcome = self._put_into_force(made, order, before)
        self.last_reload = outcome
        return outcome

    async def _change(self, order: Order, make: Make) -> Outcome:
        before = self._history.current.version
        try:
            made = await self._made(order, make)
        except Exception as error:
            if not order.dry_run:
                self.audit.note(order.what, order.by, REFUSED, version=self._history.current.version,
                                note=order.note, reason=_reason(error))  # fmt: skip
            raise
        if not order.dry_run:
            return self._put_into_force(made, order, before)
        return self._outcome(made, order, self._history.current.version)

    async def _made(self, order: Order, make: Make) -> Made:
        for _ in range(_TRIES - 1):
            try:
                return await self._attempt(order, make)
            except Raced:
                if order.expected is not None:
                    await self._catch_up()
                    raise
        return await self._attempt(order, make)

    async def _attempt(self, order: Order, make: Make) -> Made:
        newest = 0 if order.dry_run else await self._catch_up()
        now = self._history.current
        builds_on = now.version
        if newest > now.version:
            # The newest is one that this gateway does not accept: a whole document replaces it, a part has no ground.
            if not order.whole:
                raise StoreError(f"version {newest} of the store is not accepted here, so no part of it can be changed; "
                                 "publish a whole document, or go back to an older version")  # fmt: skip
            builds_on = newest
        if order.expected not in (None, builds_on):
            raise Raced(max(newest, now.version))
        return await asyncio.to_thread(self._preparation.change, now, order, make, newest)

    async def _catch_up(self) -> int:
        """The newest number of the store. What is newer than what is served becomes served: another gateway made it,
        or this process's predecessor died before it was sent."""
        newest = await asyncio.to_thread(self._preparation.newest, self._history.current)
        if newest > self._history.current.version:
            version = await asyncio.to_thread(self._store.get, newest)
            try:
                if version is not None:
                    await self._follow(version)
            except ConfigError as error:
                self._log.say(f"control: version {newest} of the store is not accepted here: {_reason(error)}")
        return newest

    async def _follow(self, version: Version) -> bool:
        before = self._history.current.version
        if version.number <= before:
            return False
        made = await asyncio.to_thread(self._preparation.version, self._history.current, version)
        self._put_into_force(made, Order("follow", version.by, version.note), before)
        return True

    # --- into force ---

    def _put_into_force(self, made: Made, order: Order, before: int) -> Outcome:
        published = made.published
        if made.changed:
            self._preparation.keep(made)
            self._history.publish(published)
            try:
                self._on_published(published.document)
            except Exception:
                # Ours, and no reason to leave the workers behind.
                self._log.say("control: following the new document failed\n" + traceback.format_exc())
            self._peers.publish()
            self._log.say(f"control: version {published.version} published ({order.by})")
            for warning in published.document.warnings[:_SHOWN]:
                self._log.say(f"control: warning: {warning}")
        else:
            self._log.say(f"control: nothing has changed, version {published.version} stays ({order.by})")
        outcome = self._outcome(made, order, published.version)
        if outcome.needs_restart:
            self._log.say(f"control: takes effect only after a restart: {', '.join(outcome.needs_restart)}")
        self.audit.note(order.what, order.by, ACCEPTED if made.changed else UNCHANGED, version=published.version,
                        before=before, note=order.note, changes=made.changes)  # fmt: skip
        return outcome

    def _outcome(self, made: Made, order: Order, version: int) -> Outcome:
        published = made.published
        waiting = needs_restart(self._born_with, published.document.base)
        return Outcome(self._clock.wall(), order.by, True, version, made.changed, (), waiting,
                       version_hash(published.document), made.changes, made.routes)  # fmt: skip

    def _failed(self, order: Order, problems: tuple[Problem, ...]) -> Outcome:
        current = self._history.current
        self._log.say(f"control: reload refused, version {current.version} stays ({order.by}):")
        for problem in problems[:_SHOWN]:
            self._log.say(f"  {problem}")
        if len(problems) > _SHOWN:
            self._log.say(f"  and {len(problems) - _SHOWN} more")
        reason = str(problems[0]) if problems else ""
        self.audit.note(order.what, order.by, REFUSED, version=current.version, reason=reason)
        return Outcome(self._clock.wall(), order.by, False, current.version, False, problems,
                       hash=version_hash(current.document))  # fmt: skip


def _reason(error: Exception) -> str:
    if isinstance(error, ConfigError):
        more = len(error.problems) - 1
        return str(error.problems[0]) + (f" (and {more} more)" if more else "")
    if isinstance(error, StoreError | NoSuchVersion | EditRefused):
        return str(error)
    return f"internal error ({type(error).__name__})"

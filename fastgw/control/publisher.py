"""Brings a changed file into force: read, validate, compile, store, send. A failure anywhere changes nothing.

The slow half (`_prepare`) runs in a thread, so that the admin API answers meanwhile: 10,000 routes take a
second or two.
"""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastgw.clock import Clock
from fastgw.config.errors import ConfigError, Problem
from fastgw.control.operator_log import OperatorLog
from fastgw.control.peers import Peers
from fastgw.control.published import History, Published
from fastgw.gateway.compile import compile_snapshot
from fastgw.gateway.document.load import load_file
from fastgw.gateway.document.model import BaseOptions, Document
from fastgw.gateway.document.process import EMBEDDED
from fastgw.gateway.document.publish import current
from fastgw.versions.version import Changes, VersionStore

# Lines of errors that go to the log; the API and the status carry all of them.
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a reload. `version` is what is current after it, taken or not."""

    at: float  # wall clock
    by: str
    ok: bool
    version: int
    changed: bool = False
    problems: tuple[Problem, ...] = ()
    needs_restart: tuple[str, ...] = ()  # what has changed in the document and waits for a restart
    changes: Changes | None = None
    routes: tuple[str, ...] = ()  # that (would) change

    def plain(self) -> dict[str, object]:
        return {
            "at": self.at,
            "by": self.by,
            "ok": self.ok,
            "version": self.version,
            "changed": self.changed,
            "errors": [str(problem) for problem in self.problems],
            "needs_restart": list(self.needs_restart),
        }


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
    ) -> None:
        self._path = path
        self._environ = environ
        self._store = store
        self._history = history
        self._peers = peers
        self._clock = clock
        self._log = log
        self._on_published = on_published
        self._born_with = history.current.document.base
        self._one_at_a_time = asyncio.Lock()
        self.last_reload: Outcome | None = None

    async def reload(self, by: str) -> Outcome:
        """Read the file and publish what it says; never raises for what is wrong with it."""
        async with self._one_at_a_time:
            try:
                published = await asyncio.to_thread(self._prepare, by)
            except ConfigError as error:
                outcome = self._failed(by, error.problems)
            except Exception as error:
                # Ours: the operator sees that it is, the log has the rest.
                self._log.say("control: reload failed\n" + traceback.format_exc())
                words = f"internal error ({type(error).__name__}), see the log"
                outcome = self._failed(by, (Problem(str(self._path), 0, "", words),))
            else:
                outcome = self._publish(published, by)
            self.last_reload = outcome
            return outcome

    def _prepare(self, by: str) -> Published:
        """In a thread. Nothing but the store is written, and that last."""
        before = self._history.current
        # The collector walks every object made so far again and again: over 5 s instead of 1.5 (facts.md).
        gc.disable()
        try:
            written = load_file(self._path, self._environ)
            if written.hash != before.hash:
                _run(compile_snapshot(written, before.version + 1, None))
            version, document = current(self._store, written, by)
            if document.hash not in (written.hash, before.hash):
                # The file is what it was when it was last published; a newer version of the store is served.
                _run(compile_snapshot(document, version.number, None))
            if document.hash == before.hash:
                return Published(version.number, before.document, before.parts)
            return Published(version.number, document, document.parts())
        finally:
            gc.enable()

    def _publish(self, published: Published, by: str) -> Outcome:
        before = self._history.current
        waiting = needs_restart(self._born_with, published.document.base)
        changed = (published.version, published.hash) != (before.version, before.hash)
        if changed:
            self._history.publish(published)
            self._on_published(published.document)
            self._peers.publish()
            self._log.say(f"control: version {published.version} published ({by})")
            for warning in published.document.warnings[:_SHOWN]:
                self._log.say(f"control: warning: {warning}")
        else:
            self._log.say(f"control: nothing has changed, version {before.version} stays ({by})")
        if waiting:
            self._log.say(f"control: takes effect only after a restart: {', '.join(waiting)}")
        return Outcome(self._clock.wall(), by, True, published.version, changed, (), waiting)

    def _failed(self, by: str, problems: tuple[Problem, ...]) -> Outcome:
        version = self._history.current.version
        self._log.say(f"control: reload refused, version {version} stays ({by}):")
        for problem in problems[:_SHOWN]:
            self._log.say(f"  {problem}")
        if len(problems) > _SHOWN:
            self._log.say(f"  and {len(problems) - _SHOWN} more")
        return Outcome(self._clock.wall(), by, False, version, False, problems)


def needs_restart(running: BaseOptions, wanted: BaseOptions) -> tuple[str, ...]:
    """The keys that differ and can only change at a restart: what is made before the first fork."""
    pairs: dict[str, tuple[object, object]] = {
        "listeners": (
            [listener.address for listener in running.listeners],
            [listener.address for listener in wanted.listeners],
        ),
        "workers": (running.workers, wanted.workers),
        "admin.address": (running.admin.address, wanted.admin.address),
        "store": (running.store, wanted.store),
        "log.access": (running.log.access, wanted.log.access),
        # From one server to another is done at once; the embedded one is started and ended with the gateway.
        "redis.url": (_embeds(running), _embeds(wanted)),
    }
    return tuple(key for key, (old, new) in pairs.items() if old != new)


def _embeds(base: BaseOptions) -> bool:
    return base.redis is not None and base.redis.url == EMBEDDED


def _run(steps: Generator[None, None, Any]) -> None:
    for _ in steps:
        pass

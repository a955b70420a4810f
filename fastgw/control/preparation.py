"""The slow half of a publish: read, check, compile, run its tests, store. Nothing is in force before all of it is done.

Runs in a thread, one at a time; touches nothing that the event loop uses. The store is written last: what fails before
that has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fastgw.clock import Clock
from fastgw.config.errors import ConfigError, Problem
from fastgw.config.paths import text_of
from fastgw.control.collection import Collection
from fastgw.control.outcome import Order
from fastgw.control.published import Published
from fastgw.control.trial import Trial, differing
from fastgw.gateway.document.cases import failures
from fastgw.gateway.document.fleet import version_hash
from fastgw.gateway.document.load import load_file, load_plain
from fastgw.gateway.document.model import Document
from fastgw.gateway.document.publish import current
from fastgw.gateway.snapshot import Snapshot
from fastgw.versions.version import Changes, StoreError, Version, VersionStore

# What the errors of a document that was sent call it.
SENT: Final = "the document"

# From what is published now to the document that is wanted.
Make = Callable[[Published], Document]


@dataclass(frozen=True, slots=True)
class Made:
    """Ready to be put into force; all that can fail is done."""

    published: Published
    changed: bool
    changes: Changes
    routes: tuple[str, ...] = ()
    snapshot: Snapshot | None = None


class Preparation:
    __slots__ = ("_clock", "_collection", "_environ", "_path", "_store", "_trial")

    def __init__(
        self, path: Path, environ: Mapping[str, str], store: VersionStore, clock: Clock, collection: Collection
    ) -> None:
        self._path = path
        self._environ = environ
        self._store = store
        self._clock = clock
        self._collection = collection
        self._trial = Trial()

    def warm(self, now: Published) -> None:
        """What is compiled now need not be at the first publish."""
        with self._collection.paused():
            self._trial.of(now.document, now.version)

    def keep(self, made: Made) -> None:
        """It is in force now."""
        if made.snapshot is not None:
            self._trial.keep(made.snapshot)

    def newest(self, now: Published) -> int:
        """The newest number of the store, which is never behind what is served. Raises StoreError."""
        number = self._store.newest_number()
        if number < now.version:
            at, note = self._clock.wall(), "put back: the store had lost it"
            digest = version_hash(now.document)
            self._store.put_back(Version(now.version, digest, at, "control", note, False, now.document.plain))
        return max(number, now.version)

    def file(self, now: Published, by: str) -> Made:
        """What the file says, or the newest version of the store where the file is not new. Raises ConfigError."""
        with self._collection.paused():
            try:
                self.newest(now)
            except StoreError as error:
                raise ConfigError([Problem("store", 0, "", str(error))]) from error
            written = load_file(self._path, self._environ, previous=now.document)
            compiled = None if written.hash == now.hash else self._compiled(written.without_plain(), now)
            version, document = current(self._store, written, by)
            return self._stored(now, version.number, document, compiled if document is written else None)

    def version(self, now: Published, version: Version) -> Made:
        """What another gateway published, and has run its tests of. Raises ConfigError."""
        with self._collection.paused():
            name = f"version {version.number} of the store"
            document = load_plain(version.plain, name, tested=False, previous=now.document)
            return self._stored(now, version.number, document)

    def change(self, now: Published, order: Order, make: Make, newest: int) -> Made:
        """A new version, if nothing is wrong with it and `newest` is still the newest of the store. Raises ConfigError,
        StoreError and whatever `make` does."""
        with self._collection.paused():
            wanted = make(now)
            if wanted.hash == now.hash and newest <= now.version:
                return Made(now, False, Changes())
            document = wanted.without_plain()
            snapshot = self._compiled(document, now)
            _rehearse(document, snapshot)
            changes = Changes.between(now.document.hashes, document.hashes)
            number = now.version
            if not order.dry_run:
                added = self._store.add(wanted.plain, wanted.hash, order.by, order.note, False, changes, newest)
                number = added.number
            return self._made(now, number, snapshot, changes)

    def _stored(self, now: Published, number: int, document: Document, compiled: Snapshot | None = None) -> Made:
        if document.hash == now.hash:
            return Made(replace(now, version=number), number != now.version, Changes())
        changes = Changes.between(now.document.hashes, document.hashes)
        return self._made(now, number, compiled or self._compiled(document.without_plain(), now), changes)

    def _made(self, now: Published, number: int, snapshot: Snapshot, changes: Changes) -> Made:
        document = snapshot.document
        routes = differing(snapshot, self._trial.of(now.document, now.version))
        return Made(Published(number, document, document.parts()), True, changes, routes, snapshot)

    def _compiled(self, document: Document, now: Published) -> Snapshot:
        self._trial.of(now.document, now.version)
        return self._trial.compile(document, now.version + 1)


def _rehearse(document: Document, snapshot: Snapshot) -> None:
    """The document's own tests."""
    if document.base.tests:
        problems = [Problem(SENT, 0, text_of(each.path), each.message) for each in failures(document, snapshot)]
        if problems:
            raise ConfigError(problems)

"""What is served when the gateway starts, and at a reload: the file where it is new, else the newest of the store.

(design section 11: a file that did not change since it was last published does not undo what came after it.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fastgw.config.errors import ConfigError, Problem
from fastgw.gateway.document.fleet import FleetVersions, fleet_hash, laid_over, own_part_of
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.model import Document, part_hash, split
from fastgw.limiter.options import parse_url
from fastgw.versions.redis_server import RedisServer
from fastgw.versions.redis_store import RedisStore
from fastgw.versions.register import Register
from fastgw.versions.store import FileStore
from fastgw.versions.version import Changes, Raced, StoreAway, StoreError, Version, VersionStore

# Of a start or reload that another process publishes under.
_ATTEMPTS: Final = 10


def open_store(document: Document, serving: Callable[[], Document] | None = None) -> VersionStore:
    """The store that the document names; nothing is asked of it yet. `serving`: the document whose machine's own keys
    are to be used at any later time; this one unless it is given."""
    address = document.base.store
    if address.kind == "file":
        return FileStore(address.directory)
    redis = document.base.redis
    assert redis is not None, "load.py refuses store: redis without redis"
    now = serving or (lambda: document)
    return FleetVersions(RedisStore(_server(document), redis.prefix), lambda: own_part_of(now()))


def open_register(document: Document) -> Register | None:
    """Who shares the store; None where nobody can."""
    redis = document.base.redis
    if document.base.store.kind == "file" or redis is None:
        return None
    return Register(_server(document), redis.prefix)


def _server(document: Document) -> RedisServer:
    redis = document.base.redis
    assert redis is not None, "load.py refuses store: redis without redis"
    return RedisServer(redis.url, parse_url(redis.url).shown)


def current(store: VersionStore, file_document: Document, by: str) -> tuple[Version, Document]:
    """The version to serve, and its document. ConfigError where the store cannot be used, or its newest version is
    one that this gateway does not accept."""
    try:
        version = chosen(store, file_document, by)
    except StoreError as error:
        raise ConfigError([Problem("store", 0, "", str(error))]) from error
    return version, document_of(version, store, file_document)


def chosen(store: VersionStore, file_document: Document, by: str) -> Version:
    """The version to serve; the file becomes one if it is new. Raises StoreError."""
    for _ in range(_ATTEMPTS):
        try:
            version = _chosen(store, file_document, by)
        except Raced:
            continue  # what was published meanwhile may be this very file
        if isinstance(store, FleetVersions):
            store.note(file_document)
        return version
    raise StoreAway("the store is busy: others publish all the time; try again")


def document_of(version: Version, store: VersionStore, file_document: Document) -> Document:
    """Raises ConfigError. Its own tests were run when it was published: what they find may be this machine's own (its
    listeners) or a newer program's, and would keep a gateway from starting at all."""
    if version.hash == _hash(store, file_document):
        return file_document
    plain = version.plain
    if isinstance(store, FleetVersions):
        # What is this machine's own is in its file, changed or not.
        plain = laid_over(plain, own_part_of(file_document))
    return load_plain(plain, f"version {version.number} of the store", tested=False)


def _chosen(store: VersionStore, document: Document, by: str) -> Version:
    number = store.newest_number()
    digest = _hash(store, document)
    published = store.newest_from_file()
    if published is None or (published.hash != digest and not _is_old(store, document)):
        changes = _changes(store, document) if number else None
        return store.add(document.plain, digest, by, "from the file", True, changes, number)
    return published if published.number == number else store.newest() or published


def _is_old(store: VersionStore, document: Document) -> bool:
    return isinstance(store, FleetVersions) and store.is_unchanged(document)


def _hash(store: VersionStore, document: Document) -> str:
    return fleet_hash(document) if isinstance(store, FleetVersions) else document.hash


def _changes(store: VersionStore, document: Document) -> Changes | None:
    """None where the version before it cannot be read, which is no reason not to publish a good one on top of it."""
    try:
        before = store.newest()
        if before is None:
            return None
        parts = split(laid_over(before.plain, own_part_of(document))
                      if isinstance(store, FleetVersions) else before.plain)  # fmt: skip
    except (StoreError, TypeError, KeyError, AttributeError):
        return None
    return Changes.between({key: part_hash(part) for key, part in parts.items()}, document.hashes)

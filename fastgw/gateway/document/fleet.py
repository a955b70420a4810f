"""What gateways on one Redis store have in common, and what is each machine's own: MACHINE names the keys once.

The store holds the document without them; each gateway lays its own over it. So files that differ only there are one
document, and none of them undoes another when a gateway starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from fastgw.config.errors import ConfigError, Problem
from fastgw.config.findings import Finding
from fastgw.gateway.document.model import (
    BASE,
    Document,
    Plain,
    canonical,
    document_hash,
    part_hash,
    split,
)
from fastgw.gateway.document.options import BaseOptions
from fastgw.gateway.document.process import EMBEDDED
from fastgw.versions.redis_store import RedisStore
from fastgw.versions.version import Changes, Entry, StoreAway, Version

# Where this machine listens, logs and keeps its things. All else is the fleet's.
MACHINE: Final = ("instance", "workers", "listeners", "admin", "log", "store", "redis")


def own_part(plain: Mapping[str, Any]) -> Plain:
    return {key: plain[key] for key in MACHINE if key in plain}


def own_part_of(document: Document) -> Plain:
    """Without putting a document that came in parts together again."""
    return own_part(orjson.loads(document.parts()[BASE]))


def fleet_part(plain: Mapping[str, Any]) -> Plain:
    return {key: value for key, value in plain.items() if key not in MACHINE}


def laid_over(plain: Mapping[str, Any], own: Mapping[str, Any]) -> Plain:
    """`plain` with a machine's own keys; own ones that it has itself do not count."""
    return {**own, **fleet_part(plain)}


def fleet_hash(document: Document) -> str:
    """The same on all machines."""
    base = canonical(fleet_part(orjson.loads(document.parts()[BASE])))
    return document_hash({**document.hashes, BASE: part_hash(base)})


def version_hash(document: Document) -> str:
    """As the store knows it; the whole document's where the store is this machine's own too."""
    return fleet_hash(document) if document.base.store.kind == "redis" else document.hash


def completed(plain: Plain, own: Mapping[str, Any], name: str) -> Plain:
    """A document that is to be published for all, as this machine would serve it. Its own keys may be left out; raises
    ConfigError where one says something else, since it would be kept nowhere. `name` says which document it is."""
    problems = [
        Problem(
            name, 0, key,
            f"it is each machine's own with store: redis, and {key} here differs from what this one serves; leave it "
            "out, and change it in the machine's file",
        )
        for key in MACHINE
        if key in plain and plain[key] != own.get(key)
    ]  # fmt: skip
    if problems:
        raise ConfigError(problems)
    return laid_over(plain, own)


def store_findings(base: BaseOptions) -> Iterator[Finding]:
    """A fleet's store has to be one that the other machines reach."""
    if base.store.kind != "redis":
        return
    if base.redis is None:
        yield Finding(
            ("store",),
            "redis: there is no redis key that says where it is; write redis: {url: redis://host:port}",
        )
    elif base.redis.url == EMBEDDED:
        yield Finding(
            ("store",),
            "redis: the embedded server is this machine's own and keeps nothing on disk; name one that all gateways "
            "reach with redis: {url: redis://host:port}, or write file:DIRECTORY",
        )


class FleetVersions:
    """A store that is shared, as one gateway sees it: what it reads has this machine's own keys, which `own` tells;
    what it adds has none. The hashes are those of what is shared."""

    def __init__(self, store: RedisStore, own: Callable[[], Plain]) -> None:
        self._store = store
        self._own = own

    def newest_number(self) -> int:
        return self._store.newest_number()

    def newest(self) -> Version | None:
        return self._laid(self._store.newest())

    def newest_from_file(self) -> Version | None:
        return self._laid(self._store.newest_from_file())

    def get(self, number: int) -> Version | None:
        return self._laid(self._store.get(number))

    def list(self) -> Sequence[Entry]:
        return self._store.list()

    def add(
        self,
        plain: Plain,
        digest: str,
        by: str,
        note: str,
        from_file: bool,
        changes: Changes | None = None,
        expected: int | None = None,
    ) -> Version:
        """`digest` is that of the whole document, which no other machine has; 10,000 routes take 65 ms to hash anew."""
        common = fleet_part(plain)
        hashes = {key: part_hash(part) for key, part in split(common).items()}
        added = self._store.add(common, document_hash(hashes), by, note, from_file, changes, expected)
        return replace(added, plain=plain)

    def is_unchanged(self, file: Document) -> bool:
        """Whether this machine's file is what it was the last time that it was asked. While the files of a fleet are
        changed one after the other, a gateway that starts with the old one must not undo the new one."""
        return self._store.file_of(file.base.instance) == fleet_hash(file)

    def note(self, file: Document) -> None:
        """What is_unchanged compares with from now on; at worst an old file counts as new at some later start."""
        try:
            if not self.is_unchanged(file):
                self._store.note_file(file.base.instance, fleet_hash(file))
        except StoreAway:
            pass

    def put_back(self, version: Version) -> None:
        self._store.put_back(replace(version, plain=fleet_part(version.plain)))

    def _laid(self, version: Version | None) -> Version | None:
        return None if version is None else replace(version, plain=laid_over(version.plain, self._own()))

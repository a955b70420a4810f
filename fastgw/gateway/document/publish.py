"""What is served when the gateway starts, and at a reload: the file where it is new, else the newest of the store.

(design section 11: a file that did not change since it was last published does not undo what came after it.)
"""

from __future__ import annotations

from fastgw.config.errors import ConfigError, Problem
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.model import Document
from fastgw.gateway.document.process import StoreAddress
from fastgw.versions.store import FileStore, StoreError, Version, VersionStore


def open_store(address: StoreAddress) -> VersionStore:
    if address.kind != "file":
        # unbuilt.py refuses it at its line; this is for who comes another way.
        raise ConfigError(
            [Problem("the configuration", 0, "store", "redis is not supported by this version")]
        )
    return FileStore(address.directory)


def current(store: VersionStore, file_document: Document, by: str) -> tuple[Version, Document]:
    """The version to serve, and its document. ConfigError where the store cannot be used, or its newest version is
    one that this gateway does not accept."""
    try:
        return _current(store, file_document, by)
    except StoreError as error:
        raise ConfigError([Problem("store", 0, "", str(error))]) from error


def _current(store: VersionStore, file_document: Document, by: str) -> tuple[Version, Document]:
    published = store.newest_from_file()
    if published is None or published.hash != file_document.hash:
        return store.add(file_document.plain, file_document.hash, by, "from the file", True), file_document
    newest = store.newest()
    if newest is None or newest.hash == file_document.hash:
        return newest or published, file_document
    return newest, load_plain(newest.plain, f"version {newest.number} of the store")

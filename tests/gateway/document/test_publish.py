from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastgw.clock import ManualClock
from fastgw.config.errors import ConfigError
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.process import StoreAddress
from fastgw.gateway.document.publish import current, open_store
from fastgw.versions.store import FileStore


def test_a_file_is_published_once(tmp_path: Path, plain: dict[str, Any]) -> None:
    store = FileStore(tmp_path, ManualClock())
    document = load_plain(plain, "file")
    first, served = current(store, document, "start")
    assert (first.number, first.hash, first.by, first.from_file) == (1, document.hash, "start", True)
    assert served is document
    again, served = current(store, document, "start")
    assert (again.number, served) == (1, document)


def test_a_changed_file_is_a_new_version(tmp_path: Path, plain: dict[str, Any]) -> None:
    store = FileStore(tmp_path, ManualClock())
    current(store, load_plain(plain, "file"), "start")
    changed = load_plain({**plain, "workers": 3}, "file")
    version, served = current(store, changed, "reload")
    assert (version.number, version.by, served) == (2, "reload", changed)


def test_an_unchanged_file_does_not_undo_what_was_published_after_it(
    tmp_path: Path, plain: dict[str, Any]
) -> None:
    store = FileStore(tmp_path, ManualClock())
    document = load_plain(plain, "file")
    current(store, document, "start")
    other = load_plain({**plain, "workers": 3}, "api")
    store.add(other.plain, other.hash, "api", "by hand", False)
    version, served = current(store, document, "start")
    assert version.number == 2
    assert served.hash == other.hash
    assert served.base.workers == 3
    # Back to an older content in the file: the last published file has another one, so it is new.
    third = load_plain({**plain, "workers": 4}, "file")
    assert current(store, third, "reload")[0].number == 3
    assert current(store, document, "reload")[0].number == 4


def test_a_stored_version_that_is_not_accepted_any_more(tmp_path: Path, plain: dict[str, Any]) -> None:
    store = FileStore(tmp_path, ManualClock())
    document = load_plain(plain, "file")
    current(store, document, "start")
    store.add({**plain, "future": 1}, "x", "api", "", False)
    with pytest.raises(ConfigError, match="version 2 of the store: future: unknown key"):
        current(store, document, "start")


def test_a_damaged_store_is_a_configuration_error(tmp_path: Path, plain: dict[str, Any]) -> None:
    document = load_plain(plain, "file")
    store = FileStore(tmp_path, ManualClock())
    current(store, document, "start")
    (tmp_path / "00000001.json").write_text("x")
    with pytest.raises(ConfigError, match=r"00000001\.json is damaged"):
        current(store, document, "start")


def test_open_store(tmp_path: Path) -> None:
    assert open_store(StoreAddress("file", str(tmp_path))).newest() is None
    with pytest.raises(ConfigError, match="not supported"):
        open_store(StoreAddress("redis"))

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastgw.clock import ManualClock
from fastgw.config.errors import ConfigError
from fastgw.gateway.document.fleet import FleetVersions
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.publish import current, open_register, open_store
from fastgw.versions.store import FileStore
from fastgw.versions.version import Changes, StoreAway, Version


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


def test_what_a_new_file_changed_is_kept_with_it(tmp_path: Path, plain: dict[str, Any]) -> None:
    store = FileStore(tmp_path, ManualClock())
    assert current(store, load_plain(plain, "file"), "start")[0].changes is None
    changed = load_plain({**plain, "workers": 3, "routes": plain["routes"][1:]}, "file")
    assert current(store, changed, "reload")[0].changes == Changes((), ("base",), ("route:one",), 2)


def test_a_new_file_is_published_over_one_that_is_damaged(tmp_path: Path, plain: dict[str, Any]) -> None:
    store = FileStore(tmp_path, ManualClock())
    current(store, load_plain(plain, "file"), "start")
    store.add({}, "h", "api", "", False)
    file = tmp_path / "00000002.json"
    file.write_bytes(file.read_bytes().replace(b"{}", b"{x"))
    with pytest.raises(ConfigError, match=r"mv .*00000002\.json .*00000002\.json\.damaged"):
        current(store, load_plain(plain, "file"), "start")
    version, _ = current(store, load_plain({**plain, "workers": 3}, "file"), "reload")
    assert (version.number, version.changes) == (3, None)


class Busy(FileStore):
    """Somebody else is faster, `times` times."""

    def __init__(self, directory: Path, other: dict[str, Any], times: int) -> None:
        super().__init__(directory, ManualClock())
        self.other = other
        self.times = times

    def newest_from_file(self) -> Version | None:
        found = super().newest_from_file()
        if self.times:
            self.times -= 1
            document = load_plain(self.other, "other")
            FileStore(self._directory).add(document.plain, document.hash, "other", "", True)
        return found


def test_two_gateways_that_start_with_one_file_publish_it_once(tmp_path: Path, plain: dict[str, Any]) -> None:
    version, _ = current(Busy(tmp_path, plain, 1), load_plain(plain, "file"), "start")
    assert (version.number, version.by) == (1, "other")


def test_a_file_is_published_on_top_of_what_came_between(tmp_path: Path, plain: dict[str, Any]) -> None:
    version, _ = current(Busy(tmp_path, {**plain, "workers": 3}, 2), load_plain(plain, "file"), "start")
    assert (version.number, version.by) == (3, "start")


def test_nobody_waits_for_a_number_without_end(tmp_path: Path, plain: dict[str, Any]) -> None:
    store = Busy(tmp_path, {**plain, "workers": 3}, 1000)
    with pytest.raises(ConfigError, match="the store is busy"):
        current(store, load_plain(plain, "file"), "start")


def test_open_store(tmp_path: Path, plain: dict[str, Any]) -> None:
    document = load_plain({**plain, "store": f"file:{tmp_path}"}, "file")
    assert isinstance(open_store(document), FileStore)
    assert open_store(document).newest() is None
    assert open_register(document) is None
    in_fleet = {"store": "redis", "redis": {"url": "redis://:secret@127.0.0.1:1", "prefix": "x:"}}
    document = load_plain({**plain, **in_fleet}, "file")
    store, register = open_store(document), open_register(document)
    assert isinstance(store, FleetVersions)
    assert register is not None
    assert register.shown == "redis://127.0.0.1:1"
    with pytest.raises(StoreAway, match=r"redis://127\.0\.0\.1:1"):
        store.newest_number()

from __future__ import annotations

import fcntl
import os
import shlex
import stat
import threading
from pathlib import Path

import orjson
import pytest

from fastgw.clock import ManualClock
from fastgw.versions.record import MAX_NOTE
from fastgw.versions.store import PATIENCE, Changes, FileStore, Raced, StoreError


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=1000.0)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> FileStore:
    return FileStore(tmp_path / "versions", clock)


def test_an_empty_store(store: FileStore) -> None:
    assert store.newest() is None
    assert store.newest_from_file() is None
    assert store.get(1) is None
    assert list(store.list()) == []


def test_versions_are_numbered_and_come_back(store: FileStore, clock: ManualClock, tmp_path: Path) -> None:
    one = store.add({"a": "ä", "b": [1, None]}, "h1", "start", "from the file", True)
    clock.advance(5)
    two = store.add({"a": 2}, "h2", "api", "", False)
    assert (one.number, two.number, one.at, two.at) == (1, 2, 1000.0, 1005.0)
    other = FileStore(tmp_path / "versions")
    assert other.newest() == two
    assert other.newest_from_file() == one
    assert other.get(1) == one
    assert other.get(3) is None
    assert list(other.list()) == [one.entry, two.entry]


def test_files_are_private(store: FileStore, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store.add({"secret": "x"}, "h", "start", "", True)
    finally:
        os.umask(before)
    folder = tmp_path / "versions"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(os.listdir(folder)) == [".lock", "00000001.json"]


def test_what_is_left_of_a_write_that_was_cut_is_no_version(store: FileStore, tmp_path: Path) -> None:
    store.add({}, "h", "start", "", True)
    (tmp_path / "versions" / "00000002.1234.tmp").write_text("half")
    (tmp_path / "versions" / "notes.txt").write_text("x")
    newest = store.newest()
    assert newest is not None
    assert newest.number == 1


def test_two_writers_never_share_a_number(store: FileStore) -> None:
    numbers: list[int] = []

    def write() -> None:
        numbers.extend(store.add({}, "h", "x", "", False).number for _ in range(20))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 81))


def damage(file: Path, how: str) -> None:
    head, content, _ = file.read_bytes().split(b"\n")
    fields = orjson.loads(head)
    match how:
        case "empty":
            file.write_bytes(b"")
        case "binary":
            file.write_bytes(bytes(range(256)))
        case "cut":
            file.write_bytes(head + b"\n" + content[:-3])
        case "content":
            file.write_bytes(head + b"\n" + content.replace(b"1", b"2") + b"\n")
        case "list":
            file.write_bytes(b"[]\n" + content + b"\n")
        case "key":
            del fields["hash"]
            file.write_bytes(orjson.dumps(fields) + b"\n" + content + b"\n")
        case "type":
            fields["at"] = "x"
            file.write_bytes(orjson.dumps(fields) + b"\n" + content + b"\n")
        case "number":
            fields["number"] = 7
            file.write_bytes(orjson.dumps(fields) + b"\n" + content + b"\n")


@pytest.mark.parametrize("how", ["empty", "binary", "cut", "content", "list", "key", "type", "number"])
def test_a_damaged_file_is_named_with_the_cure(store: FileStore, tmp_path: Path, how: str) -> None:
    store.add({"a": 1}, "h", "start", "", True)
    file = tmp_path / "versions" / "00000001.json"
    damage(file, how)
    with pytest.raises(StoreError, match=r"00000001\.json is damaged: .*; move it away"):
        store.newest()


def test_the_cure_can_be_copied(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "it's mine")
    store.add({"a": 1}, "h", "start", "", True)
    file = tmp_path / "it's mine" / "00000001.json"
    damage(file, "cut")
    with pytest.raises(StoreError) as caught:
        store.newest()
    cure = shlex.split(str(caught.value).rpartition("(")[2].rstrip(")"))
    assert cure == ["mv", str(file), f"{file}.damaged"]


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = FileStore(tmp_path / "file")
    with pytest.raises(StoreError, match="cannot be read: Not a directory"):
        store.newest()
    with pytest.raises(StoreError, match="cannot be written: File exists"):
        store.add({}, "h", "start", "", True)
    with pytest.raises(StoreError, match="name another directory"):
        FileStore("/proc/nowhere").add({}, "h", "start", "", True)


def test_a_version_that_is_a_directory(store: FileStore, tmp_path: Path) -> None:
    store.add({}, "h", "start", "", True)
    (tmp_path / "versions" / "00000002.json").mkdir()
    with pytest.raises(StoreError, match=r"00000002\.json cannot be read"):
        store.newest()
    with pytest.raises(StoreError, match=r"00000002\.json cannot be read"):
        store.newest_from_file()


def test_numbers_come_to_an_end(store: FileStore, tmp_path: Path) -> None:
    store.add({}, "h", "start", "", True)
    (tmp_path / "versions" / "00000001.json").rename(tmp_path / "versions" / "99999999.json")
    with pytest.raises(StoreError, match="no numbers left"):
        store.add({}, "h", "start", "", True)


# --- expected numbers, changes, retention ---


def test_whoever_builds_on_an_old_version_loses(store: FileStore) -> None:
    assert store.newest_number() == 0
    store.add({"a": 1}, "h1", "x", "", False, expected=0)
    with pytest.raises(Raced, match="version 1 was published meanwhile") as caught:
        store.add({"a": 2}, "h2", "x", "", False, expected=0)
    assert caught.value.newest == 1
    assert store.newest_number() == 1
    store.add({"a": 2}, "h2", "x", "", False, expected=1)
    store.add({"a": 3}, "h3", "x", "", False)
    assert store.newest_number() == 3


def test_of_many_publishers_exactly_one_wins_each_number(tmp_path: Path) -> None:
    won: list[int] = []
    start = threading.Barrier(8)

    def publish() -> None:
        store = FileStore(tmp_path)
        for number in range(10):
            start.wait()
            try:
                won.append(store.add({}, "h", "x", "", False, expected=number).number)
            except Raced as lost:
                assert lost.newest == number + 1

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(1, 11))


def test_what_has_changed_is_kept(store: FileStore) -> None:
    changes = Changes(("route:a",), ("base",), ("upstream:ä",), 3)
    store.add({}, "h", "x", "", False)
    store.add({}, "h", "x", "", False, changes)
    newest = store.newest()
    assert newest is not None
    assert newest.changes == changes
    assert [entry.changes for entry in store.list()] == [None, changes]


def test_a_version_of_before_changes_were_kept(store: FileStore, tmp_path: Path) -> None:
    store.add({"a": 1}, "h", "x", "", False)
    file = tmp_path / "versions" / "00000001.json"
    head, content, _ = file.read_bytes().split(b"\n")
    fields = orjson.loads(head)
    del fields["changes"]
    file.write_bytes(orjson.dumps(fields) + b"\n" + content + b"\n")
    newest = store.newest()
    assert newest is not None
    assert newest.changes is None


def test_old_versions_go_but_not_the_newest_of_the_file(tmp_path: Path) -> None:
    store = FileStore(tmp_path, kept=3)
    store.add({}, "h", "start", "", True)
    store.add({}, "h", "reload", "", True)
    for _ in range(6):
        store.add({}, "h", "api", "", False)
    assert [entry.number for entry in store.list()] == [2, 6, 7, 8]
    assert store.add({}, "h", "reload", "", True).number == 9
    assert [entry.number for entry in store.list()] == [7, 8, 9]


def test_a_version_that_was_moved_aside_keeps_its_number(store: FileStore, tmp_path: Path) -> None:
    store.add({"a": 1}, "h", "x", "", False)
    store.add({"a": 2}, "h", "x", "", False)
    folder = tmp_path / "versions"
    (folder / "00000002.json").rename(folder / "00000002.json.damaged")
    assert store.newest_number() == 1
    assert store.add({"a": 3}, "h", "x", "", False, expected=1).number == 3


def test_a_note_has_an_end(store: FileStore) -> None:
    store.add({}, "h", "x", "n" * 100_000, False)
    assert len(next(iter(store.list())).note) == MAX_NOTE


def test_a_publish_that_does_not_end_is_not_waited_for_without_end(store: FileStore, tmp_path: Path) -> None:
    store.add({}, "h", "x", "", False)
    pauses: list[float] = []
    other = FileStore(tmp_path / "versions", pause=pauses.append)
    with (tmp_path / "versions" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match=r"in use by another process .* see who holds .*\.lock"):
            other.add({}, "h", "x", "", False)
    assert sum(pauses) == pytest.approx(PATIENCE, abs=0.02)
    assert other.newest_number() == 1

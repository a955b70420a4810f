"""A publish that ends anywhere: killed after each step, on a full disk, in a directory that may not be written."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastgw.clock import ManualClock
from fastgw.versions.store import FileStore, StoreError

STEPS = ("locked", "cleaned", "opened", "writing", "written", "synced", "named", "kept", "pruned")
KEPT = 2


def in_child(work: Callable[[], None]) -> int:
    """The exit code: 0, 1 after an exception, -9 after a KILL."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def filled(folder: Path) -> FileStore:
    store = FileStore(folder, ManualClock(), kept=KEPT)
    for number in (1, 2):
        store.add({"number": number}, f"h{number}", "x", "", False)
    return store


def test_the_steps_are_these(tmp_path: Path) -> None:
    filled(tmp_path)
    seen: list[str] = []
    FileStore(tmp_path, ManualClock(), kept=KEPT, on_step=seen.append).add(
        {"number": 3}, "h3", "x", "", False
    )
    assert tuple(seen) == STEPS


@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_is_killed_leaves_a_readable_store(tmp_path: Path, step: str) -> None:
    store = filled(tmp_path)

    def die(reached: str) -> None:
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def publish() -> None:
        FileStore(tmp_path, ManualClock(), kept=KEPT, on_step=die).add({"number": 3}, "h3", "x", "", False)

    assert in_child(publish) == -signal.SIGKILL
    # From the moment that it has its name, the version counts.
    there = 3 if STEPS.index(step) >= STEPS.index("named") else 2
    newest = store.newest()
    assert newest is not None
    assert (newest.number, newest.plain) == (there, {"number": there})
    assert [entry.number for entry in store.list()][-2:] == [there - 1, there]
    # The next one takes the next number, and cleans up.
    assert store.add({"number": 9}, "h9", "x", "", False, expected=there).number == there + 1
    assert sorted(os.listdir(tmp_path)) == [".lock", f"{there:08}.json", f"{there + 1:08}.json"]


def test_what_a_dead_publisher_left_goes_and_nothing_else(tmp_path: Path) -> None:
    store = filled(tmp_path)
    for name in ("00000003.77.tmp", "00000003.78.tmp", "notes.tmp", "00000003.json.tmp.old"):
        (tmp_path / name).write_text("half")
    store.add({}, "h", "x", "", False)
    assert {name for name in os.listdir(tmp_path) if "tmp" in name} == {"notes.tmp", "00000003.json.tmp.old"}


def test_a_full_disk_takes_nothing_and_loses_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A bound on the size of files cuts a write as a full disk does: what fits is written, the rest is an error."""
    store = filled(tmp_path)
    before = sorted(os.listdir(tmp_path))

    def publish() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        store.add({"number": "3" * 10_000}, "h3", "x", "", False)

    assert in_child(publish) == 1
    assert "00000003.json cannot be written: File too large; make room, or allow it" in capfd.readouterr().err
    assert sorted(os.listdir(tmp_path)) == before
    assert store.newest_number() == 2
    assert store.add({"number": "3" * 10_000}, "h3", "x", "", False).number == 3


@pytest.mark.parametrize("step", ["opened", "writing", "synced", "named"])
def test_a_disk_that_fails_at_any_step_keeps_nothing_of_what_is_refused(tmp_path: Path, step: str) -> None:
    store = filled(tmp_path)

    def fail(reached: str) -> None:
        if reached == step:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(StoreError, match=r"00000003\.json cannot be written: Input/output error"):
        FileStore(tmp_path, ManualClock(), on_step=fail).add({"number": 3}, "h3", "x", "", False)
    assert sorted(os.listdir(tmp_path)) == [".lock", "00000001.json", "00000002.json"]
    assert store.newest_number() == 2


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that others may enter, which pytest's own is not."""
    made = Path(tempfile.mkdtemp(prefix="fastgw-store-"))
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


def as_nobody() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_directory_that_may_not_be_written(
    folder: Path, mode: int, capfd: pytest.CaptureFixture[str]
) -> None:
    store = filled(folder)
    (folder / ".lock").chmod(0o666)
    for file in folder.glob("*.json"):
        file.chmod(0o644)
    folder.chmod(mode)

    def publish() -> None:
        as_nobody()
        store.add({}, "h", "x", "", False)

    assert in_child(publish) == 1
    said = capfd.readouterr().err
    assert f"StoreError: {'the version store' if mode == 0 else folder / '00000003.json'}" in said
    assert "cannot be written: Permission denied" in said
    folder.chmod(0o755)
    assert store.newest_number() == 2


def test_a_disk_that_fails_while_old_versions_go(tmp_path: Path) -> None:
    """The new version is there; that an old one is in the way is no reason to say otherwise."""
    store = filled(tmp_path)
    (tmp_path / "00000001.json").unlink()
    (tmp_path / "00000001.json").mkdir()
    assert store.add({"number": 3}, "h3", "x", "", False).number == 3
    assert store.newest_number() == 3


def test_a_damaged_version_among_the_old_ones_keeps_them(tmp_path: Path) -> None:
    """Whether it was the file's is not known, so none is taken away; the versions themselves are as they were."""
    store = filled(tmp_path)
    (tmp_path / "00000001.json").write_text("x")
    assert store.add({"number": 3}, "h3", "x", "", False).number == 3
    assert len(list(tmp_path.glob("*.json"))) == 3
    with pytest.raises(StoreError, match=r"00000001\.json is damaged"):
        store.list()

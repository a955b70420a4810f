"""The private folder: whose it is, where it is made, and which ones are cleaned up."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgw.supervisor.exits import BootError, Exit
from fastgw.supervisor.runtime_dir import RuntimeDirectory


@pytest.fixture
def base() -> Iterator[Path]:
    # Not pytest's own: the names of sockets are short.
    with tempfile.TemporaryDirectory(prefix="fg-") as folder:
        yield Path(folder)


def abandon(directory: RuntimeDirectory) -> Path:
    """What a killed gateway leaves: the folder, and a lock that nobody holds."""
    os.close(directory._lock)
    return directory.path


def test_it_is_private_and_is_removed_with_what_is_in_it(base: Path) -> None:
    made = RuntimeDirectory({"TMPDIR": str(base)})
    assert made.path.parent == base
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
    (made.path / "valkey.sock").touch()
    made.close()
    assert list(base.iterdir()) == []


def test_the_service_managers_folder_comes_first(base: Path) -> None:
    for name in ("run", "session", "tmp"):
        (base / name).mkdir()
    environ = {"RUNTIME_DIRECTORY": f"{base}/run:{base}/other", "XDG_RUNTIME_DIR": f"{base}/session",
               "TMPDIR": f"{base}/tmp"}  # fmt: skip
    for gone, expected in (("", "run"), ("RUNTIME_DIRECTORY", "session"), ("XDG_RUNTIME_DIR", "tmp")):
        environ.pop(gone, None)
        made = RuntimeDirectory(environ)
        assert made.path.parent == base / expected
        made.close()


def test_a_place_that_cannot_be_used_is_passed_over(base: Path) -> None:
    long = base / ("x" * 90)
    long.mkdir()
    made = RuntimeDirectory(
        {"RUNTIME_DIRECTORY": "relative", "XDG_RUNTIME_DIR": str(long), "TMPDIR": str(base / "missing")}
    )
    assert made.path.parent == Path("/tmp")
    assert list(long.iterdir()) == []
    made.close()


def test_what_a_killed_gateway_left_is_removed_by_the_next(base: Path) -> None:
    left = abandon(RuntimeDirectory({"TMPDIR": str(base)}))
    (left / "valkey.sock").touch()
    made = RuntimeDirectory({"TMPDIR": str(base)})
    assert list(base.iterdir()) == [made.path]
    made.close()


def test_what_belongs_to_somebody_is_left_alone(base: Path) -> None:
    living = RuntimeDirectory({"TMPDIR": str(base)})
    making = base / "fastgw-run-making"
    making.mkdir()
    (base / "fastgw-run-file").touch()
    (base / "another").mkdir()
    target = base / "another" / "lock"
    target.touch()
    (base / "fastgw-run-link").symlink_to(base / "another")
    trap = base / "fastgw-run-trap"
    trap.mkdir()
    (trap / "lock").symlink_to(target)
    before = set(base.iterdir())
    made = RuntimeDirectory({"TMPDIR": str(base)})
    assert set(base.iterdir()) == before | {made.path}
    assert target.exists()
    made.close()
    living.close()


def test_where_none_can_be_made_the_start_ends(base: Path) -> None:
    with pytest.raises(BootError, match="set TMPDIR") as raised:
        RuntimeDirectory({"TMPDIR": str(base / "missing")}, usual=str(base / "x" / "missing"))
    assert raised.value.code is Exit.CANNOT_BOOT

"""Versions in a directory, one file each: the two lines of record.py.

Files are private (mode 0600: a document holds secrets), appear whole or not at all, and are never changed. Two
processes may use one directory: numbers are given out under a lock. A process that dies at any point of a publish
leaves either the version or what the next publish cleans up.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from fastgw.clock import Clock, SystemClock
from fastgw.versions import record
from fastgw.versions.version import Changes, Entry, Raced, StoreError, Version, VersionStore

__all__ = ["Changes", "Entry", "FileStore", "Raced", "StoreError", "Version", "VersionStore"]

FILE_NAME: Final = re.compile(r"([0-9]{8})\.json")
# A version that was moved aside (00000007.json.damaged) keeps its number: none is given to two contents.
TAKEN_NAME: Final = re.compile(r"([0-9]{8})\.json(\..*)?")
UNFINISHED: Final = ".tmp"
LOCK: Final = ".lock"
PATIENCE: Final = 5.0  # seconds for another process's publish
_AGAIN: Final = 0.01


def _no_step(step: str) -> None:
    """Nobody looks."""


class FileStore:
    """`file:DIR`. Nothing is kept in memory: what another process adds is seen. `on_step` is told what an `add` has
    done, for tests that end it there; `pause` sleeps while another process has the lock."""

    def __init__(
        self,
        directory: str | Path,
        clock: Clock | None = None,
        *,
        kept: int = record.KEPT,
        on_step: Callable[[str], None] = _no_step,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._directory = Path(directory)
        self._clock = SystemClock() if clock is None else clock
        self._kept = kept
        self._step = on_step
        self._pause = pause

    def newest_number(self) -> int:
        numbers = self._numbers()
        return numbers[-1] if numbers else 0

    def newest(self) -> Version | None:
        numbers = self._numbers()
        return self._read(numbers[-1]) if numbers else None

    def newest_from_file(self) -> Version | None:
        number = self._newest_from_file(self._numbers())
        return self._read(number) if number else None

    def get(self, number: int) -> Version | None:
        return self._read(number) if number in self._numbers() else None

    def list(self) -> Sequence[Entry]:
        return [self._head(number) for number in self._numbers()]

    def add(
        self,
        plain: dict[str, Any],
        digest: str,
        by: str,
        note: str,
        from_file: bool,
        changes: Changes | None = None,
        expected: int | None = None,
    ) -> Version:
        content = orjson.dumps(plain)
        with self._locked():
            self._step("locked")
            newest = self.newest_number()
            if expected is not None and expected != newest:
                raise Raced(newest)
            number = self._next_number()
            self._remove_unfinished()
            self._step("cleaned")
            entry = Entry(number, digest, self._clock.wall(), by, note[: record.MAX_NOTE], from_file, changes)
            self._write(self._file(number), record.head(entry, content) + b"\n" + content + b"\n")
            self._prune()
        return record.version(entry, plain)

    def put_back(self, version: Version) -> None:
        content = orjson.dumps(version.plain)
        with self._locked():
            if self.newest_number() < version.number:
                self._write(
                    self._file(version.number), record.head(version.entry, content) + b"\n" + content + b"\n"
                )

    # --- files ---

    def _file(self, number: int) -> Path:
        return self._directory / f"{number:08}.json"

    def _names(self) -> Sequence[str]:
        try:
            return os.listdir(self._directory)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(
                f"the version store {self._directory} cannot be read: {error.strerror}"
            ) from error

    def _numbers(self) -> Sequence[int]:
        return sorted(int(match[1]) for name in self._names() if (match := FILE_NAME.fullmatch(name)))

    def _next_number(self) -> int:
        taken = (int(match[1]) for name in self._names() if (match := TAKEN_NAME.fullmatch(name)))
        number = max(taken, default=0) + 1
        if number > record.MAX_NUMBER:
            raise StoreError(f"{self._directory} has no numbers left; move its files away")
        return number

    def _newest_from_file(self, numbers: Sequence[int]) -> int:
        """0: none is."""
        return next((number for number in reversed(numbers) if self._head(number).from_file), 0)

    def _head(self, number: int) -> Entry:
        file = self._file(number)
        try:
            with open(file, "rb") as stream:
                line = stream.readline(record.MAX_HEAD)
        except OSError as error:
            raise _unreadable(file, error) from error
        return record.read_head(number, line, lambda what: _damaged(file, what))

    def _read(self, number: int) -> Version:
        file = self._file(number)
        try:
            line, _, rest = file.read_bytes().partition(b"\n")
        except OSError as error:
            raise _unreadable(file, error) from error
        return record.read(number, line, rest.removesuffix(b"\n"), lambda what: _damaged(file, what))

    def _write(self, file: Path, data: bytes) -> None:
        # The name appears only when everything is on the disk: a machine that loses power keeps the old versions.
        unfinished = file.with_suffix(f".{os.getpid()}{UNFINISHED}")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb", buffering=0) as stream:
                self._step("opened")
                self._write_all(stream.fileno(), data)
                self._step("written")
                os.fsync(stream.fileno())
            self._step("synced")
            os.rename(unfinished, file)
            self._step("named")
            self._sync_directory()
            self._step("kept")
        except OSError as error:
            # Also the version itself, where only the directory could not be synced: what is refused is not kept.
            _remove(unfinished, file)
            raise StoreError(f"{file} cannot be written: {error.strerror}; make room, or allow it") from error

    def _write_all(self, descriptor: int, data: bytes) -> None:
        # A disk that gets full takes what fits, and refuses the next write.
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
            self._step("writing")

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _remove_unfinished(self) -> None:
        # We hold the lock, so whoever began these is dead.
        for name in self._names():
            if name.endswith(UNFINISHED) and TAKEN_NAME.fullmatch(name.split(".")[0] + ".json"):
                (self._directory / name).unlink(missing_ok=True)

    def _prune(self) -> None:
        """What is served is the newest version or was it a moment ago, so it is among those that stay. The newest one
        of the file stays too: without it the next start would take the file for a new one."""
        numbers = self._numbers()
        old = numbers[: -self._kept]
        if not old:
            return
        try:
            # Only where every newer one came another way is the file's among the old ones.
            from_file = self._newest_from_file(numbers)
            for number in old:
                if number != from_file:
                    self._file(number).unlink(missing_ok=True)
                    self._step("pruned")
        except (OSError, StoreError):
            # The version is published; room is made the next time, when whatever is damaged was mended.
            pass

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"the version store {self._directory} cannot be written: {error.strerror}; "
                "allow it, or name another directory with store: file:DIR"
            ) from error
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        waited = 0.0
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if waited >= PATIENCE:
                    raise StoreError(
                        f"the version store {self._directory} is in use by another process that has not finished in "
                        f"{PATIENCE:g} s; see who holds {self._directory / LOCK}"
                    ) from None
            except OSError as error:
                raise StoreError(
                    f"{self._directory / LOCK} cannot be locked: {error.strerror}; "
                    "name a directory on a local disk with store: file:DIR"
                ) from error
            self._pause(_AGAIN)
            waited += _AGAIN


def _remove(*files: Path) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError:
            pass  # the disk has failed once already; the next publish tries again


def _unreadable(file: Path, error: OSError) -> StoreError:
    return StoreError(f"{file} cannot be read: {error.strerror}")


def _damaged(file: Path, what: str) -> StoreError:
    # To the letter, so that it can be copied; what was moved aside keeps its number.
    cure = f"mv {shlex.quote(str(file))} {shlex.quote(f'{file}.damaged')}"
    return StoreError(f"{file} is damaged: {what}; move it away to go on with the version before it ({cure})")

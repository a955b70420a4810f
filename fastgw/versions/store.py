"""Versions in a directory, one file each: a line of JSON that says what it is, and a line with the content.

Files are private (mode 0600: a document holds secrets), appear whole or not at all, and are never changed. Two
processes may use one directory: numbers are given out under a lock.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import orjson

from fastgw.clock import Clock, SystemClock
from fastgw.versions.version import Entry, StoreError, Version, VersionStore

__all__ = ["Entry", "FileStore", "StoreError", "Version", "VersionStore"]

FILE_NAME: Final = re.compile(r"([0-9]{8})\.json")
LOCK: Final = ".lock"
MAX_NUMBER: Final = 99_999_999
MAX_HEAD: Final = 64 * 1024  # bytes of the first line


class FileStore:
    """`file:DIR`. Nothing is kept in memory: what another process adds is seen."""

    def __init__(self, directory: str | Path, clock: Clock | None = None) -> None:
        self._directory = Path(directory)
        self._clock = SystemClock() if clock is None else clock

    def newest(self) -> Version | None:
        numbers = self._numbers()
        return self._read(numbers[-1]) if numbers else None

    def newest_from_file(self) -> Version | None:
        for number in reversed(self._numbers()):
            if self._head(number).from_file:
                return self._read(number)
        return None

    def get(self, number: int) -> Version | None:
        return self._read(number) if number in self._numbers() else None

    def list(self) -> Sequence[Entry]:
        return [self._head(number) for number in self._numbers()]

    def add(self, plain: dict[str, Any], digest: str, by: str, note: str, from_file: bool) -> Version:
        content = orjson.dumps(plain)
        with self._locked():
            numbers = self._numbers()
            number = numbers[-1] + 1 if numbers else 1
            if number > MAX_NUMBER:
                raise StoreError(f"{self._directory} has no numbers left; move its files away")
            head = {
                "number": number, "hash": digest, "at": self._clock.wall(), "by": by, "note": note,
                "from_file": from_file, "sum": _sum(content),
            }  # fmt: skip
            self._write(self._file(number), orjson.dumps(head) + b"\n" + content + b"\n")
        return Version(number, digest, head["at"], by, note, from_file, plain)  # type: ignore[arg-type]  # a float, see above

    # --- files ---

    def _file(self, number: int) -> Path:
        return self._directory / f"{number:08}.json"

    def _numbers(self) -> Sequence[int]:
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(
                f"the version store {self._directory} cannot be read: {error.strerror}"
            ) from error
        return sorted(int(match[1]) for name in names if (match := FILE_NAME.fullmatch(name)))

    def _head(self, number: int) -> Entry:
        file = self._file(number)
        try:
            with open(file, "rb") as stream:
                line = stream.readline(MAX_HEAD)
        except OSError as error:
            raise StoreError(f"{file} cannot be read: {error.strerror}") from error
        return _entry(file, number, _head_fields(file, line))

    def _read(self, number: int) -> Version:
        file = self._file(number)
        try:
            line, _, rest = file.read_bytes().partition(b"\n")
        except OSError as error:
            raise StoreError(f"{file} cannot be read: {error.strerror}") from error
        fields = _head_fields(file, line)
        entry = _entry(file, number, fields)
        content = rest.removesuffix(b"\n")
        if fields.get("sum") != _sum(content):
            raise _damaged(file, "its content is not what was written")
        try:
            plain = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise _damaged(file, "its content is not JSON") from None
        if not isinstance(plain, dict):
            raise _damaged(file, "its content is not a document")
        return Version(entry.number, entry.hash, entry.at, entry.by, entry.note, entry.from_file, plain)

    def _write(self, file: Path, data: bytes) -> None:
        # The name appears only when everything is on the disk: a machine that loses power keeps the old versions.
        unfinished = file.with_suffix(f".{os.getpid()}.tmp")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(unfinished, file)
            self._sync_directory()
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise StoreError(f"{file} cannot be written: {error.strerror}; make room, or allow it") from error

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

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
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _sum(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _head_fields(file: Path, line: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise _damaged(file, "its first line is not JSON") from None
    if not isinstance(fields, dict):
        raise _damaged(file, "its first line is no object")
    return fields


def _entry(file: Path, number: int, fields: dict[str, Any]) -> Entry:
    try:
        entry = Entry(*(fields[key] for key in ("number", "hash", "at", "by", "note", "from_file")))
    except KeyError as error:
        raise _damaged(file, f"its first line has no {error.args[0]}") from None
    kinds = (int, str, int | float, str, str, bool)
    values = (entry.number, entry.hash, entry.at, entry.by, entry.note, entry.from_file)
    if entry.number != number or not all(isinstance(v, kind) for v, kind in zip(values, kinds, strict=True)):
        raise _damaged(file, "its first line does not describe it")
    return entry


def _damaged(file: Path, what: str) -> StoreError:
    return StoreError(f"{file} is damaged: {what}; move it away to go on with the version before it")

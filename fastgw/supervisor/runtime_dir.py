"""A private folder for the life of one gateway: sockets that only its own processes may reach. Removed at the end;
what a killed gateway left is removed by the next one.

Whose folder it is, a lock tells: it ends with its holder, however that ends, and holds across namespaces of
process ids, which a number in a file would not.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fastgw.supervisor.exits import BootError, Exit

_PREFIX = "fastgw-run-"
_LOCK = "lock"

# sockaddr_un holds 108 bytes, the last one a NUL; this is what is left for a name in the folder.
_LONGEST = 107 - 16

# A folder that many gateways share is not read to its end.
_SWEPT = 10_000


class RuntimeDirectory:
    """Mode 0700. Raises BootError where none can be made."""

    def __init__(self, environ: Mapping[str, str], usual: str = "/tmp") -> None:
        bases = _bases(environ, usual)
        for base in bases:
            _sweep(base)
            try:
                path = tempfile.mkdtemp(prefix=_PREFIX, dir=base)
            except OSError:
                continue
            if len(os.fsencode(path)) <= _LONGEST:
                self.path = Path(path)
                self._lock = _locked(path)
                return
            os.rmdir(path)
        tried = ", ".join(bases)
        raise BootError(
            Exit.CANNOT_BOOT,
            f"no folder for the embedded server's socket can be made in {tried}; set TMPDIR to a folder that this "
            "user can write to, and whose name is short",
        )

    def close(self) -> None:
        """Remove it. What lies in it belongs to processes that are gone."""
        _remove(self.path)
        os.close(self._lock)


def _bases(environ: Mapping[str, str], usual: str) -> list[str]:
    """The service manager's, the session's, then the usual one for temporary files."""
    wanted = [
        environ.get("RUNTIME_DIRECTORY", "").partition(":")[0],
        environ.get("XDG_RUNTIME_DIR", ""),
        environ.get("TMPDIR", ""),
        usual,
    ]
    return list(dict.fromkeys(base for base in wanted if os.path.isabs(base)))


def _locked(path: str) -> int:
    """Locked before it has its name: a lock file that nobody holds is one whose holder is gone."""
    making = os.path.join(path, "making")
    fd = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.rename(making, os.path.join(path, _LOCK))
    return fd


def _sweep(base: str) -> None:
    try:
        with os.scandir(base) as entries:
            for entry, _ in zip(entries, range(_SWEPT), strict=False):
                if entry.name.startswith(_PREFIX):
                    _remove_abandoned(entry.path)
    except OSError:
        pass  # not there, or not ours to read: making the folder will say so


def _remove_abandoned(path: str) -> None:
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return
    try:
        fd = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return  # one that is being made or removed
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(Path(path))
    except OSError:
        pass  # its gateway lives
    finally:
        os.close(fd)


def _remove(path: Path) -> None:
    """Only what is made here: files and sockets in the folder, and the folder."""
    try:
        for entry in os.scandir(path):
            os.unlink(entry.path)
        os.rmdir(path)
    except OSError:
        pass  # somebody else has removed it

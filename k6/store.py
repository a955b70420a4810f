"""The store of the limits under the hands of a scenario: a Valkey of its own on a Unix socket, and a program that
delays its answers. Each thing done to them is confirmed before the call returns.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from bench import process, store
from bench.errors import BenchError
from bench.process import Process


class Store:
    """A context. `delays`: milliseconds that answers are held for, in the order in which `next_delay` takes them."""

    def __init__(self, cores: Sequence[int], delays: Sequence[int] = ()) -> None:
        self._cores = cores
        self._delays = delays
        # Not in the folder of the results: the name of a socket may have 107 bytes at most.
        self._folder = Path(tempfile.mkdtemp(prefix="fastgw-k6-"))
        self._socket = self._folder / "store.sock"
        self._front = self._folder / "slow.sock"
        self._server: Process | None = None
        self._delay: Process | None = None
        self._step = 0

    def __enter__(self) -> Store:
        try:
            self.start()
            if self._delays:
                self._start_delay()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._delay is not None:
            process.stop(self._delay)
        if self._server is not None:
            if self._server.popen.poll() is None:
                self._server.popen.send_signal(signal.SIGCONT)
            process.stop(self._server)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"unix://{self._front if self._delays else self._socket}"

    @property
    def _running(self) -> Process:
        if self._server is None or self._server.popen.poll() is not None:
            raise BenchError("the store is not running")
        return self._server

    def start(self) -> None:
        """Empty, whatever was in it before."""
        argv = store.argv(self._socket)
        self._server = process.spawn("store", argv, self._cores, self._folder / "store.log")
        process.wait_until("answering", self._server, self._answers)

    def _start_delay(self) -> None:
        argv = [sys.executable, "-m", "k6.delay", str(self._front), str(self._socket)]
        argv += [str(delay) for delay in self._delays]
        self._delay = process.spawn("delay", argv, self._cores, self._folder / "delay.log")
        process.wait_until("listening", self._delay, self._front.exists)

    def _answers(self) -> bool:
        try:
            return store.ask(self._socket, "PING") == "PONG"
        except BenchError:
            return False

    def empty(self) -> None:
        """All buckets are full again."""
        store.ask(self._socket, "FLUSHALL")

    # --- what happens to it ---

    def halt(self) -> None:
        """It keeps its connections and answers nothing."""
        pid = self._running.pid
        os.kill(pid, signal.SIGSTOP)
        process.wait_until("stopped", self._running, lambda: _state(pid) == "T")

    def go_on(self) -> None:
        self._running.popen.send_signal(signal.SIGCONT)
        process.wait_until("answering", self._running, self._answers)

    def kill(self) -> None:
        popen = self._running.popen
        popen.kill()
        popen.wait(10)

    def next_delay(self) -> None:
        """After the last comes the first."""
        if self._delay is None:
            raise BenchError("this store has no delay")
        self._step += 1
        os.kill(self._delay.pid, signal.SIGUSR1)
        process.wait_until("at its next delay", self._delay, _says_step(self._delay, self._step))


def _says_step(delay: Process, step: int) -> Callable[[], bool]:
    return lambda: f"step {step}:" in delay.tail()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

"""Starts the rig, talks to it, and leaves no process behind."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

RIG = Path(__file__).with_name("rig.py")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_until(condition: Callable[[], bool], within: float = 5.0) -> float:
    """For what the kernel offers no event for (the state of another process); returns how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within, "it did not happen in time"
        select.select([], [], [], 0.005)
    return time.monotonic() - started


def wait_gone(pid: int, within: float = 5.0) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    gone = bool(poll.poll(within * 1000))
    os.close(fd)
    assert gone, f"process {pid} still lives"


class Talk:
    """One connection that speaks lines."""

    def __init__(self, address: int | str) -> None:
        if isinstance(address, int):
            self.sock = socket.create_connection(("127.0.0.1", address), timeout=5)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(5)
            try:
                self.sock.connect(address)
            except OSError:
                self.sock.close()
                raise
        self.file = self.sock.makefile("rw")

    def say(self, text: str) -> None:
        self.file.write(text + "\n")
        self.file.flush()

    def ask(self, text: str) -> str:
        self.say(text)
        return self.file.readline().strip()

    def close(self) -> None:
        try:
            self.file.close()
        except OSError:
            pass  # what could not be sent any more
        self.sock.close()


class Rig:
    def __init__(self, folder: Path, env: dict[str, str] | None = None, **told: Any) -> None:
        self.port = free_port()
        self.admin = free_port()
        told.setdefault("listeners", [f"127.0.0.1:{self.port}"])
        told.setdefault("admin", f"127.0.0.1:{self.admin}")
        self.talks: list[Talk] = []
        self.errors = folder / f"stderr-{self.port}.txt"
        self.output = folder / f"stdout-{self.port}.txt"
        with self.errors.open("ab") as errors, self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(RIG), json.dumps(told)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    def talk(self, address: int | str | None = None) -> Talk:
        """Closed at the end of the test. Without an address: to the data plane."""
        self.talks.append(Talk(self.port if address is None else address))
        return self.talks[-1]

    def ready(self) -> Rig:
        try:
            wait_until(lambda: "admin on" in self.said() or self.process.poll() is not None, 10)
            assert self.process.poll() is None
        except AssertionError:
            raise AssertionError(f"did not start: {self.said()}") from None
        return self

    def said(self) -> str:
        return self.errors.read_text()

    def heard(self, text: str, within: float = 5.0) -> float:
        try:
            return wait_until(lambda: text in self.said(), within)
        except AssertionError:
            raise AssertionError(f"never said {text!r}: {self.said()}") from None

    def ask(self, text: str) -> str:
        talk = Talk(self.port)
        try:
            return talk.ask(text)
        finally:
            talk.close()

    def who(self) -> tuple[int, int, int, str]:
        index, pid, version, state = self.ask("who").split()
        return int(index), int(pid), int(version), state

    def control(self, text: str) -> Any:
        talk = Talk(self.admin)
        try:
            return json.loads(talk.ask(text))
        finally:
            talk.close()

    def children(self) -> set[int]:
        """All of them, zombies excepted."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        found = {int(each) for each in text.split()}
        return {pid for pid in found if state(pid) not in {"Z", ""}}

    def pids(self, count: int = 2) -> dict[int, int]:
        """Worker index -> pid, from connections until every worker has answered."""
        found: dict[int, int] = {}

        def look() -> bool:
            index, pid, _, _ = self.who()
            found[index] = pid
            return len(found) == count

        wait_until(look)
        return found

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGINT, within: float = 8.0) -> int:
        self.send(number)
        return self.process.wait(within)

    def refused(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return True
        return False


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    started: list[Rig] = []

    def start(**told: Any) -> Rig:
        started.append(Rig(tmp_path, **told))
        return started[-1]

    yield start
    for each in started:
        for talk in each.talks:
            talk.close()
        # The session of each rig is its own, and holds nothing but its processes.
        try:
            os.killpg(each.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        each.process.wait(5)

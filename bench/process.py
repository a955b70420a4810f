"""Starting and stopping programs: pinned, in their own session, ended with us whatever happens to us.

Knows nothing of what it starts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import cpu
from bench.errors import BenchError

NICE = -10  # where we are root
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Process:
    name: str
    popen: subprocess.Popen[bytes]
    output: Path  # stdout and stderr

    @property
    def pid(self) -> int:
        return self.popen.pid

    def tail(self) -> str:
        """The last lines it wrote: what an operator would look at first."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-15:])


def pinned(argv: Sequence[str], cores: Sequence[int], nice: int = NICE) -> list[str]:
    """The command line, bound to cores, and to us: the kernel sends TERM when the bench dies, even by -9."""
    prefix = ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", ",".join(map(str, cores))]
    if os.geteuid() == 0:
        # All sides, load and upstream alike, before whatever else the machine happens to do.
        prefix = ["nice", "-n", str(nice), *prefix]
    return [*prefix, *argv]


def prefer(pid: int, nice: int = NICE) -> None:
    """The same for the session: with autogroups (sched(7)) nice only ranks the processes of one session."""
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
    except OSError:
        return  # no autogroups here, or not root: measured beside whatever else runs


def spawn(
    name: str,
    argv: Sequence[str],
    cores: Sequence[int],
    output: Path,
    environ: Mapping[str, str] | None = None,
) -> Process:
    with output.open("ab") as sink:
        popen = subprocess.Popen(
            pinned(argv, cores),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd=ROOT,
            env=None if environ is None else {**os.environ, **environ},
            start_new_session=True,
        )
    prefer(popen.pid)
    return Process(name, popen, output)


def stop(process: Process, timeout: float = 10.0) -> None:
    """TERM to the root; what is left of its tree after the time-out is killed (those pids only)."""
    if process.popen.poll() is not None:
        return
    tree = {pid: _started(pid) for pid in cpu.process_tree(process.pid)}
    process.popen.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + timeout
    try:
        process.popen.wait(timeout)
    except subprocess.TimeoutExpired:
        process.popen.kill()
        process.popen.wait()
    while (left := [pid for pid, start in tree.items() if start and _started(pid) == start]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.02)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _started(pid: int) -> int:
    """Start time of a process, 0 when it is gone (or only waits to be reaped)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return 0 if text.rpartition(")")[2].split()[0] == "Z" else cpu.parse_stat(text)[4]


def run(argv: Sequence[str], cores: Sequence[int], timeout: float) -> str:
    """Run a load driver to its end; its standard output."""
    popen = subprocess.Popen(
        pinned(argv, cores),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    prefer(popen.pid)
    try:
        output, errors = popen.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{argv[0]} did not end within {timeout:.0f} s") from error
    finally:
        if popen.poll() is None:
            popen.kill()
            popen.wait()
    if popen.returncode:
        raise BenchError(f"{argv[0]} ended with {popen.returncode}: {errors.strip() or output.strip()}")
    return output


def free_port() -> int:
    """A port that was free a moment ago, on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: str, process: Process, ready: Callable[[], bool], timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not ready():
        if process.popen.poll() is not None:
            code = process.popen.returncode
            raise BenchError(f"{process.name} ended with {code} before {what}:\n{process.tail()}")
        if time.monotonic() > deadline:
            raise BenchError(f"{process.name}: not {what} within {timeout:.0f} s:\n{process.tail()}")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def sink_argv(port: int) -> list[str]:
    return [sys.executable, "-m", "bench.sink", str(port)]


def open_files(pid: int) -> set[str]:
    found = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    except OSError:
        return found  # it ended
    return found

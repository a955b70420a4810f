"""Gateways without the half of their start that is the same each time: a process that has imported what `fastgw run`
imports before it forks, and forks one whenever it is told. What is forked runs the verb, in a session of its own.

`python -m tests.support.launcher FD` is that process; it ends with whoever holds the other end of its socket.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# As fastgw/cli/run.py does, and no more: control imports its own.
IMPORTED = (
    "fastgw.cli.main",
    "fastgw.cli.run",
    "fastgw.gateway.document.load",
    "fastgw.gateway.document.publish",
    "fastgw.supervisor.real",
    "fastgw.supervisor.start",
)
LONGEST = 1 << 18  # of a message: it holds the environment


class Launched:
    """A gateway, to its caller what a Popen is."""

    def __init__(self, launcher: Launcher, pid: int) -> None:
        self._launcher = launcher
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._launcher.ask(what="code", pid=self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"gateway {self.pid}", timeout)
            time.sleep(0.005)
        return code


class Launcher:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            os.set_inheritable(theirs.fileno(), True)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.launcher", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self.close)

    def close(self) -> None:
        self._socket.close()
        self._process.wait(5)

    def launch(self, arguments: Sequence[str], directory: Path, env: Mapping[str, str], output: int) -> Launched:
        """`fastgw ARGUMENTS` in that directory; both its outputs go to the file."""
        pid = self.ask(output, what="run", arguments=list(arguments), directory=str(directory), env=dict(env))
        return Launched(self, pid)

    def ask(self, *files: int, **question: Any) -> Any:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(question).encode()], files)
            answer = self._socket.recv(LONGEST)
        assert answer, f"the process that forks gateways ended with {self._process.wait()}"
        return json.loads(answer)


@functools.cache
def launcher() -> Launcher:
    """One for each process of pytest."""
    return Launcher()


# --- the process that forks ---


def serve(sock: socket.socket) -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    while True:
        message, files, _, _ = socket.recv_fds(sock, LONGEST, 1)
        if not message:
            return
        question = json.loads(message)
        if question["what"] == "run":
            pid = os.fork()
            if not pid:
                sock.close()
                os._exit(run(question, files[0]))
            os.close(files[0])
            answer: int | None = pid
        else:
            pid, status = os.waitpid(question["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        sock.send(json.dumps(answer).encode())


def run(question: Mapping[str, Any], output: int) -> int:
    """The gateway, from here to its exit code."""
    os.setsid()
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.chdir(question["directory"])
    os.environ.clear()
    os.environ.update(question["env"])
    sys.argv = ["fastgw", *question["arguments"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        from fastgw.cli.main import main

        main(prog_name="fastgw")
        code: object = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is pytest's, which closes the socket
    serve(socket.socket(fileno=int(sys.argv[1])))

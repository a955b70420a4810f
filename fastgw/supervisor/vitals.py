"""Whether the embedded Valkey answers: one connection, one PING on its way at a time, and nothing that waits."""

from __future__ import annotations

import socket

from fastgw.supervisor.processes import Process, State

# Between two questions to a server that was just started (it needs 45 ms), and for how long they come so often.
_LOOK = 0.005
_EAGER = 1.0

# The answer has 7 bytes. Whoever says more is no server that we know.
_READ = 64


class Vitals:
    """`process` is its place in the table, which the loop alone changes."""

    def __init__(self, socket_path: str, process: Process) -> None:
        self._path = socket_path
        self._process = process
        self._sock: socket.socket | None = None
        self._asked = False
        self._answers = 0
        self._look_at = 0.0

    @property
    def connected(self) -> bool:
        return self._sock is not None

    def fileno(self) -> int:
        return -1 if self._sock is None else self._sock.fileno()

    def due(self) -> float:
        """When `look` has something to do even if nothing is heard."""
        return self._look_at if self._process.state is State.STARTING else float("inf")

    def look(self, now: float) -> bool:
        """Hear what it said. True: it was starting, and has answered for the first time."""
        heard = self._hear()
        if self._process.state is not State.STARTING:
            return False
        if not heard and now >= self._look_at:
            self._ask()
            eager = now - self._process.born_at < _EAGER
            self._look_at = now + _LOOK if eager else float("inf")  # from then on once per tick
        return heard

    def missed(self) -> int:
        """Once per tick: for how many it has not answered. Asks again."""
        if self._process.state not in {State.STARTING, State.SERVING}:
            self._close()
            self._look_at = 0.0  # for the next one
            return 0
        missed = self._process.pulse.beat(self._answers)
        self._ask()
        return missed

    def _ask(self) -> None:
        """Unless the last question was not answered yet."""
        if self._sock is None:
            self._connect()
        if self._sock is None or self._asked:
            return
        try:
            self._asked = self._sock.send(b"PING\r\n") > 0
        except OSError:
            self._close()

    def _hear(self) -> bool:
        if self._sock is None:
            return False
        try:
            data = self._sock.recv(_READ)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data != b"+PONG\r\n":
            self._close()  # it is gone, or it is no server: the next question will tell
            return False
        self._asked = False
        self._answers += 1
        return True

    def _connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # A Unix socket connects at once or not at all.
        if sock.connect_ex(self._path):
            sock.close()
        else:
            self._sock = sock

    def _close(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None
        self._asked = False

"""A store that fails as told: it stands between a gateway and a real Valkey and passes commands and answers on, but for
those that its script takes in hand. One thread a connection; commands are taken strictly in their order."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from tests.support.upstream import IDLE
from tests.support.wire import Cut, Stream, TimedOut, wait_for

SCRIPTED = {b"EVALSHA", b"EVAL", b"SCRIPT"}


class Asked:
    """One command of a gateway's."""

    def __init__(
        self, store: FaultyStore, words: list[bytes], raw: bytes, gateway: Stream, valkey: Stream
    ) -> None:
        self.store = store
        self.words = words
        self.raw = raw
        self._gateway = gateway
        self._valkey = valkey

    @property
    def name(self) -> bytes:
        return self.words[0].upper()

    def forward(self) -> bytes:
        """Let the real one do it; its whole answer."""
        self._valkey.sock.sendall(self.raw)
        return read_reply(self._valkey)

    def send(self, data: bytes) -> None:
        self._gateway.sock.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._gateway.sock.shutdown(socket.SHUT_RDWR)

    def wait_closed(self) -> None:
        """Read and forget until the gateway closes."""
        with contextlib.suppress(Cut, TimedOut, OSError):
            while self._gateway.some():
                pass


Script = Callable[[Asked], None]


def passing(asked: Asked) -> None:
    asked.send(asked.forward())


def answering(data: bytes, names: set[bytes] | None = None) -> Script:
    """These bytes instead of an answer, to those commands (None: to each)."""

    def script(asked: Asked) -> None:
        if names is None or asked.name in names:
            asked.send(data)
        else:
            passing(asked)

    return script


def halving(then_close: bool) -> Script:
    """Half of each real answer to a decision, then nothing, or the end."""

    def script(asked: Asked) -> None:
        reply = asked.forward()
        if asked.name not in SCRIPTED:
            return asked.send(reply)
        asked.send(reply[: len(reply) // 2])
        if not then_close:
            asked.wait_closed()
        return asked.close()

    return script


def silent(asked: Asked) -> None:
    asked.wait_closed()
    asked.close()


def closing(asked: Asked) -> None:
    asked.close()


def held(gate: threading.Event) -> Script:
    """Decisions are made and answered when the gate opens; all else passes."""

    def script(asked: Asked) -> None:
        if asked.name in SCRIPTED:
            gate.wait(30)
        passing(asked)

    return script


class FaultyStore:
    """Listens at once; `url` is what goes into the document."""

    def __init__(self, valkey_socket: Path) -> None:
        self.script: Script = passing
        self.asked: list[bytes] = []  # the names of all commands, in order
        self.errors: list[str] = []
        self.opened = 0
        self._valkey_socket = valkey_socket
        self._directory = Path(tempfile.mkdtemp(prefix="fastgw-store-"))
        self._numbers = itertools.count()
        self._open: dict[int, socket.socket] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._directory / "store.sock"))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True, name="store-accept").start()

    @property
    def url(self) -> str:
        return f"unix://{self._directory / 'store.sock'}"

    @property
    def open(self) -> int:
        """Connections of gateways that are open now."""
        return len(self._open)

    def decisions(self) -> int:
        """How often it was asked to decide."""
        return self.asked.count(b"EVALSHA")  # EVAL is control's, which says that this gateway lives

    def wait_asked(self, more_than: int, timeout: float = 5.0) -> None:
        wait_for(lambda: self.decisions() > more_than, timeout, "a question to the store", every=0.001)

    def drop(self) -> None:
        """Reset nothing, but end every connection that is open."""
        for sock in list(self._open.values()):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.opened += 1
            number = next(self._numbers)
            self._open[number] = sock
            threading.Thread(target=self._serve, args=(number, sock), daemon=True, name="store").start()

    def _serve(self, number: int, sock: socket.socket) -> None:
        behind = socket.socket(socket.AF_UNIX)
        try:
            behind.connect(str(self._valkey_socket))
            gateway, valkey = Stream(sock, IDLE), Stream(behind, IDLE)
            while gateway.buffer or gateway.fill():
                words, raw = read_command(gateway)
                self.asked.append(words[0].upper())
                self.script(Asked(self, words, raw, gateway, valkey))
        except ValueError as error:
            self.errors.append(f"the gateway sent {error}")
        except (Cut, TimedOut, OSError):
            pass
        finally:
            sock.close()
            behind.close()
            del self._open[number]


def read_command(stream: Stream) -> tuple[list[bytes], bytes]:
    """(the words of one command, its bytes)."""
    line = stream.until(b"\r\n")
    if line[:1] != b"*":
        raise ValueError(line)
    raw, words = line, []
    for _ in range(int(line[1:])):
        line = stream.until(b"\r\n")
        if line[:1] != b"$":
            raise ValueError(line)
        word = stream.exactly(int(line[1:]) + 2)
        words.append(word[:-2])
        raw += line + word
    return words, raw


def read_reply(stream: Stream) -> bytes:
    """The bytes of one answer, RESP2 or RESP3."""
    line = stream.until(b"\r\n")
    kind, count = line[:1], line[1:-2]
    if kind in b"$=!" and int(count) >= 0:
        return line + stream.exactly(int(count) + 2)
    if kind in b"*~>%" and int(count) > 0:
        return line + b"".join(read_reply(stream) for _ in range(int(count) * (2 if kind == b"%" else 1)))
    return line

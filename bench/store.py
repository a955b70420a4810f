"""The server that the limits of one side live in: its own, beside load and upstream, so that its CPU time can be told
from the gateway's; and what it counted.

Speaks just enough RESP for INFO.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import cpu, tools
from bench.errors import BenchError
from bench.process import Process

_CALLS = re.compile(r"^cmdstat_([\w|]+):calls=(\d+)", re.MULTILINE)
# What a script itself calls is counted under its own name as well: these are what clients send to run one.
SCRIPTS = ("evalsha", "eval", "fcall")


def argv(socket_path: Path) -> list[str]:
    return [
        *(
            tools.path_of(tools.STORE),
            "--port",
            "0",
            "--unixsocket",
            str(socket_path),
            "--unixsocketperm",
            "700",
        ),
        *("--save", "", "--appendonly", "no", "--dir", str(socket_path.parent)),
    ]


@dataclass(frozen=True)
class Store:
    process: Process
    socket_path: Path

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}"

    def answers(self) -> bool:
        try:
            return ask(self.socket_path, "PING") == "PONG"
        except BenchError:
            return False

    def sample(self) -> cpu.Sample:
        return cpu.read_sample(self.process.pid)

    def calls(self) -> dict[str, int]:
        return parse_calls(ask(self.socket_path, "INFO commandstats"))

    def decisions(self) -> int:
        """Commands that clients sent to decide something, or to announce themselves (one in 3 s)."""
        return scripts(self.calls())


def parse_calls(text: str) -> dict[str, int]:
    return {name: int(calls) for name, calls in _CALLS.findall(text)}


def scripts(calls: Mapping[str, int]) -> int:
    return sum(calls.get(name, 0) for name in SCRIPTS)


def ask(socket_path: Path, command: str) -> str:
    """The answer to one command: a line, or a bulk string."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(socket_path))
            sock.sendall(command.encode() + b"\r\n")
            with sock.makefile("rb") as file:
                line = file.readline().decode().rstrip("\r\n")
                if line.startswith("$"):
                    return file.read(int(line[1:])).decode()
    except (OSError, ValueError) as error:
        raise BenchError(f"{socket_path}: {command}: {error}") from error
    if not line.startswith("+"):
        raise BenchError(f"{socket_path}: {command}: {line}")
    return line[1:]

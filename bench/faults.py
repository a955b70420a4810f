"""Services that fail as told, behind the sides: started, told, and asked what they met.

They are `python -m fastgw.cli.faults`, a process of its own; nothing of the gateway is imported here.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import process
from bench.errors import BenchError
from bench.process import Process

OK = {"mode": "ok"}
REFUSE = {"mode": "refuse"}
BLACK_HOLE = {"mode": "blackhole"}  # SYNs are dropped
STALL = {"mode": "stall"}
DRIP = {"mode": "drip", "interval": 1}
SAYS_503 = {"mode": "status", "status": 503}
RESET = {"mode": "cut", "at": "head", "how": "reset"}  # a request is counted, and gets a reset


@dataclass(frozen=True)
class Faults:
    process: Process
    addresses: Mapping[str, str]  # name -> host:port
    control: str

    def tell(self, name: str, order: Mapping[str, object]) -> None:
        """See fastgw/cli/faults/orders.py for what there is to say."""
        self._ask("PUT", name, order)

    def restore(self) -> None:
        """All answer again, and nothing has been counted."""
        self._ask("DELETE", "")

    def counts(self, name: str) -> dict[str, Any]:
        return self._ask("GET", name)

    def requests(self) -> int:
        """That reached any of them since the counts began; health checks are not among them."""
        return sum(int(self.counts(name)["requests"]) for name in self.addresses)

    def doubles(self) -> dict[str, int]:
        """Method -> requests that came a second time, at the same service or another."""
        found: dict[str, int] = self.counts(next(iter(self.addresses)))["deliveries"]["doubles"]
        return found

    def _ask(self, method: str, name: str, told: Mapping[str, object] | None = None) -> dict[str, Any]:
        url = f"http://{self.control}/_fault/{name}"
        data = None if told is None else json.dumps(told).encode()
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, data=data, method=method), timeout=10
            ) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise BenchError(f"{method} {url} {told}: {error.code} {error.read().decode()}") from error
        except (OSError, ValueError) as error:
            raise BenchError(f"{method} {url}: {error}") from error


def argv(names: Sequence[str]) -> list[str]:
    found = [sys.executable, "-m", "fastgw.cli.faults", "--control", "127.0.0.1:0"]
    for name in names:
        found += ["--listen", f"{name}=127.0.0.1:0"]
    return found


def said(output: Path) -> dict[str, Any] | None:
    """The line of JSON with the addresses; None before it is there."""
    for line in output.read_text(errors="replace").splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            found: dict[str, Any] = json.loads(line)
            return found
    return None


def started(running: Process) -> Faults:
    """Once it has said where it listens."""
    process.wait_until("listening", running, lambda: said(running.output) is not None)
    found = said(running.output)
    if found is None:
        raise BenchError(f"{running.name} does not say where it listens")
    return Faults(running, found["targets"], found["control"])

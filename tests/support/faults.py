"""Services that fail as told (fastgw.cli.faults), in a process of their own, for tests that block."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# How a target fails, by a word for the name of a test, and the ways to balance it is put beside a good one with.
FAULTS: dict[str, dict[str, object]] = {
    "dead": {"mode": "refuse"},
    "cuts": {"mode": "cut", "at": "read", "how": "close"},
    "resets": {"mode": "cut", "at": "head", "how": "reset"},
    "garbles": {"mode": "garbage"},
    "drips": {"mode": "drip", "at": "head", "interval": 0.1},
    "stalls": {"mode": "stall"},
    "vanishes": {"mode": "blackhole"},
    "errs": {"mode": "status", "status": 502},
}
WAYS = ("p2c", "round_robin", "least_requests", "hash")


class FaultProcess:
    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fastgw.cli.faults", "--control", "127.0.0.1:0", *arguments],
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        self.addresses: dict[str, str] = said["targets"]
        self._control: str = said["control"]

    def url(self, name: str) -> str:
        return f"http://{self.addresses[name]}"

    def tell(self, name: str, mode: str, **keys: Any) -> dict[str, Any]:
        """`seconds` for the key `for`, which is no name in Python."""
        if "seconds" in keys:
            keys["for"] = keys.pop("seconds")
        return self._ask("PUT", name, {"mode": mode, **keys})

    def counts(self, name: str) -> dict[str, Any]:
        return self._ask("GET", name)

    def restart_counts(self) -> None:
        """All are ok again, and counted from nothing."""
        self._ask("DELETE", "")

    def _ask(self, method: str, name: str, told: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if told is None else json.dumps(told).encode()
        asked = urllib.request.Request(f"http://{self._control}/_fault/{name}", data=data, method=method)
        with urllib.request.urlopen(asked, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=5)


@contextmanager
def fault_process(*arguments: str) -> Iterator[FaultProcess]:
    """`fault_process("--listen", "a=127.0.0.1:0")`"""
    process = FaultProcess(*arguments)
    try:
        yield process
    finally:
        process.close()

"""One run of k6 against one side: its input, its command line, its summary."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import backend, process, tools
from bench.errors import BenchError
from bench.load import bodies, traffic
from k6 import summary
from k6.scenario import Scenario
from k6.summary import Round

THRESHOLD_EXIT = 99  # k6 ended well, but a threshold did not hold
# Below the sides (-10), above the rest of the machine: k6 takes what the gateway leaves of its core. On one core
# with the upstream, its own scheduling is all that p99 shows.
LOAD_NICE = -5
BODY_BYTES = 1 << 20
# k6 shares its core with the upstream; its garbage collector, at the default, is most of the p99 that it reports.
QUIET_RUNTIME = {"GOGC": "1000"}


@dataclass(frozen=True)
class Inputs:
    """Files that the scripts read: requests with the answers they must get, and a body."""

    requests: Path
    body: Path
    digest: str


def plain_headers(index: int) -> dict[str, str]:
    return dict(traffic.headers(index))


def prepare(
    folder: Path, upstream_files: Path, headers: Callable[[int], dict[str, str]] = plain_headers
) -> Inputs:
    requests = folder / "requests.json"
    rows = [
        {"target": target, "headers": headers(index), "body": backend.answer_to(target)}
        for index, target in enumerate(traffic.paths())
    ]
    requests.write_text(json.dumps(rows))
    body = bodies.make_file(upstream_files / "1m", BODY_BYTES)
    return Inputs(requests, body, hashlib.sha256(body.read_bytes()).hexdigest())


def command(
    scenario: Scenario,
    port: int,
    seconds: int,
    inputs: Inputs,
    summary_file: Path,
    more: Mapping[str, str] | None = None,
) -> list[str]:
    values = {
        "BASE": f"http://127.0.0.1:{port}",
        "RATE": str(scenario.rate),
        "SECONDS": str(seconds),
        "VUS": str(scenario.virtual_users),
        "DATA": str(inputs.requests),
        "BODY": str(inputs.body),
        "DIGEST": inputs.digest,
        "SUMMARY": str(summary_file),
        **(more or {}),
    }
    argv = [
        tools.path_of("k6"),
        "run",
        "--quiet",
        "--no-color",
        "--no-usage-report",
        "--address",
        "127.0.0.1:0",
    ]
    for name, value in values.items():
        argv += ["-e", f"{name}={value}"]
    return [*argv, str(scenario.script)]


@dataclass(frozen=True)
class Driver:
    folder: Path
    cores: tuple[int, ...]
    inputs: Inputs
    more: Mapping[str, str] = field(default_factory=dict)  # values that only some scripts ask for

    def start(
        self, scenario: Scenario, port: int, seconds: int, more: Mapping[str, str] | None = None
    ) -> Run:
        file = self.folder / "summary.json"
        file.unlink(missing_ok=True)
        argv = command(scenario, port, seconds, self.inputs, file, {**self.more, **(more or {})})
        log = self.folder / "k6.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                process.pinned(argv, self.cores, LOAD_NICE),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **QUIET_RUNTIME},
                start_new_session=True,
            )
        process.prefer(popen.pid, LOAD_NICE)
        return Run(popen, file, log, seconds)


@dataclass(frozen=True)
class Run:
    popen: subprocess.Popen[bytes]
    file: Path
    log: Path
    seconds: int

    def finish(self) -> Round:
        return summary.read(self.document())

    def document(self) -> Mapping[str, Any]:
        """The whole summary, once k6 has ended."""
        try:
            code = self.popen.wait(self.seconds + 60)
        except subprocess.TimeoutExpired as error:
            self.popen.kill()
            self.popen.wait()
            raise BenchError("k6 did not end") from error
        if code not in (0, THRESHOLD_EXIT) or not self.file.exists():
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
            raise BenchError(f"k6 ended with {code}:\n{tail}")
        found: Mapping[str, Any] = json.loads(self.file.read_text())
        return found

    def abandon(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()

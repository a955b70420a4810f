"""What one request, plain or through the whole chain, does in a worker. No times.

Three runs of the same load: counted calls of the loop and of logging (bench.counting), strace -c on the worker, and
every Python call by name. Fails when a task, a future, a timer or a log call happens per request.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import admin, report, tools
from bench.cases.chain import WHOLE
from bench.errors import BenchError
from bench.load import tokens, traffic
from bench.load.wrk import Load, Wrk
from bench.setting import OURS, Setting
from bench.sides import fastgw
from bench.world import Instance, Wanted, World

PER_REQUEST_BOUND = 0.05  # ticks, batches of the log and new connections happen too; per request is near one
FORBIDDEN = (
    *("create_task", "create_future", "call_later", "call_at", "run_in_executor", "logging"),
    *("asyncio.timeout", "asyncio.timeout_at", "asyncio.wait_for"),
)
_STRACE_LINE = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$")


def parse_strace(text: str) -> dict[str, int]:
    """Calls by name from `strace -c`."""
    found = {}
    for line in text.splitlines():
        match = _STRACE_LINE.match(line)
        if match and match.group(2) != "total":
            found[match.group(2)] = int(match.group(1))
    return found


def broken(per_request: Mapping[str, float]) -> dict[str, float]:
    return {name: per_request[name] for name in FORBIDDEN if per_request.get(name, 0) > PER_REQUEST_BOUND}


def worker_of(instance: Instance) -> int:
    return int(admin.status(instance.plan.admin_port)["workers"][0]["pid"])


def _read(folder: Path, pid: int) -> dict[str, dict[str, int]]:
    path = folder / f"{pid}.json"
    if not path.exists():
        raise BenchError(f"process {pid} counted nothing: the counting does not reach its loop")
    found: dict[str, dict[str, int]] = json.loads(path.read_text())
    return found


@dataclass(frozen=True)
class Subject:
    """What is profiled."""

    name: str
    wanted: Wanted
    load: Load


PLAIN, CHAIN = "plain", "chain"


def subject(name: str) -> Subject:
    if name == CHAIN:
        return Subject(name, Wanted(OURS, OURS, policies=WHOLE), Load(traffic.paths(), bearer=tokens.good()))
    return Subject(name, Wanted(OURS, OURS), Load(traffic.paths()))


def _load(world: World, instance: Instance, what: Subject, seconds: float) -> int:
    return Wrk(world.folder, world.cores.load).run(instance.port, what.load, seconds).requests


def _counted(setting: Setting, what: Subject, frames: bool, seconds: float) -> tuple[dict[str, float], float]:
    """Calls (or frames) per request of the worker, and over how many requests."""
    with setting.world("profile") as world:
        folder = world.folder / "counts"
        instance = world.start(what.wanted, partial(fastgw.write_counted, counts=folder, frames=frames))
        _load(world, instance, what, 1)
        worker = worker_of(instance)
        time.sleep(1.5)  # longer than the counts may be old
        first = _read(folder, worker)
        requests = _load(world, instance, what, seconds)
        time.sleep(1.5)
        last = _read(folder, worker)
    kind = "frames" if frames else "calls"
    names = last[kind]
    if not names:
        raise BenchError("not even the worker's own tick was counted: the counting does not reach its loop")
    return {name: (names[name] - first[kind].get(name, 0)) / requests for name in names}, requests


def _syscalls(setting: Setting, what: Subject, seconds: float) -> dict[str, float]:
    with setting.world("profile") as world:
        instance = world.start(what.wanted)
        _load(world, instance, what, 1)
        worker = worker_of(instance)
        output = world.folder / "strace.txt"
        argv = [tools.path_of("strace"), "-c", "-f", "-o", str(output), "-p", str(worker)]
        tracer = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            time.sleep(0.5)
            if tracer.poll() is not None:
                message = tracer.stderr.read().decode() if tracer.stderr else ""
                setting.say(f"no system calls: {message.strip()}")
                return {}
            requests = _load(world, instance, what, seconds)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=10)
        return {name: calls / requests for name, calls in parse_strace(output.read_text()).items()}


def _table(title: str, per_request: Mapping[str, float], floor: float) -> None:
    rows = sorted(per_request.items(), key=lambda pair: -pair[1])
    print(f"\n{title}")
    print(
        report.grid(["what", "a request"], [[name, f"{value:.4f}"] for name, value in rows if value >= floor])
    )


def run(setting: Setting, name: str) -> int:
    what = subject(name)
    seconds = 1.0 if setting.quick else 3.0
    calls, requests = _counted(setting, what, frames=False, seconds=seconds)
    _table(
        f"calls of the event loop and of logging in the worker, over {requests:,.0f} {name} requests",
        calls,
        0,
    )
    syscalls = _syscalls(setting, what, seconds)
    if syscalls:
        _table("system calls of the worker (strace -c)", syscalls, 0.001)
    frames, _ = _counted(setting, what, frames=True, seconds=seconds)
    _table("Python functions and built-ins called in the worker", frames, PER_REQUEST_BOUND)
    path = setting.folder.parent / "profile.json"
    report.save(
        path, {"what": name, "requests": requests, "calls": calls, "syscalls": syscalls, "frames": frames}
    )
    print(f"\nprofile: {path}")
    over = broken(calls)
    if over:
        named = ", ".join(f"{value:.2f} {name}" for name, value in over.items())
        print(f"NOT HELD: per request there is {named}")
        return 1
    print("held: no task, future, timer, timeout or log call per request")
    return 0

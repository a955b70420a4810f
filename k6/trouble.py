"""What happens to a side while k6 loads it: reloads, publishes, killed workers, and (for --break) a stalled gateway.

Every event is confirmed by the side itself before the next: an event that did not happen would look like a success.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from bench import admin, cpu
from bench.errors import BenchError
from bench.publishing import Publisher
from bench.setting import OURS
from bench.world import Instance

CONFIRM_SECONDS = 5.0
POLL_SECONDS = 0.005
STALL_SECONDS = 1.5


def workers(instance: Instance) -> set[int]:
    """Pids of the processes that serve."""
    if instance.wanted.kind == OURS:
        return {
            int(worker["pid"])
            for worker in admin.status(instance.plan.admin_port)["workers"]
            if worker["pid"]
        }
    found = set()
    for pid in cpu.process_tree(instance.process.pid)[1:]:
        with contextlib.suppress(OSError):
            if b"worker process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


def wait_for(what: str, done: Callable[[], bool], within: float = CONFIRM_SECONDS) -> float:
    """Seconds until `done`."""
    begin = time.monotonic()
    while not done():
        if time.monotonic() - begin > within:
            raise BenchError(f"{what}: not within {within:.0f} s")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - begin


def changed_config(kind: str, original: str, number: int) -> str:
    """The configuration with one more route, another one each time."""
    if kind == OURS:
        return original + f"  - {{name: extra, match: {{path: /extra-{number}/*}}, upstream: backend}}\n"
    end = original.rindex("  }\n}")
    return original[:end] + f"    location /extra-{number}/ {{ return 204; }}\n" + original[end:]


def serve(instance: Instance, text: str) -> float:
    """Reload with this configuration; seconds until it is served by all workers."""
    instance.command.config.write_text(text)
    if instance.wanted.kind == OURS:
        before = admin.status(instance.plan.admin_port)["version"]
        os.kill(instance.process.pid, signal.SIGHUP)
        return admin.wait_for_version(instance.plan.admin_port, before, CONFIRM_SECONDS)
    old = workers(instance)
    os.kill(instance.process.pid, signal.SIGHUP)
    return wait_for("reload of nginx", lambda: len(workers(instance) - old) == instance.wanted.workers)


def _reload_once(instance: Instance, original: str, number: int) -> float:
    return serve(instance, changed_config(instance.wanted.kind, original, number))


def evenly(count: int, seconds: float, act: Callable[[int], float]) -> list[float]:
    """What each of them took, spread over the time; they are counted from 1."""
    begin = time.monotonic()
    took = []
    for number in range(count):
        time.sleep(max(0.0, begin + seconds * number / count - time.monotonic()))
        took.append(act(number + 1))
    return took


def reloads(instance: Instance, count: int, seconds: float) -> list[float]:
    """Seconds until each was served."""
    original = instance.command.config.read_text()
    try:
        return evenly(count, seconds, lambda number: _reload_once(instance, original, number))
    finally:
        instance.command.config.write_text(original)


def publishes(instance: Instance, count: int, seconds: float) -> list[float]:
    """The same through the admin API, where there is one: nginx reloads."""
    if instance.wanted.kind != OURS:
        return reloads(instance, count, seconds)
    with Publisher(instance.plan.admin_port) as publisher:
        return evenly(count, seconds, lambda number: publisher.put("/api/routes/extra", changed_route(number)))


def changed_route(number: int) -> dict[str, object]:
    """As in the file that is reloaded."""
    return {"match": {"path": f"/extra-{number}/*"}, "upstream": "backend"}


def kills(instance: Instance, count: int, seconds: float) -> list[float]:
    """Seconds until each killed worker had its successor."""
    return evenly(count, seconds, lambda _: _kill_once(instance))


def _kill_once(instance: Instance) -> float:
    before = workers(instance)
    os.kill(min(before), signal.SIGKILL)
    return wait_for("successor of a killed worker", _replaced(instance, before))


def _replaced(instance: Instance, before: set[int]) -> Callable[[], bool]:
    def done() -> bool:
        now = workers(instance)
        return len(now - before) == 1 and len(now) == len(before)

    return done


def stall(instance: Instance) -> None:
    """Stop all processes of the gateway for a while.

    What waits meanwhile must break the latency thresholds.
    """
    pids = instance.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(STALL_SECONDS)
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

"""10,000 routes: how long `check` takes, and how long a reload with one changed route holds a worker's thread.

Our side only. The gateway runs under bench.counting, which notes the CPU time of long callbacks of the loop.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from bench import admin, stats
from bench.errors import BenchError, VoidError
from bench.load import traffic
from bench.load.wrk import Load, Wrk
from bench.process import ROOT
from bench.results import CaseResult, Goal, Row, Verdict
from bench.setting import OURS, Setting
from bench.sides import fastgw
from bench.world import Instance, Wanted

ROUTES = 10_000
CALLBACK_MS = Goal(5.0, 2.0)
CHECK_SECONDS = Goal(3.0, 2.0)
SERVED_WITHIN = 30.0
COUNTS_AGE = 1.5  # longer than the counts in the file may be old


def check_seconds(config: Path) -> float:
    begin = time.monotonic()
    argv = [sys.executable, "-m", "fastgw", "check", str(config)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise VoidError(
            f"check of {ROUTES} routes ended with {done.returncode}: {(done.stdout + done.stderr)[:400]}"
        )
    return time.monotonic() - begin


def longest_ms(folder: Path, pid: int, since: float) -> tuple[float, str]:
    """The longest callback of a process since a moment, and its name."""
    path = folder / f"{pid}.json"
    if not path.exists():
        raise BenchError(f"process {pid} counted nothing: the counting does not reach its loop")
    found = [(used * 1000, name) for at, used, name in json.loads(path.read_text())["long"] if at >= since]
    return max(found, default=(0.0, "none"))


def _one_reload(instance: Instance, counts: Path, number: int) -> tuple[dict[str, float], str]:
    config = instance.command.config
    text = config.read_text()
    lines = text.splitlines(keepends=True)
    lines[-1] = lines[-1].replace("upstream: backend", f"upstream: backend, max_body: {number}MB")
    found = admin.status(instance.plan.admin_port)
    pid = int(found["workers"][0]["pid"])
    config.write_text("".join(lines))
    since = time.monotonic()
    os.kill(instance.process.pid, signal.SIGHUP)
    served = admin.wait_for_version(instance.plan.admin_port, int(found["version"]), SERVED_WITHIN)
    config.write_text(text)
    time.sleep(COUNTS_AGE)
    longest, name = longest_ms(counts, pid, since)
    return {"served s": served, "longest callback ms": longest}, name


def run(setting: Setting) -> list[CaseResult]:
    if not setting.with_ours:
        return []
    with setting.world("reload") as world:
        counts = world.folder / "counts"
        instance = world.start(
            Wanted(OURS, OURS, routes=ROUTES), partial(fastgw.write_counted, counts=counts, frames=False)
        )
        load = Load(traffic.routed_paths(ROUTES))
        Wrk(world.folder, world.cores.load).run(instance.port, load, 1.0)
        rounds, names = [], set()
        for number in range(setting.rounds):
            check = check_seconds(instance.command.config)
            figures, name = _one_reload(instance, counts, number + 1)
            rounds.append(figures | {"check s": check})
            names.add(name)
            setting.say(
                f"round {number + 1}/{setting.rounds}: longest {figures['longest callback ms']:.2f} ms in {name}"
            )
    medians = {column: stats.median([one[column] for one in rounds]) for column in rounds[0]}
    worst = max(one["longest callback ms"] for one in rounds)
    row = Row(OURS, medians, None, tuple(rounds))
    title = f"reload of {ROUTES:,} routes with one changed (counted: slower than in life)"
    result = CaseResult(
        "reload", title, "none", [row], notes=[f"longest callbacks: {', '.join(sorted(names))}"]
    )
    result.verdicts.append(Verdict("longest callback, CPU time", worst, "ms", CALLBACK_MS))
    result.verdicts.append(Verdict("check", medians["check s"], "s", CHECK_SECONDS))
    return [result]

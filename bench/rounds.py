"""Interleaved rounds of small requests: CPU time of each side, of its store, and what each row of a table says.

A trial is one row: a load on an instance. Several trials may share an instance.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import cpu, process, stats
from bench.errors import VoidError
from bench.load.wrk import Load, Wrk
from bench.results import Row
from bench.setting import Setting
from bench.world import Instance, World

Rounds = dict[str, list[dict[str, float]]]

LOG_PATIENCE = 12.0  # Envoy writes its log every 10 s
WARM_SECONDS = 1.0


@dataclass(frozen=True)
class Trial:
    label: str
    instance: Instance
    load: Load


@dataclass
class Measured:
    rounds: Rounds
    processes: dict[str, dict[str, float]]  # side -> process -> us per request, over all rounds

    def notes(self, label: str) -> list[str]:
        if label not in self.processes:
            return []
        shares = sorted(self.processes[label].items(), key=lambda pair: -pair[1])
        return [f"{label} by process: " + ", ".join(f"{name} {used:.2f} us" for name, used in shares)]


def one_round(trial: Trial, wrk: Wrk, seconds: float, with_store: bool) -> dict[str, float]:
    instance, limits = trial.instance, trial.instance.store
    asked = limits.decisions() if limits else 0
    stored = limits.sample() if limits else {}
    before, begin = instance.sample(), time.monotonic()
    result = wrk.run(instance.port, trial.load, seconds)
    wall = time.monotonic() - begin
    used = cpu.between(before, instance.sample())
    micro = 1e6 / result.requests
    figures = {"user us": used.user * micro, "kernel us": used.kernel * micro, "total us": used.total * micro}
    if with_store:
        store_us = cpu.between(stored, limits.sample()).total * micro if limits else 0.0
        commands = limits.decisions() - asked if limits else 0
        figures |= {
            "store us": store_us,
            "with store us": figures["total us"] + store_us,
            "commands/1000": commands * 1000 / result.requests,
        }
    return figures | {
        "req/s": result.rate,
        "cores busy": used.total / wall,
        "p50 ms": result.p50_us / 1000,
        "p99 ms": result.p99_us / 1000,
        "requests": result.requests,
    }


def interleave(setting: Setting, world: World, wrk: Wrk, trials: Sequence[Trial]) -> Measured:
    rounds: Rounds = {trial.label: [] for trial in trials}
    logged = {instance.label: instance.log_lines() for instance in world.instances}
    asked = {instance.label: 0 for instance in world.instances}
    first = {instance.label: instance.sample() for instance in world.instances}
    with_store = any(trial.instance.store for trial in trials)
    for trial in trials:
        asked[trial.instance.label] += wrk.run(trial.instance.port, trial.load, WARM_SECONDS).requests
    for number in range(setting.rounds):
        for trial in stats.rotated(trials, number):
            figures = one_round(trial, wrk, setting.seconds, with_store)
            rounds[trial.label].append(figures)
            asked[trial.instance.label] += int(figures["requests"])
        setting.say(
            f"round {number + 1}/{setting.rounds}: "
            + ", ".join(f"{label} {found[-1]['total us']:.1f} us" for label, found in rounds.items())
        )
    world.check_alive()
    for instance in world.instances:
        _check_log(instance, logged[instance.label] + asked[instance.label])
    processes = {
        instance.label: {
            _role(instance, name): used * 1e6 / asked[instance.label]
            for name, used in cpu.by_process(first[instance.label], instance.sample()).items()
        }
        for instance in world.instances
    }
    return Measured(rounds, processes)


def _role(instance: Instance, name: str) -> str:
    """`PID command` with what the process is, as far as the outside shows it: who holds the access log open."""
    pid = int(name.partition(" ")[0])
    if pid == instance.process.pid:
        return f"{name} (started first)"
    holds_log = str(instance.plan.access_log) in process.open_files(pid)
    return f"{name} (has the log open)" if holds_log else name


def _check_log(instance: Instance, wanted: int) -> None:
    """A side that drops log lines under load saves the work that the others do: that is no comparison."""
    deadline = time.monotonic() + LOG_PATIENCE
    while (lines := instance.log_lines()) < wanted:
        if time.monotonic() > deadline:
            raise VoidError(f"{instance.label} wrote {lines} log lines for at least {wanted} requests")
        time.sleep(0.2)


def rows_of(rounds: Rounds, column: str, base: Mapping[str, str]) -> list[Row]:
    """Medians of every column; the ratio of `column` to the row that `base` names for the label."""
    rows = []
    for label, found in rounds.items():
        figures = {
            name: stats.median([one[name] for one in found]) for name in found[0] if name != "requests"
        }
        other = base.get(label)
        ratio = None
        if other is not None and other in rounds:
            ratio = stats.paired([one[column] for one in found], [one[column] for one in rounds[other]])
        rows.append(Row(label, figures, ratio, tuple(found)))
    return rows


def against(rounds: Rounds, label: str, column: str, base: str, base_column: str) -> list[float]:
    """One column of one row over one column of another, round by round."""
    return [
        ours[column] / theirs[base_column] for ours, theirs in zip(rounds[label], rounds[base], strict=True)
    ]


def saturation_notes(rows: Sequence[Row], workers: int) -> list[str]:
    idle = [row.label for row in rows if row.figures["cores busy"] < 0.9 * workers]
    if not idle:
        return []
    return [f"not saturated (load or upstream was the bottleneck): {', '.join(idle)}"]

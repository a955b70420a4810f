"""CPU time and memory of all processes of a side, from /proc. Starts nothing and knows no side.

The total comes from schedstat (nanoseconds of each thread); stat's user and system ticks only split it,
because the kernel samples that split at 100 to 250 Hz.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, VoidError

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cpu:
    """Seconds."""

    user: float
    kernel: float

    @property
    def total(self) -> float:
        return self.user + self.kernel


@dataclass(frozen=True)
class ProcessTime:
    command: str
    user_ticks: int
    kernel_ticks: int
    run_ns: int  # 0 where the kernel keeps no schedstat


Sample = dict[tuple[int, int], ProcessTime]  # (pid, start time): a pid that was used again is another process


def parse_stat(text: str) -> tuple[str, int, int, int, int]:
    """Command, parent, user ticks, kernel ticks, start time. The command may hold spaces and parentheses."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return head.partition("(")[2], int(fields[1]), int(fields[11]), int(fields[12]), int(fields[19])


def process_tree(root: int) -> list[int]:
    """The root and everything below it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            parent = parse_stat(Path(f"/proc/{entry}/stat").read_text())[1]
        except (OSError, IndexError, ValueError):
            continue  # it ended while we looked
        children.setdefault(parent, []).append(int(entry))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def _run_ns(pid: int) -> int:
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return total


def read_sample(root: int) -> Sample:
    sample: Sample = {}
    for pid in process_tree(root):
        try:
            command, _, user, kernel, started = parse_stat(Path(f"/proc/{pid}/stat").read_text())
        except OSError:
            continue
        try:
            run_ns = _run_ns(pid)
        except (OSError, ValueError, IndexError):
            run_ns = 0
        sample[pid, started] = ProcessTime(command, user, kernel, run_ns)
    if not sample:
        raise BenchError(f"process {root} is gone")
    return sample


def _difference(before: ProcessTime | None, after: ProcessTime) -> Cpu:
    start = before or ProcessTime(after.command, 0, 0, 0)
    user = after.user_ticks - start.user_ticks
    kernel = after.kernel_ticks - start.kernel_ticks
    nanoseconds = after.run_ns - start.run_ns
    if nanoseconds <= 0:
        return Cpu(user / TICK, kernel / TICK)
    share = user / (user + kernel) if user + kernel else 0.5  # less than a tick: the split does not matter
    return Cpu(nanoseconds / 1e9 * share, nanoseconds / 1e9 * (1 - share))


def between(before: Sample, after: Sample) -> Cpu:
    """What all processes used. One that ended in between took its figures with it: that voids the round."""
    gone = [f"{time.command} ({key[0]})" for key, time in before.items() if key not in after]
    if gone:
        raise VoidError(f"ended while it was measured: {', '.join(gone)}")
    parts = [_difference(before.get(key), time) for key, time in after.items()]
    return Cpu(sum(part.user for part in parts), sum(part.kernel for part in parts))


def by_process(before: Sample, after: Sample) -> dict[str, float]:
    """Seconds of each process, named by pid and command: shows what logger and control cost."""
    return {
        f"{key[0]} {time.command}": _difference(before.get(key), time).total for key, time in after.items()
    }


def resident(pids: Iterable[int]) -> dict[int, int]:
    """Resident bytes of each process."""
    found: dict[int, int] = {}
    for pid in pids:
        try:
            found[pid] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        except (OSError, IndexError):
            continue
    return found


def reset_peaks(pids: Iterable[int]) -> None:
    """Let VmHWM start again from the present size (proc(5), clear_refs, value 5)."""
    for pid in pids:
        try:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        except OSError as error:
            raise BenchError(f"cannot reset the memory peak of process {pid}: {error}") from error


def peaks(pids: Iterable[int]) -> dict[int, int]:
    """Greatest resident size since the reset, in bytes."""
    found: dict[int, int] = {}
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                found[pid] = int(line.split()[1]) * 1024
    return found

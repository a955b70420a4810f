"""What the bench runs on: cores and who gets which, limits, versions. No processes are started here."""

from __future__ import annotations

import os
import platform
import resource
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pinning:
    """Cores of the gateways under test, cores of load and upstream, and whether the two overlap."""

    gateway: tuple[int, ...]
    load: tuple[int, ...]

    @property
    def shared(self) -> bool:
        return bool(set(self.gateway) & set(self.load))


def pinning(workers: int, cores: tuple[int, ...]) -> Pinning:
    """One core per worker for the gateway, the others for load and upstream; with too few all share all."""
    if len(cores) < 2:
        return Pinning(cores, cores)
    if workers == 1:
        return Pinning(cores[:1], cores[1:])
    if len(cores) >= workers + 2:
        return Pinning(cores[:workers], cores[workers:])
    return Pinning(cores, cores)


def usable_cores() -> tuple[int, ...]:
    return tuple(sorted(os.sched_getaffinity(0)))


def raise_file_limit() -> int:
    """The idle-connection case holds thousands of sockets.

    Take what the hard limit allows, and say how much.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@dataclass(frozen=True)
class Machine:
    cpu: str
    cores: int
    kernel: str
    python: str
    memory_mb: int

    def plain(self) -> dict[str, object]:
        return asdict(self)


def describe() -> Machine:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(model, len(usable_cores()), platform.release(), platform.python_version(), pages >> 20)

"""What `workers: auto` means: one per core that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(limit: Path = _CGROUP_LIMIT) -> int:
    """The cores of the affinity mask, bounded by the container's CPU quota (cgroup v2) where there is one."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = limit.read_text().split()
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        pass  # no cgroup v2, or a root group without the file: no quota
    return max(1, cores)

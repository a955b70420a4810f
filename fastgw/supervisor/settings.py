"""All that the supervisor is told, frozen, and the times by which it judges its children."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastgw.gateway.document.model import Document


@dataclass(frozen=True, slots=True)
class Timing:
    """Heartbeats are counted in ticks of the supervisor's own loop, not in wall time: a machine that was
    paused for a minute makes one tick of it, and nobody is killed for what the machine did."""

    tick: float = 0.25
    stale_ticks: int = 4  # 1 s without a heartbeat: a sibling accepts for that worker
    dead_ticks: int = 40  # 10 s: it is killed and replaced
    boot_attempts: int = 3  # deaths of one worker before any start has ever succeeded
    stop_grace: float = 2.0  # from "stop at once" to SIGKILL
    drain_grace: float = 3.0  # beyond `drain.delay` plus `drain.timeout`, to SIGKILL
    compile_slice: float = 0.005  # compiling a new document never delays the loop by more
    valkey_wait: float = 1.0  # the first workers are born without an embedded server that takes longer


@dataclass(frozen=True, slots=True)
class Settings:
    """What to run. `workers` is resolved: `auto` has become a number. `valkey`: the binary of the embedded server;
    None: none is wanted."""

    config_path: Path
    document: Document
    version: int
    workers: int
    environ: Mapping[str, str]
    timing: Timing = field(default_factory=Timing)
    valkey: Path | None = None

"""What control is born with: it is forked from the supervisor, so this is handed over in memory.

The type of the shared series is a parameter because this floor may not know the one where they live.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

SeriesT = TypeVar("SeriesT")


@dataclass(frozen=True, slots=True)
class ControlContext(Generic[SeriesT]):
    """All of it was current at the fork. Signals and descriptors are already in order when control's main is
    called: TERM, INT, HUP, QUIT and USR1 are ignored (the supervisor speaks over its channel), stdin is
    /dev/null."""

    admin: socket.socket  # bound and listening; TCP or Unix
    supervisor: socket.socket  # SEQPACKET, for Channel; its end of file means: close `admin` at once and exit
    log_fd: int  # non-blocking pipe to the logger: b"!text\n" becomes a line on stderr; full: drop the line
    config_path: Path
    environ: Mapping[str, str]  # for ${VAR} at a reload
    parts: Mapping[str, bytes]  # Document.parts() of the current document
    version: int
    hash: str
    addresses: tuple[Mapping[str, object], ...]  # the last `addresses` messages of a control before this one
    # slots 0..workers-1 are the workers', then the supervisor's, the logger's, the embedded Valkey's
    series: SeriesT
    workers: int
    supervisor_pid: int
    started_at: float  # wall clock, of the gateway and not of this process
    restarts: int  # how often control has been started again
    embedded: str | None = None  # the address of the store that this gateway runs itself
    keys: tuple[Mapping[str, Any], ...] = ()  # the last `keys` messages of a control before this one

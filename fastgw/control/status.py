"""The answer of GET /api/status: what each worker shows of itself, and what control knows."""

from __future__ import annotations

import os
from dataclasses import dataclass

from fastgw.account.series import SeriesMemory, Slot, Word, WorkerState
from fastgw.clock import Clock
from fastgw.control.instances import StoreStatus
from fastgw.control.published import History
from fastgw.control.publisher import Publisher
from fastgw.control.upstreams import Upstreams
from fastgw.gateway.document.fleet import version_hash

_STATES = {state.value: state.name.lower() for state in WorkerState}
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Status:
    """`workers` slots belong to workers, then one to the supervisor, to the logger and to an embedded Valkey each."""

    series: SeriesMemory
    workers: int
    history: History
    publisher: Publisher
    clock: Clock
    supervisor_pid: int
    started_at: float
    born_at: float  # of this control process, by `clock.now`
    restarts: int
    store: StoreStatus
    upstreams: Upstreams

    def plain(self) -> dict[str, object]:
        now = self.clock.now()
        current = self.history.current
        last_reload = self.publisher.last_reload
        return {
            "version": current.version,
            "hash": version_hash(current.document),
            "started_at": self.started_at,
            "supervisor": {"pid": self.supervisor_pid},
            "workers": [_worker(index, self.series.slot(index), now) for index in range(self.workers)],
            "redis": self.store.plain(),
            "upstreams": self.upstreams.troubles(),
            "control": {
                "pid": os.getpid(),
                "age_s": round(now - self.born_at, 3),
                "restarts": self.restarts,
                "rss_bytes": resident_bytes(),
            },
            "logger": self._logger(now),
            "last_reload": None if last_reload is None else last_reload.plain(),
        }

    def _logger(self, now: float) -> dict[str, object]:
        """`lines_dropped` counts what the workers' pipes or the sink did not take."""
        slot = self.series.slot(self.workers + 1)
        slots = [self.series.slot(index) for index in range(self.workers)]
        return {
            "pid": slot.get(Word.PID),
            "restarts": slot.get(Word.RESPAWNS),
            "lines_dropped": sum(each.get(Word.LOG_DROPPED) for each in (*slots, slot)),
        }


def _worker(index: int, slot: Slot, now: float) -> dict[str, object]:
    """`age_s`: how long the worker has served its version; `uptime_s`: how long it lives."""
    return {
        "index": index,
        "pid": slot.get(Word.PID),
        "state": _STATES.get(slot.get(Word.STATE), "unknown"),
        "version": slot.get(Word.VERSION),
        "age_s": _since(slot.get(Word.VERSION_AT), now),
        "uptime_s": _since(slot.get(Word.BORN_AT), now),
        "connections": slot.get(Word.CONNECTIONS),
        "in_flight": slot.get(Word.IN_FLIGHT),
        "loop_lag_ms": slot.get(Word.LOOP_LAG_US) / 1000,
        "rss_bytes": slot.get(Word.RSS_BYTES),
        "respawns": slot.get(Word.RESPAWNS),
    }


def _since(milliseconds: int, now: float) -> float:
    return round(max(0.0, now - milliseconds / 1000), 3) if milliseconds else 0.0


def resident_bytes() -> int:
    """Of this process."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE

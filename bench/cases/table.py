"""The cases by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from bench.cases import bodies, idle, latency, reload, requests
from bench.results import CaseResult
from bench.setting import Setting

CASES: dict[str, Callable[[Setting], list[CaseResult]]] = {
    "plain": requests.plain,
    "hostile": requests.hostile,
    "latency": latency.run,
    "workers": requests.workers,
    "routes": requests.routes,
    "reload": reload.run,
    "bodies": bodies.run,
    "idle": idle.run,
}

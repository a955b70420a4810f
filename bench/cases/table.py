"""The cases by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from bench.cases import bodies, idle, latency, requests
from bench.results import CaseResult
from bench.setting import Setting

CASES: dict[str, Callable[[Setting], list[CaseResult]]] = {
    "plain": requests.plain,
    "hostile": requests.hostile,
    "latency": latency.run,
    "workers": requests.workers,
    "routes": requests.routes,
    "bodies": bodies.run,
    "idle": idle.run,
}

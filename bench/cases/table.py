"""The cases by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from bench.cases import accuracy, bodies, chain, idle, latency, refusals, reload, requests
from bench.results import CaseResult
from bench.setting import Setting

CASES: dict[str, Callable[[Setting], list[CaseResult]]] = {
    "plain": requests.plain,
    "hostile": requests.hostile,
    "chain": chain.run,
    "refusals": refusals.run,
    "latency": latency.run,
    "workers": requests.workers,
    "routes": requests.routes,
    "reload": reload.run,
    "bodies": bodies.run,
    "idle": idle.run,
    "accuracy": accuracy.run,
}
LIMITED = frozenset({"chain", "refusals", "accuracy"})  # they need a store

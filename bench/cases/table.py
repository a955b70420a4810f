"""The cases by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from bench.cases import (
    accuracy,
    bodies,
    chain,
    circuit,
    faults,
    idle,
    isolation,
    latency,
    observe,
    outage,
    publish,
    refusals,
    reload,
    requests,
    twice,
)
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
    "publish": publish.run,
    "observe": observe.run,
    "bodies": bodies.run,
    "idle": idle.run,
    "accuracy": accuracy.run,
    "faults": faults.run,
    "outage": outage.run,
    "circuit": circuit.run,
    "isolation": isolation.run,
    "twice": twice.run,
}
LIMITED = frozenset({"chain", "refusals", "accuracy"})  # they need a store
TIMED = frozenset({"latency", "circuit", "isolation"})  # they need h2load

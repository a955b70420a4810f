"""What services behind a side do while k6 loads it: they stall, reset, fail and come back, restart, take over."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.errors import BenchError
from bench.faults import OK, REFUSE, SAYS_503, Faults
from bench.world import Instance
from k6 import canary, circuit, timeline, trouble
from k6.canary import CanaryWriter
from k6.circuit import Watch
from k6.drive import Run
from k6.outcome import Table
from k6.scenario import Event
from k6.verdicts import Verdict

# A circuit with short times: the whole story must fit into a run.
CIRCUIT_SECONDS = 2
CIRCUIT = f"{{failures: 5, open_for: {CIRCUIT_SECONDS}s, max_open_for: {2 * CIRCUIT_SECONDS}s, probes: 1, successes: 2}}"
# Slow at first: a state that lasts some milliseconds would be seen by nobody.
SLOW = {"mode": "delay", "ms": 150}
PATIENCE = 2 * CIRCUIT_SECONDS * 1.1 + 1.0
START_SECONDS = 15.0  # k6's own start, on a busy machine
FAILS_AT, BACK_AT = 0.2, 0.45  # shares of the time
FIRST_RESTART, RESTARTS = 0.15, 0.8  # when the first begins, and the time for all
DOWN_SECONDS = 1.0


@dataclass
class Told:
    """What is to be said of a run beside k6's own figures."""

    document: Mapping[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    table: Table | None = None


def _until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def tell(event: Event, faults: Faults, instance: Instance, run: Run) -> Told:
    """While `run` loads the instance; with k6's summary when it has ended."""
    if event is Event.TROUBLE:
        return Told(run.document())
    trouble.wait_for("k6 asking", lambda: faults.requests() > 0, START_SECONDS)
    begin = time.monotonic()
    match event:
        case Event.CIRCUIT:
            return _circuit(faults, instance, run, begin)
        case Event.ROLLING:
            return _rolling(faults, run, begin)
        case Event.CANARY:
            return _canary(faults, instance, run, begin)
        case _:
            raise ValueError(f"nothing is told of {event.value}")


def _circuit(faults: Faults, instance: Instance, run: Run, begin: float) -> Told:
    name = next(iter(faults.addresses))
    with Watch(instance.plan.admin_port, "faulty") as watch:
        _until(begin + FAILS_AT * run.seconds)
        failed_at = time.time()
        faults.tell(name, SAYS_503)
        _until(begin + BACK_AT * run.seconds)
        back_at = time.time()
        faults.tell(name, SLOW)
        while time.monotonic() < begin + run.seconds and _state(watch) != "closed":
            time.sleep(circuit.LOOK_SECONDS)
        faults.tell(name, OK)
        document = run.document()
    story = circuit.chapters(watch.looks, failed_at)
    kinds = [timeline.slots_of(document, kind) for kind in ("took", "failing", "refusal")]
    began = float(document["metrics"]["began"]["values"]["min"]) / 1000
    return Told(
        document,
        verdicts=[
            *circuit.verdicts(story, failed_at, back_at, PATIENCE),
            circuit.quick_refusal(kinds[0], kinds[2]),
        ],
        table=circuit.table(kinds, story, began),
    )


def _state(watch: Watch) -> str:
    return watch.looks[-1].state if watch.looks else ""


def _rolling(faults: Faults, run: Run, begin: float) -> Told:
    names = list(faults.addresses)
    for number, name in enumerate(names):
        _until(begin + (FIRST_RESTART + RESTARTS * number / len(names)) * run.seconds)
        faults.tell(name, REFUSE)
        time.sleep(DOWN_SECONDS)
        faults.tell(name, OK)
    document = run.document()
    shares = ", ".join(f"{name} {faults.counts(name)['requests']:,}" for name in names)
    return Told(document, [f"requests by target: {shares}"])


def _canary(faults: Faults, instance: Instance, run: Run, begin: float) -> Told:
    counts: dict[int, tuple[int, int]] = {}
    took = []
    for number, share in enumerate(canary.SHARES):
        if number:
            writer = CanaryWriter(instance.wanted.kind, faults.addresses, share)
            writer(instance.plan)
            took.append(trouble.serve(instance, instance.command.config.read_text()))
        before = _requests(faults)
        _until(begin + run.seconds * (number + 1) / len(canary.SHARES) - 0.2)
        after = _requests(faults)
        counts[share] = after[0] - before[0], after[1] - before[1]
    document = run.document()
    if not all(sum(pair) for pair in counts.values()):
        raise BenchError(f"nobody was asked in a third of the time: {counts}")
    shown = ", ".join(
        f"{share} %: {found / (found + stable):.2%} of {found + stable:,}"
        for share, (stable, found) in counts.items()
    )
    return Told(
        document,
        [f"{shown}; reloads served after {max(took) * 1000:.0f} ms at worst"],
        canary.shares(counts),
    )


def _requests(faults: Faults) -> tuple[int, int]:
    found = [int(faults.counts(name)["requests"]) for name in (canary.STABLE, canary.NEXT)]
    return found[0], found[1]

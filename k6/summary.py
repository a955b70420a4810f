"""What k6 says at its end (handleSummary's JSON), read into the figures of one round, and rounds into a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import stats


@dataclass(frozen=True)
class Threshold:
    metric: str
    bound: str
    held: bool

    @property
    def text(self) -> str:
        return f"{self.metric} {self.bound}"


def unbroken(runs: Sequence[Sequence[Threshold]]) -> tuple[Threshold, ...]:
    """Each threshold of several runs once; it held if no run broke it."""
    held: dict[tuple[str, str], bool] = {}
    for threshold in (one for run in runs for one in run):
        key = threshold.metric, threshold.bound
        held[key] = held.get(key, True) and threshold.held
    return tuple(Threshold(*key, one) for key, one in held.items())


@dataclass(frozen=True)
class Round:
    """Milliseconds and counts."""

    p50: float
    p95: float
    p99: float
    requests: int
    failed: int
    wrong: int
    dropped: int
    thresholds: tuple[Threshold, ...]
    admitted: int = 0
    refused: int = 0
    refusal_p50: float = 0
    refusal_p99: float = 0
    denied: int = 0  # invalid credentials of a flood that were looked at

    def plain(self) -> dict[str, object]:
        return asdict(self)


def read(document: Mapping[str, Any]) -> Round:
    metrics = document["metrics"]

    def count(name: str) -> int:
        return int(metrics[name]["values"]["count"]) if name in metrics else 0

    def values(name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = metrics.get(name, {}).get("values", {})
        return found

    took, refusal = values("took"), values("refusal")
    thresholds = tuple(
        Threshold(name, bound, bool(outcome["ok"]))
        for name, metric in sorted(metrics.items())
        for bound, outcome in metric.get("thresholds", {}).items()
    )
    return Round(
        float(took.get("med", 0)),
        float(took.get("p(95)", 0)),
        float(took.get("p(99)", 0)),
        count("http_reqs"),
        count("failed"),
        count("wrong"),
        count("dropped_iterations"),
        thresholds,
        count("admitted"),
        int(refusal.get("count", 0)),
        float(refusal.get("med", 0)),
        float(refusal.get("p(99)", 0)),
        count("denied"),
    )


@dataclass(frozen=True)
class Row:
    side: str
    p50: float
    p95: float
    p99: float
    requests: int
    failed: int
    wrong: int
    dropped: int

    def plain(self) -> dict[str, object]:
        return asdict(self)


def row(side: str, rounds: Sequence[Round]) -> Row:
    """Medians of the times, sums of the counts."""
    return Row(
        side,
        stats.median([one.p50 for one in rounds]),
        stats.median([one.p95 for one in rounds]),
        stats.median([one.p99 for one in rounds]),
        sum(one.requests for one in rounds),
        sum(one.failed for one in rounds),
        sum(one.wrong for one in rounds),
        sum(one.dropped for one in rounds),
    )


def broken(rounds: Sequence[Round]) -> list[str]:
    """Thresholds that did not hold in most rounds: one round with a hiccup of the machine is not a verdict,
    but a count that must be zero must be zero in every round."""
    failures: dict[Threshold, int] = {}
    for one in rounds:
        for threshold in one.thresholds:
            if not threshold.held:
                failures[threshold] = failures.get(threshold, 0) + 1
    found = []
    for threshold, times in failures.items():
        if threshold.bound.startswith("p(") and times * 2 <= len(rounds):
            continue
        found.append(f"{threshold.text} (in {times} of {len(rounds)} rounds)")
    return found

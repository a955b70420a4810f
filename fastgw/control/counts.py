"""What was counted in some time, by route, upstream, reason and limit: increments of series added up.

Knows the families of `account`; nothing of time, rates or how it is shown.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from fastgw.account import families
from fastgw.account.families import Family
from fastgw.errors import STATUS, Reason

# The families that `Counts.add` knows.
COUNTED = (
    families.REQUESTS,
    families.REJECTIONS,
    families.REQUEST_DURATION,
    families.GATEWAY_DURATION,
    families.UPSTREAM_DURATION,
    families.RETRIES,
    families.LIMIT_DECISIONS,
)
# What the gateway refused, and what has failed, are two things; a client that went away (499) is neither.
_REFUSALS = frozenset(reason.value for reason in Reason if 400 <= STATUS[reason] < 499)

Histograms = dict[str, list[int]]


@dataclass(slots=True)
class Counts:
    """What was counted in some time. Routes and upstreams by name; a histogram is its buckets, infinity last."""

    seconds: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)  # reason, route
    served: Counter[str] = field(default_factory=Counter)  # by upstream: exchanges that reached it
    retries: Counter[str] = field(default_factory=Counter)
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)  # route, limit
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # route, limit, outcome
    modes: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    durations: Histograms = field(default_factory=dict)
    own: Histograms = field(default_factory=dict)
    upstreams: Histograms = field(default_factory=dict)

    def add(self, family: Family, labels: tuple[str, ...], cells: list[int]) -> None:
        """One series' increment."""
        count = cells[0]
        if family is families.REQUESTS:
            self.requests[labels[0]] += count
            if labels[2].startswith("5"):
                self.errors[labels[0]] += count
        elif family is families.REJECTIONS:
            route, reason = labels
            self.reasons[reason, route] += count
            if reason in _REFUSALS:
                self.refused[route] += count
        elif family is families.REQUEST_DURATION:
            _add(self.durations, labels[0], cells[:-1])  # without the sum
        elif family is families.GATEWAY_DURATION:
            _add(self.own, labels[0], cells[:-1])
        elif family is families.UPSTREAM_DURATION:
            _add(self.upstreams, labels[0], cells[:-1])
            self.served[labels[0]] += sum(cells[:-1])
        elif family is families.RETRIES:
            self.retries[labels[0]] += count
        elif family is families.LIMIT_DECISIONS:
            route, limit, outcome, mode = labels
            self.decisions[route, limit] += count
            self.outcomes[route, limit, outcome] += count
            self.modes.setdefault((route, limit), Counter())[mode] += count


def _add(histograms: Histograms, name: str, buckets: list[int]) -> None:
    known = histograms.get(name)
    histograms[name] = buckets if known is None else list(map(operator.add, known, buckets))


def total(family: Family, histograms: Iterable[list[int]]) -> list[int]:
    """The buckets of all of them together; zeros where there are none."""
    return [sum(column) for column in zip(*histograms, strict=True)] or [0] * (len(family.buckets) + 1)

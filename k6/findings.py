"""What the runs of a guarded scenario say: verdicts, rows, and figures that the table has no column for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench import stats
from k6 import modes, summary, verdicts
from k6.modes import Sample
from k6.outcome import Outcome
from k6.scenario import Event, Scenario
from k6.steps import AWAY, DELAYS
from k6.summary import Round
from k6.timeline import Moment, Timeline
from k6.verdicts import Verdict

# The runs of a round with a flood.
ALONE, PASSING, FLOODED = "alone", "flood elsewhere", "flooded"


@dataclass
class Seen:
    """What a run of k6 left, beside its own figures."""

    round: Round
    decisions: Mapping[str, int] = field(default_factory=dict)  # of its limits, by mode
    timeline: Timeline | None = None
    verdicts: Sequence[Verdict] = ()
    sizes: list[int] = field(default_factory=list)  # resident bytes of the gateway, again and again


def judge(scenario: Scenario, found: Mapping[str, Seen]) -> list[Verdict]:
    """What one round says beyond k6's own thresholds."""
    if scenario.flood:
        flooded, passing = found[FLOODED], found[PASSING]
        return [verdicts.flooded(flooded.round.p99, passing.round.p99), verdicts.growth(flooded.sizes)]
    return [verdict for seen in found.values() for verdict in seen.verdicts]


def story(scenario: Scenario, line: Timeline) -> list[Verdict]:
    """What must be seen of each thing that happened to the store."""
    if scenario.event is Event.SLOW:
        before, late, too_late, again = verdicts.stretches(line)
        return [
            *verdicts.late(late, DELAYS[1], before),
            *verdicts.away(before, too_late),
            verdicts.back(again),
        ]
    before, stopped, continued, killed, started = verdicts.stretches(line)
    return [
        *verdicts.away(before, stopped),
        verdicts.back(continued),
        *verdicts.away(before, killed),
        verdicts.back(started),
    ]


def counts(samples: Sequence[Sample], moments: Sequence[Moment], ended: float) -> list[Verdict]:
    """What the metrics say of the same stretches, where they are long enough for that."""
    found = []
    for moment, end in zip(moments, [*(one.at for one in moments[1:]), ended], strict=True):
        gone = moment.what in AWAY
        begin = moment.at + (verdicts.SETTLE_SECONDS if gone else verdicts.BACK_SECONDS)
        allowed = verdicts.AWAY_DECISIONS if gone else verdicts.STORE_DECISIONS
        found += verdicts.decided(moment.what, modes.between(samples, begin, end), allowed)
    return found


def outcome(scenario: Scenario, seconds: float, rounds: Sequence[Mapping[str, Seen]]) -> Outcome:
    labels: dict[str, list[Seen]] = {}
    for label, seen in (pair for found in rounds for pair in found.items()):
        labels.setdefault(label, []).append(seen)
    figures = {label: [seen.round for seen in all_seen] for label, all_seen in labels.items()}
    broken = [(label, text) for label, all_rounds in figures.items() for text in summary.broken(all_rounds)]
    lines = [seen.timeline for found in rounds for seen in found.values() if seen.timeline is not None]
    made = verdicts.over_rounds([judge(scenario, found) for found in rounds])
    rows = [summary.row(label, all_rounds) for label, all_rounds in figures.items()]
    return Outcome(scenario, rows, figures, broken, notes(scenario, seconds, labels), made, lines)


def notes(scenario: Scenario, seconds: float, labels: Mapping[str, Sequence[Seen]]) -> list[str]:
    """The figures that the table has no column for."""
    found = []
    for label, all_seen in labels.items():
        found += [f"{label}: {text}" for text in _notes_of(scenario, seconds, all_seen)]
    if {ALONE, FLOODED} <= labels.keys():
        alone, flooded = (stats.median([one.round.p99 for one in labels[key]]) for key in (ALONE, FLOODED))
        found.append(
            f"p99 of honest clients beside the flood is {flooded / alone:.2f} times that of theirs alone; k6's work "
            "for the flood, on cores that it shares, is part of that. The verdict compares with a flood elsewhere."
        )
    return found


def _notes_of(scenario: Scenario, seconds: float, all_seen: Sequence[Seen]) -> Iterator[str]:
    all_rounds = [seen.round for seen in all_seen]
    refused = sum(one.refused for one in all_rounds)
    if refused:
        p50 = stats.median([one.refusal_p50 for one in all_rounds])
        p99 = stats.median([one.refusal_p99 for one in all_rounds])
        yield f"{refused:,} refused with 429, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    if refused and scenario.flood:
        denied = sum(one.denied for one in all_rounds)
        yield f"{denied:,} invalid tokens looked at and refused with 401"
    elif refused and scenario.guards is not None:
        due = scenario.guards.due(seconds)
        shares = [f"{one.admitted:,} ({(one.admitted / due - 1) * 100:+.2f} %)" for one in all_rounds]
        yield f"due {due:,.0f} a round, admitted {', '.join(shares)}"
    sizes = [size for seen in all_seen for size in seen.sizes]
    if refused and sizes:
        yield f"resident memory {min(sizes) / 2**20:.1f} MB at first, at most {max(sizes) / 2**20:.1f} MB"
    decided: Counter[str] = Counter()
    for seen in all_seen:
        decided.update(seen.decisions)
    if decided:
        yield f"decisions of limits by mode: {modes.shown(decided)}"

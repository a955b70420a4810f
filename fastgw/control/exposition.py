"""The shared series as text for Prometheus. A scrape reads shared memory and never touches a worker.

What the numbers of control itself are is said by `Facts`; how the lines of many series are written, by `text_format`.
What there is one of, or one a worker, prometheus_client writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import add
from sys import intern

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fastgw.account import families
from fastgw.account.families import FAMILIES, Family, Kind
from fastgw.account.series import SeriesMemory, Slot, Word
from fastgw.control.facts import Facts
from fastgw.control.text_format import Format, HistogramText, head, label_text, negotiated, sample

# The logger's own drops (its sink was full or blocked) are the lines of this "worker".
_LOGGER = "logger"

_WORDS: tuple[tuple[Family, Word, float], ...] = (
    (families.CONNECTIONS, Word.CONNECTIONS, 1),
    (families.IN_FLIGHT, Word.IN_FLIGHT, 1),
    (families.CONFIG_VERSION, Word.VERSION, 1),
    (families.LOOP_LAG, Word.LOOP_LAG_US, 1e-6),
    (families.LOG_LINES_DROPPED, Word.LOG_DROPPED, 1),
    (families.WORKER_RESPAWNS, Word.RESPAWNS, 1),
    (families.WORKER_HEARTBEATS, Word.HEARTBEAT, 1),
    (families.WORKER_RESIDENT_MEMORY, Word.RSS_BYTES, 1),
)


@dataclass(slots=True)
class _Series:
    """`text`: the line up to its value; of a histogram, its labels."""

    text: str
    places: list[tuple[Slot, int]] = field(default_factory=list)


class Exposition:
    """`render` may run in a thread, one at a time: 10,000 routes are half a million lines.

    Sums every series over the slots. Remembers what it has read of each directory, which only grows.
    """

    __slots__ = ("_histograms", "_positions", "_series", "_slots", "_workers")

    def __init__(self, memory: SeriesMemory, workers: int) -> None:
        self._slots = [memory.slot(index) for index in range(len(memory))]
        self._workers = workers
        self._positions = [0] * len(self._slots)
        self._series: dict[Family, dict[tuple[str, ...], _Series]] = {family: {} for family in FAMILIES}
        self._histograms = {
            family: HistogramText(family) for family in FAMILIES if family.kind is Kind.HISTOGRAM
        }

    def render(self, accept: str, facts: Facts | None = None) -> tuple[bytes, str]:
        """The text and its content type, in the format that the scraper prefers."""
        form = negotiated(accept)
        return b"".join(self.blocks(form, facts)), form.content_type

    def blocks(self, form: Format, facts: Facts | None) -> Iterator[bytes]:
        """The text, a family at a time: 31 MB of one histogram are written while the next one is made."""
        self._read_directories()
        for family, series in self._series.items():
            yield (head(family, form) + "".join(self._lines(family, series))).encode()
        # Last: in OpenMetrics it ends with the mark of the end.
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Few([*self._of_workers(), *(_of_gateway(facts) if facts is not None else ())]))
        yield form.encode(registry)

    def _lines(self, family: Family, series: dict[tuple[str, ...], _Series]) -> Iterator[str]:
        histogram = self._histograms.get(family)
        for one in series.values():
            if histogram is None:
                yield f"{one.text}{sum(slot.cells[offset] for slot, offset in one.places)}\n"
            else:
                yield histogram.lines(one.text, _cells(family, one.places))

    def _of_workers(self) -> Iterator[Metric]:
        """The fixed words of the slots."""
        for family, word, scale in _WORDS:
            metric = _empty(family)
            for index in range(self._workers):
                metric.add_metric((str(index),), self._slots[index].get(word) * scale)
            if family is families.LOG_LINES_DROPPED and len(self._slots) > self._workers + 1:
                metric.add_metric((_LOGGER,), self._slots[self._workers + 1].get(word))
            yield metric

    def _read_directories(self) -> None:
        for index, slot in enumerate(self._slots):
            for entry, position in slot.entries(self._positions[index]):
                series = self._series[entry.family]
                known = series.get(entry.labels)
                if known is None:
                    # The names of routes are in many series, and with `Increments` a second time.
                    labels = tuple(map(intern, entry.labels))
                    write = label_text if entry.family.kind is Kind.HISTOGRAM else sample
                    known = series[labels] = _Series(write(entry.family, labels))
                known.places.append((slot, entry.offset))
                self._positions[index] = position


class _Few(Collector):
    """Metrics that are made already."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def _of_gateway(facts: Facts) -> Iterator[Metric]:
    for family, labels, value in facts.samples():
        metric = _empty(family)
        metric.add_metric(labels, value)
        yield metric


def _empty(family: Family) -> CounterMetricFamily | GaugeMetricFamily:
    make = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    return make(family.name, family.help, labels=family.labels)


def _cells(family: Family, places: Sequence[tuple[Slot, int]]) -> list[int]:
    """A histogram's cells, added up over the slots."""
    sums: list[int] | None = None
    for slot, offset in places:
        cells = slot.cells[offset : offset + family.width].tolist()
        sums = cells if sums is None else list(map(add, sums, cells))
    return sums or []

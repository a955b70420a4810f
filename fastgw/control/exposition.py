"""The shared series as Prometheus text. A scrape reads shared memory and never touches a worker.

Own CollectorRegistry, one collector; nothing registers anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fastgw.account import families
from fastgw.account.families import FAMILIES, Family, Kind
from fastgw.account.series import SeriesMemory, Slot, Word

# The logger's own drops (its sink was full or blocked) are the lines of this "worker".
_LOGGER = "logger"

_WORDS: tuple[tuple[Family, Word, float], ...] = (
    (families.CONNECTIONS, Word.CONNECTIONS, 1),
    (families.IN_FLIGHT, Word.IN_FLIGHT, 1),
    (families.CONFIG_VERSION, Word.VERSION, 1),
    (families.LOOP_LAG, Word.LOOP_LAG_US, 1e-6),
    (families.LOG_LINES_DROPPED, Word.LOG_DROPPED, 1),
    (families.WORKER_RESPAWNS, Word.RESPAWNS, 1),
)


class SeriesCollector(Collector):
    """Sums every series over the slots. Remembers what it has read of each directory, which only grows."""

    def __init__(self, memory: SeriesMemory, workers: int) -> None:
        self._slots = [memory.slot(index) for index in range(len(memory))]
        self._workers = workers
        self._positions = [0] * len(self._slots)
        self._series: dict[Family, dict[tuple[str, ...], list[tuple[Slot, int]]]] = {
            family: {} for family in FAMILIES
        }

    def collect(self) -> Iterator[Metric]:
        self._read_directories()
        for family, series in self._series.items():
            match family.kind:
                case Kind.COUNTER:
                    counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
                    for labels, places in series.items():
                        counter.add_metric(labels, _total(places))
                    yield counter
                case Kind.GAUGE:
                    gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
                    for labels, places in series.items():
                        gauge.add_metric(labels, _total(places))
                    yield gauge
                case Kind.HISTOGRAM:
                    histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
                    for labels, places in series.items():
                        buckets, total = _observations(family, places)
                        histogram.add_metric(labels, buckets, total)
                    yield histogram
        yield from self._of_workers()

    def _of_workers(self) -> Iterator[Metric]:
        shown = [(str(index), self._slots[index]) for index in range(self._workers)]
        for family, word, scale in _WORDS:
            metric: CounterMetricFamily | GaugeMetricFamily
            if family.kind is Kind.COUNTER:
                metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
            else:
                metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for name, slot in shown:
                metric.add_metric([name], slot.get(word) * scale)
            if family is families.LOG_LINES_DROPPED and len(self._slots) > self._workers + 1:
                metric.add_metric([_LOGGER], self._slots[self._workers + 1].get(word))
            yield metric

    def _read_directories(self) -> None:
        for index, slot in enumerate(self._slots):
            for entry, position in slot.entries(self._positions[index]):
                self._series[entry.family].setdefault(entry.labels, []).append((slot, entry.offset))
                self._positions[index] = position


class Exposition:
    """`render` may run in a thread, one at a time: 10,000 routes are half a million lines."""

    __slots__ = ("_registry",)

    def __init__(self, memory: SeriesMemory, workers: int) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(SeriesCollector(memory, workers))

    def render(self, accept: str) -> tuple[bytes, str]:
        """The text and its content type, in the format that the scraper prefers."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def _total(places: Sequence[tuple[Slot, int]]) -> int:
    return sum(slot.cells[offset] for slot, offset in places)


def _observations(
    family: Family, places: Sequence[tuple[Slot, int]]
) -> tuple[list[tuple[str, float]], float]:
    """Cumulative buckets, as Prometheus wants them, and the sum in seconds."""
    sums = [0] * family.width
    for slot, offset in places:
        cells = slot.cells[offset : offset + family.width].tolist()
        sums = [one + other for one, other in zip(sums, cells, strict=True)]
    *counts, microseconds = sums
    buckets: list[tuple[str, float]] = []
    running = 0
    for bound, count in zip((*map(repr, family.buckets), "+Inf"), counts, strict=True):
        running += count
        buckets.append((bound, running))
    return buckets, microseconds / 1e6

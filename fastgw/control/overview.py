"""What goes on, in numbers per second: sampled from shared memory every two seconds, kept for ten minutes.

For people who look on (the dashboard, `fastgw top`): no store of metrics. A sample touches no worker.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from itertools import takewhile

from fastgw.account import families
from fastgw.account.series import SeriesMemory, Word
from fastgw.clock import Clock
from fastgw.control.counts import COUNTED, Counts, total
from fastgw.control.increments import Increments
from fastgw.control.operator_log import OperatorLog
from fastgw.control.published import History
from fastgw.control.recent import KeyT, Recent, percentiles, rate

INTERVAL = 2.0
# Ten minutes of points; the tables say what was in the last ten seconds.
POINTS = 300
RECENT = 5
ROWS = 100


class Overview:
    """`sample` runs in a thread, one at a time; `plain` is ready at any time, and as old as the last sample.

    Rows are of whatever was busy in the last ten minutes: a route that is gone leaves with its last request.
    """

    def __init__(
        self, series: SeriesMemory, workers: int, history: History, clock: Clock, log: OperatorLog
    ) -> None:
        self._slots = [series.slot(index) for index in range(workers)]
        self._increments = Increments(self._slots, (*COUNTED, families.UPSTREAM_IN_FLIGHT))
        self._history = history
        self._clock = clock
        self._log = log
        self._last: float | None = None
        self._number = 0
        self._recent: deque[Counts] = deque(maxlen=RECENT)
        self._points: deque[Mapping[str, object]] = deque(maxlen=POINTS)
        self._totals: Counter[tuple[str, str]] = Counter()
        # By name: the number of the last sample in which it was busy.
        self._routes: dict[str, int] = {}
        self._upstreams: dict[str, int] = {}
        self._reasons: dict[tuple[str, str], int] = {}
        self._limits: dict[tuple[str, str], int] = {}
        self._plain: Mapping[str, object] = self._shown()

    def plain(self) -> Mapping[str, object]:
        return self._plain

    async def run(self) -> None:
        failing = False
        while True:
            try:
                await asyncio.to_thread(self.sample)
                failing = False
            except Exception:
                # Nobody is to look at numbers that stand still without a word about it.
                if not failing:
                    self._log.say("control: the overview failed\n" + traceback.format_exc())
                failing = True
            await asyncio.sleep(INTERVAL)

    def sample(self) -> None:
        now = self._clock.now()
        counts = Counts()
        for family, labels, cells in self._increments.take():
            counts.add(family, labels, cells)
        self._totals.update(counts.reasons)
        last, self._last = self._last, now
        if last is None:
            # All that was counted before this process looked for the first time: in no known time.
            counts = Counts()
        else:
            counts.seconds = max(now - last, 0.001)
            self._points.append(self._point(counts))
        self._number += 1
        self._remember(counts)
        self._recent.append(counts)
        self._plain = self._shown()

    def _remember(self, counts: Counts) -> None:
        self._busy(self._routes, counts.requests)
        self._busy(self._upstreams, counts.upstreams)
        self._busy(self._reasons, counts.reasons)
        self._busy(self._limits, counts.decisions)

    def _busy(self, known: dict[KeyT, int], now: Iterable[KeyT]) -> None:
        """The order of `known` is that of the numbers, so that only what was or is busy costs something."""
        for key in now:
            known.pop(key, None)
            known[key] = self._number
        gone = self._number - POINTS
        for key in list(takewhile(lambda key: known[key] <= gone, known)):
            del known[key]

    def _point(self, counts: Counts) -> Mapping[str, object]:
        seconds = counts.seconds
        durations, own, upstream = (
            percentiles(family, total(family, found.values()))
            for family, found in (
                (families.REQUEST_DURATION, counts.durations),
                (families.GATEWAY_DURATION, counts.own),
                (families.UPSTREAM_DURATION, counts.upstreams),
            )
        )
        return {
            "at": round(self._clock.wall(), 3),
            "requests_s": rate(counts.requests.total(), seconds),
            "refused_s": rate(counts.refused.total(), seconds),
            "errors_s": rate(counts.errors.total(), seconds),
            "p50_ms": durations[0],
            "p99_ms": durations[1],
            "own_p50_ms": own[0],
            "own_p99_ms": own[1],
            "upstream_p50_ms": upstream[0],
            "upstream_p99_ms": upstream[1],
            "in_flight": sum(slot.get(Word.IN_FLIGHT) for slot in self._slots),
            "connections": sum(slot.get(Word.CONNECTIONS) for slot in self._slots),
        }

    def _shown(self) -> Mapping[str, object]:
        recent = Recent(self._recent)
        in_flight: Counter[str] = Counter()
        for (upstream, _target), count in self._increments.gauges(families.UPSTREAM_IN_FLIGHT):
            in_flight[upstream] += count
        return {
            "at": round(self._clock.wall(), 3),
            "interval_s": INTERVAL,
            "version": self._history.current.version,
            "points": list(self._points),
            "routes": [
                recent.route(name) for name in recent.busiest(self._routes, lambda each: each.requests, ROWS)
            ],
            "upstreams": [
                recent.upstream(name, in_flight[name])
                for name in recent.busiest(self._upstreams, lambda each: each.served, ROWS)
            ],
            "reasons": [
                recent.reason(*key, self._totals[key])
                for key in recent.busiest(self._reasons, lambda each: each.reasons, ROWS)
            ],
            "limits": [
                recent.limit(*key) for key in recent.busiest(self._limits, lambda each: each.decisions, ROWS)
            ],
            "truncated": any(
                len(keys) > ROWS for keys in (self._routes, self._upstreams, self._reasons, self._limits)
            ),
        }

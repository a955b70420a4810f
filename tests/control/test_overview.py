"""What the overview makes of what workers count; the workers here are the slots that tests write into."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import orjson
import pytest

from fastgw.account import families
from fastgw.account.families import Family
from fastgw.account.series import SeriesMemory, Slot, Word
from fastgw.clock import ManualClock
from fastgw.control.overview import INTERVAL, POINTS, RECENT, ROWS, Overview
from fastgw.control.overview_schema import OVERVIEW
from fastgw.control.published import History, Published
from tests.control.harness import ReadableLog

POINT = {
    *("at", "requests_s", "refused_s", "errors_s", "in_flight", "connections"),
    *("p50_ms", "p99_ms", "own_p50_ms", "own_p99_ms", "upstream_p50_ms", "upstream_p99_ms"),
}


class Watched:
    """Two workers and what somebody sees of them."""

    def __init__(self, history: History, log: ReadableLog) -> None:
        self.memory = SeriesMemory(4, 65536, 1 << 20)
        self.clock = ManualClock()
        self.history = history
        self.overview = Overview(self.memory, 2, history, self.clock, log)
        self.overview.sample()

    def slot(self, index: int = 0) -> Slot:
        return self.memory.slot(index)

    def count(self, family: Family, *labels: str, more: int = 1, index: int = 0) -> None:
        slot = self.slot(index)
        slot.cells[slot.counter(family, labels)] += more

    def took(self, family: Family, *labels: str, bucket: int, more: int = 1) -> None:
        slot = self.slot()
        slot.cells[slot.histogram(family, labels) + bucket] += more

    def next(self, seconds: float = INTERVAL) -> dict[str, Any]:
        self.clock.advance(seconds)
        self.overview.sample()
        return dict(self.overview.plain())


@pytest.fixture
def watched(published: Callable[..., Published], log: ReadableLog) -> Watched:
    return Watched(History(published(7)), log)


def by(rows: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in rows}


def test_before_anything_was_sampled(published: Callable[..., Published], log: ReadableLog) -> None:
    plain = Overview(SeriesMemory(4, 4096, 65536), 2, History(published(7)), ManualClock(), log).plain()
    assert plain["version"] == 7
    assert (
        plain["points"] == plain["routes"] == plain["reasons"] == plain["limits"] == plain["upstreams"] == []
    )
    assert plain["truncated"] is False


def test_rates_of_all_workers(watched: Watched) -> None:
    for index in (0, 1):
        watched.count(families.REQUESTS, "orders", "GET", "200", "upstream", more=30, index=index)
        watched.count(families.REQUESTS, "orders", "GET", "429", "gateway", more=4, index=index)
        watched.count(families.REQUESTS, "orders", "GET", "502", "gateway", more=1, index=index)
        watched.count(families.REJECTIONS, "orders", "rate_limited", more=4, index=index)
        watched.count(families.REJECTIONS, "orders", "connect_refused", more=1, index=index)
        watched.slot(index).set(Word.IN_FLIGHT, 3)
        watched.slot(index).set(Word.CONNECTIONS, 10)
    seen = watched.next()
    (point,) = seen["points"]
    assert set(point) == POINT
    assert (point["requests_s"], point["refused_s"], point["errors_s"]) == (35.0, 4.0, 1.0)
    assert (point["in_flight"], point["connections"]) == (6, 20)
    assert point["at"] == seen["at"] == watched.clock.wall()
    (row,) = seen["routes"]
    assert (row["route"], row["requests_s"], row["refused_s"], row["errors_s"]) == ("orders", 35.0, 4.0, 1.0)
    reasons = by(seen["reasons"], "reason")
    assert reasons["rate_limited"] == {"reason": "rate_limited", "route": "orders", "per_s": 4.0, "total": 8}


def test_rates_are_of_the_time_that_really_went_by(watched: Watched) -> None:
    watched.count(families.REQUESTS, "orders", "GET", "200", "upstream", more=100)
    assert watched.next(seconds=10.0)["points"][-1]["requests_s"] == 10.0


def test_percentiles_in_milliseconds(watched: Watched) -> None:
    # 98 of 100 took up to 10 ms (bucket 4: 5 to 10 ms), 2 up to 1 s (bucket 10: 0.5 to 1 s).
    watched.took(families.REQUEST_DURATION, "orders", bucket=4, more=98)
    watched.took(families.REQUEST_DURATION, "orders", bucket=10, more=2)
    watched.took(families.GATEWAY_DURATION, "orders", bucket=0, more=100)
    watched.took(families.UPSTREAM_DURATION, "backend", bucket=4, more=100)
    watched.count(families.REQUESTS, "orders", "GET", "200", "upstream", more=100)
    seen = watched.next()
    point = seen["points"][-1]
    assert point["p50_ms"] == pytest.approx(7.551, abs=0.001)
    assert point["p99_ms"] == pytest.approx(750.0)
    assert point["own_p50_ms"] == pytest.approx(0.05)
    assert point["upstream_p99_ms"] == pytest.approx(9.95)
    assert seen["routes"][0]["p99_ms"] == pytest.approx(750.0)
    assert seen["routes"][0]["own_p99_ms"] == pytest.approx(0.099)
    assert seen["upstreams"][0]["p50_ms"] == pytest.approx(7.5)


def test_where_nothing_happened_there_is_no_percentile(watched: Watched) -> None:
    point = watched.next()["points"][-1]
    assert point["requests_s"] == 0.0
    assert point["p50_ms"] is point["own_p99_ms"] is point["upstream_p99_ms"] is None


def test_tables_are_of_the_last_ten_seconds(watched: Watched) -> None:
    watched.count(families.REQUESTS, "orders", "GET", "200", "upstream", more=100)
    assert watched.next()["routes"][0]["requests_s"] == 50.0
    for _ in range(RECENT - 1):
        seen = watched.next()
    assert seen["routes"][0]["requests_s"] == 10.0
    row = watched.next()["routes"][0]
    assert (row["route"], row["requests_s"], row["p99_ms"]) == ("orders", 0.0, None)


def test_a_row_leaves_ten_minutes_after_its_last_request(watched: Watched) -> None:
    watched.count(families.REQUESTS, "gone", "GET", "200", "upstream")
    watched.count(families.REJECTIONS, "gone", "rate_limited")
    watched.next()
    for _ in range(POINTS - 1):
        seen = watched.next()
    assert [row["route"] for row in seen["routes"]] == ["gone"]
    assert len(seen["points"]) == POINTS
    seen = watched.next()
    assert seen["routes"] == seen["reasons"] == []
    assert len(seen["points"]) == POINTS
    # The counters know better than to begin again.
    watched.count(families.REJECTIONS, "gone", "rate_limited")
    assert watched.next()["reasons"][0]["total"] == 2


def test_what_was_counted_before_the_first_look_is_no_rate(
    published: Callable[..., Published], log: ReadableLog
) -> None:
    """Control was started again in the middle of traffic."""
    memory, clock = SeriesMemory(4, 4096, 65536), ManualClock()
    slot = memory.slot(0)
    slot.cells[slot.counter(families.REQUESTS, ("orders", "GET", "200", "upstream"))] = 1_000_000
    slot.cells[slot.counter(families.REJECTIONS, ("orders", "rate_limited"))] = 500
    overview = Overview(memory, 2, History(published(7)), clock, log)
    overview.sample()
    assert overview.plain()["points"] == overview.plain()["routes"] == []
    slot.cells[slot.counter(families.REJECTIONS, ("orders", "rate_limited"))] += 2
    clock.advance(INTERVAL)
    overview.sample()
    assert overview.plain()["reasons"] == [
        {"reason": "rate_limited", "route": "orders", "per_s": 1.0, "total": 502}
    ]


def test_upstreams_with_their_retries_and_what_they_work_on(watched: Watched) -> None:
    watched.took(families.UPSTREAM_DURATION, "backend", bucket=4, more=20)
    watched.count(families.RETRIES, "backend", more=4)
    for index, target, count in ((0, "a:1", 2), (1, "a:1", 1), (1, "b:1", 4)):
        slot = watched.slot(index)
        slot.cells[slot.gauge(families.UPSTREAM_IN_FLIGHT, ("backend", target))] = count
    (row,) = watched.next()["upstreams"]
    assert (row["upstream"], row["requests_s"], row["retries_s"], row["in_flight"]) == (
        "backend",
        10.0,
        2.0,
        7,
    )


def test_limits_with_the_mode_of_their_store(watched: Watched) -> None:
    for outcome, mode, number in (
        *(("admitted", "redis", 10), ("admitted", "local", 4)),
        *(("refused", "redis", 2), ("shadow", "redis", 6)),
    ):
        watched.count(families.LIMIT_DECISIONS, "orders", "per-consumer", outcome, mode, more=number)
    assert watched.next()["limits"] == [
        {
            "route": "orders",
            "limit": "per-consumer",
            "admitted_s": 7.0,
            "refused_s": 1.0,
            "shadow_s": 3.0,
            "mode": {"redis": 18, "local": 4},
        }
    ]


def test_a_hundred_rows_the_busiest_first(watched: Watched) -> None:
    for number in range(ROWS + 20):
        watched.count(families.REQUESTS, f"route-{number:03d}", "GET", "200", "upstream", more=1 + number)
    seen = watched.next()
    assert len(seen["routes"]) == ROWS
    assert seen["routes"][0]["route"] == f"route-{ROWS + 19}"
    assert seen["truncated"] is True
    orjson.dumps(seen)


def test_the_version_is_the_published_one(watched: Watched, published: Callable[..., Published]) -> None:
    watched.history.publish(published(8))
    assert watched.next()["version"] == 8


def test_what_is_answered_is_what_is_described(watched: Watched) -> None:
    watched.count(families.REQUESTS, "orders", "GET", "200", "upstream")
    watched.count(families.REJECTIONS, "orders", "rate_limited")
    watched.count(families.LIMIT_DECISIONS, "orders", "per-consumer", "admitted", "redis")
    watched.took(families.UPSTREAM_DURATION, "backend", bucket=4)
    busy, quiet = watched.next(), watched.next()
    for seen in (busy, quiet):
        assert all(seen[table] for table in ("points", "routes", "upstreams", "reasons", "limits"))
        jsonschema.validate(json.loads(orjson.dumps(seen)), OVERVIEW)


async def test_it_samples_by_itself_and_says_when_it_cannot(watched: Watched, log: ReadableLog) -> None:
    watched.count(families.REQUESTS, "orders", "GET", "200", "upstream")
    running = asyncio.create_task(watched.overview.run())
    try:
        async with asyncio.timeout(5):
            while not watched.overview.plain()["routes"]:  # noqa: ASYNC110 (a thread writes it)
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
    assert log.lines() == []


async def test_a_damaged_memory_is_said_once_and_ends_nothing(watched: Watched, log: ReadableLog) -> None:
    slot = watched.slot()
    slot.set(Word.DIRECTORY_USED, 1 << 62)
    slot.cells.release()
    running = asyncio.create_task(watched.overview.run())
    said: list[str] = []
    try:
        async with asyncio.timeout(5):
            while not (said := said + log.lines()):  # noqa: ASYNC110 (a thread writes it)
                await asyncio.sleep(0.01)
        assert not running.done()
    finally:
        running.cancel()
    assert said[0] == "control: the overview failed"

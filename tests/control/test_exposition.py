import platform
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from fastgw import __version__
from fastgw.account.families import (
    FAMILIES,
    GATEWAY_DURATION,
    GATEWAY_FAMILIES,
    REQUESTS,
    RETRIES,
    UPSTREAM_IN_FLIGHT,
    WEBSOCKETS,
    WORKER_FAMILIES,
    Kind,
)
from fastgw.account.series import SeriesMemory, Word
from fastgw.control.exposition import Exposition
from fastgw.control.facts import Facts

LABELS = ("orders", "GET", "200", "upstream")


@pytest.fixture
def memory() -> SeriesMemory:
    """Two workers, the supervisor and the logger."""
    return SeriesMemory(4, 4096, 65536)


def samples(exposition: Exposition) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text, content_type = exposition.render("")
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


def value(exposition: Exposition, name: str, **labels: str) -> float:
    return samples(exposition)[name, tuple(sorted(labels.items()))]


def test_counters_are_summed_over_the_workers(memory: SeriesMemory) -> None:
    exposition = Exposition(memory, 2)
    for index, number in ((0, 3), (1, 4)):
        slot = memory.slot(index)
        slot.cells[slot.counter(REQUESTS, LABELS)] += number
    labels = dict(zip(REQUESTS.labels, LABELS, strict=True))
    assert value(exposition, "fastgw_requests_total", **labels) == 7
    # A second scrape sees new series and new counts, and forgets nothing.
    slot = memory.slot(1)
    slot.cells[slot.counter(REQUESTS, LABELS)] += 1
    slot.cells[slot.counter(RETRIES, ("orders",))] += 2
    assert value(exposition, "fastgw_requests_total", **labels) == 8
    assert value(exposition, "fastgw_retries_total", upstream="orders") == 2


def test_gauges_are_summed_and_go_down(memory: SeriesMemory) -> None:
    exposition = Exposition(memory, 2)
    first, second = memory.slot(0), memory.slot(1)
    target = ("orders", "127.0.0.1:9001")
    first.cells[first.gauge(UPSTREAM_IN_FLIGHT, target)] = 2
    second.cells[second.gauge(UPSTREAM_IN_FLIGHT, target)] = 5
    first.cells[first.gauge(WEBSOCKETS, ())] = 1
    named = {"upstream": "orders", "target": "127.0.0.1:9001"}
    assert value(exposition, "fastgw_upstream_in_flight", **named) == 7
    assert value(exposition, "fastgw_websockets") == 1
    second.reset_for_birth()
    assert value(exposition, "fastgw_upstream_in_flight", **named) == 2


def test_histograms_are_cumulative_and_their_sum_is_in_seconds(memory: SeriesMemory) -> None:
    exposition = Exposition(memory, 2)
    buckets = len(GATEWAY_DURATION.buckets)
    for index, bucket in ((0, 0), (0, 1), (1, 1), (1, buckets)):
        slot = memory.slot(index)
        base = slot.histogram(GATEWAY_DURATION, ("orders",))
        slot.cells[base + bucket] += 1
        slot.cells[base + buckets + 1] += 250_000
    name = GATEWAY_DURATION.name
    found = samples(exposition)

    def bucket_of(le: str) -> float:
        return found[f"{name}_bucket", (("le", le), ("route", "orders"))]

    assert [bucket_of("0.0001"), bucket_of("0.0002"), bucket_of("1.0"), bucket_of("+Inf")] == [1, 3, 3, 4]
    assert found[f"{name}_count", (("route", "orders"),)] == 4
    assert found[f"{name}_sum", (("route", "orders"),)] == 1.0


def test_the_words_of_the_workers_are_shown_per_worker(memory: SeriesMemory) -> None:
    exposition = Exposition(memory, 2)
    slot = memory.slot(1)
    slot.set(Word.CONNECTIONS, 11)
    slot.set(Word.VERSION, 7)
    slot.set(Word.LOOP_LAG_US, 1500)
    slot.set(Word.RESPAWNS, 2)
    slot.set(Word.HEARTBEAT, 500)
    slot.set(Word.RSS_BYTES, 40 << 20)
    memory.slot(3).set(Word.LOG_DROPPED, 9)
    assert value(exposition, "fastgw_connections", worker="1") == 11
    assert value(exposition, "fastgw_connections", worker="0") == 0
    assert value(exposition, "fastgw_config_version", worker="1") == 7
    assert value(exposition, "fastgw_loop_lag_seconds", worker="1") == 0.0015
    assert value(exposition, "fastgw_worker_respawns_total", worker="1") == 2
    assert value(exposition, "fastgw_worker_heartbeats_total", worker="1") == 500
    assert value(exposition, "fastgw_worker_resident_memory_bytes", worker="1") == 40 << 20
    assert value(exposition, "fastgw_log_lines_dropped_total", worker="logger") == 9
    assert ("fastgw_connections", (("worker", "2"),)) not in samples(exposition)


FACTS = Facts(
    started_at=1_700_000_000.25,
    control_restarts=2,
    ready=True,
    published_version=7,
    published_at=1_700_000_100.5,
    last_reload_ok=False,
    limit_store=True,
    tail_watchers=3,
)


def test_what_control_knows_of_the_gateway(memory: SeriesMemory) -> None:
    text, _ = Exposition(memory, 2).render("", FACTS)
    found = {sample.name: sample for family in parse(text.decode()) for sample in family.samples}
    assert found["fastgw_build_info"].value == 1
    assert found["fastgw_build_info"].labels == {"version": __version__, "python": platform.python_version()}
    expected = {
        "fastgw_start_time_seconds": 1_700_000_000.25,
        "fastgw_control_restarts_total": 2,
        "fastgw_ready": 1,
        "fastgw_config_published_version": 7,
        "fastgw_config_last_publish_timestamp_seconds": 1_700_000_100.5,
        "fastgw_config_last_reload_successful": 0,
        "fastgw_limit_store_configured": 1,
        "fastgw_tail_watchers": 3,
    }
    assert {name: found[name].value for name in expected} == expected


def test_every_family_is_there_with_its_help_and_type(memory: SeriesMemory) -> None:
    text = Exposition(memory, 2).render("", FACTS)[0].decode()
    for family in FAMILIES + WORKER_FAMILIES + GATEWAY_FAMILIES:
        assert f"# HELP {family.name} {family.help}\n" in text
        assert f"# TYPE {family.name} {family.kind.value}\n" in text
    assert text.count("# TYPE ") == len(FAMILIES + WORKER_FAMILIES + GATEWAY_FAMILIES)


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_both_formats_say_the_same_and_every_series_once(memory: SeriesMemory, accept: str) -> None:
    """Written into every cell of every family, and read by the parsers that scrapers are tested with."""
    written = {}
    for index in (0, 1):
        slot = memory.slot(index)
        for family in FAMILIES:
            labels = tuple(f"{name}-{index}" for name in family.labels)
            base = slot._series(family, labels, family.kind)
            for cell in range(family.width):
                slot.cells[base + cell] = 1_000_000
            written[family.name, labels] = family.width
    text, content_type = Exposition(memory, 2).render(accept, FACTS)
    openmetrics = content_type.startswith("application/openmetrics-text")
    assert openmetrics == bool(accept)
    assert text.endswith(b"# EOF\n") == openmetrics
    assert b"_created" not in text
    families: list[Any] = list((parse_openmetrics if openmetrics else parse)(text.decode()))
    samples = [(one.name, *sorted(one.labels.items())) for family in families for one in family.samples]
    assert len(samples) == len(set(samples))
    named = {one[0] for one in samples}
    for family in FAMILIES + WORKER_FAMILIES + GATEWAY_FAMILIES:
        ends = ("_bucket", "_count", "_sum") if family.kind is Kind.HISTOGRAM else ("",)
        assert {family.name + end for end in ends} <= named, family.name
    for family in FAMILIES:
        if family.kind is Kind.HISTOGRAM:
            buckets = [one for one in samples if one[0] == f"{family.name}_bucket"]
            assert len(buckets) == 2 * (len(family.buckets) + 1)


def test_labels_with_quotes_and_line_ends_survive(memory: SeriesMemory) -> None:
    slot = memory.slot(0)
    odd = 'a"b\\c\nd é'
    slot.cells[slot.counter(RETRIES, (odd,))] += 1
    assert value(Exposition(memory, 2), "fastgw_retries_total", upstream=odd) == 1


def test_openmetrics_for_those_who_ask(memory: SeriesMemory) -> None:
    slot = memory.slot(0)
    slot.cells[slot.counter(RETRIES, ("orders",))] += 3
    text, content_type = Exposition(memory, 2).render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    families: list[Any] = list(parse_openmetrics(text.decode()))
    (retries,) = [family for family in families if family.name == "fastgw_retries"]
    assert retries.samples[0].value == 3

"""Every family keeps to the conventions of Prometheus, as `promtool check metrics` and its guide have them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

import pytest

from fastgw.account.families import FAMILIES, GATEWAY_FAMILIES, WORKER_FAMILIES, Family, Kind

ALL = FAMILIES + WORKER_FAMILIES + GATEWAY_FAMILIES

# Units are base units in the plural, written out; these are what people write instead.
OTHER_UNITS = frozenset(
    {
        *(
            "s",
            "sec",
            "secs",
            "second",
            "ms",
            "msec",
            "millis",
            "milliseconds",
            "us",
            "usec",
            "micros",
            "microseconds",
        ),
        *(
            "ns",
            "nanoseconds",
            "min",
            "mins",
            "minutes",
            "hours",
            "days",
            "byte",
            "b",
            "kb",
            "mb",
            "gb",
            "kib",
            "mib",
        ),
        *("kilobytes", "megabytes", "bits", "percent", "percents", "percentage"),
    }
)
KINDS = frozenset({"counter", "gauge", "histogram", "summary", "untyped", "metric"})
# Prometheus puts these on every series itself, or in histograms and summaries.
RESERVED_LABELS = frozenset({"le", "quantile", "job", "instance"})
# What sample names of histograms, summaries and OpenMetrics end with.
RESERVED_ENDS = ("_bucket", "_count", "_sum", "_created", "_gsum", "_gcount")


def complaints(family: Family) -> Iterator[str]:
    name = family.name
    words = name.removesuffix("_total").split("_")
    if not re.fullmatch(r"fastgw(_[a-z0-9]+)+", name):
        yield "small letters and underscores, after the namespace"
    if name.endswith("_total") != (family.kind is Kind.COUNTER):
        yield "counters end with _total, and nothing else does"
    if name.endswith(RESERVED_ENDS):
        yield "ends like the sample of something else"
    if OTHER_UNITS & set(words):
        yield "units are base units, written out"
    if {"seconds", "bytes"} & set(words[:-1]):
        yield "the unit comes last"
    if "timestamp" in words and not name.endswith("_timestamp_seconds"):
        yield "a time of day is a timestamp in seconds"
    if family.kind is Kind.HISTOGRAM and words[-1] not in ("seconds", "bytes"):
        yield "what is measured has a unit"
    if KINDS & set(words):
        yield "the kind is no part of the name"
    if not re.fullmatch(r"[A-Z0-9][^\\\"\n]*\.", family.help):
        yield "the help is one sentence that ends with a full stop"
    for label in family.labels:
        if not re.fullmatch(r"[a-z]+(_[a-z]+)*", label) or label in RESERVED_LABELS:
            yield f"the label {label}"
    if len(set(family.labels)) != len(family.labels):
        yield "a label comes twice"
    if list(family.buckets) != sorted(set(family.buckets)):
        yield "buckets rise"
    if bool(family.buckets) != (family.kind is Kind.HISTOGRAM):
        yield "histograms have buckets, and nothing else has"


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_every_family_keeps_to_the_conventions(family: Family) -> None:
    assert list(complaints(family)) == []


def family(
    name: str, kind: Kind = Kind.GAUGE, *labels: str, text: str = "A help.", buckets: tuple[float, ...] = ()
) -> Family:
    return Family(999, name, kind, labels, text, buckets)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (family("gateway_requests"), "namespace"),
        (family("fastgw_inFlight"), "small letters"),
        (family("fastgw__in_flight"), "small letters"),
        (family("fastgw:in_flight"), "small letters"),
        (family("fastgw_requests", Kind.COUNTER), "_total"),
        (family("fastgw_in_flight_total"), "_total"),
        (family("fastgw_requests_count"), "something else"),
        (family("fastgw_start_created"), "something else"),
        (family("fastgw_loop_lag_ms"), "base units"),
        (family("fastgw_loop_lag_milliseconds"), "base units"),
        (family("fastgw_cpu_percent"), "base units"),
        (family("fastgw_seconds_of_lag"), "comes last"),
        (family("fastgw_publish_timestamp"), "timestamp in seconds"),
        (family("fastgw_duration", Kind.HISTOGRAM, buckets=(0.1,)), "has a unit"),
        (family("fastgw_lag_gauge"), "kind"),
        (family("fastgw_lag", text=""), "full stop"),
        (family("fastgw_lag", text="Two\nlines."), "full stop"),
        (family("fastgw_lag", text="No end"), "full stop"),
        (family("fastgw_lag", Kind.GAUGE, "le"), "label le"),
        (family("fastgw_lag", Kind.GAUGE, "instance"), "label instance"),
        (family("fastgw_lag", Kind.GAUGE, "__name__"), "label __name__"),
        (family("fastgw_lag", Kind.GAUGE, "Route"), "label Route"),
        (family("fastgw_lag", Kind.GAUGE, "route", "route"), "twice"),
        (family("fastgw_x_seconds", Kind.HISTOGRAM, buckets=(0.2, 0.1)), "rise"),
        (family("fastgw_x_seconds", Kind.HISTOGRAM), "have buckets"),
        (family("fastgw_x_seconds", buckets=(0.1,)), "have buckets"),
    ],
    ids=lambda value: value.name if isinstance(value, Family) else value,
)
def test_what_breaks_a_convention_is_seen(wrong: Family, word: str) -> None:
    (complaint,) = complaints(wrong)
    assert word in complaint


def test_numbers_and_names_are_unique() -> None:
    assert len({family.number for family in ALL}) == len(ALL)
    # OpenMetrics knows a counter without its ending.
    assert len({family.name.removesuffix("_total") for family in ALL}) == len(ALL)


def test_a_series_has_the_cells_of_its_kind() -> None:
    for family in ALL:
        assert family.width == (len(family.buckets) + 2 if family.buckets else 1)


def test_bucket_of_a_value_includes_its_upper_bound() -> None:
    buckets = (0.1, 0.2)
    assert [bisect_left(buckets, value) for value in (0.05, 0.1, 0.15, 0.2, 0.3)] == [0, 0, 1, 1, 2]

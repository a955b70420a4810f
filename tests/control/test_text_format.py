import pytest

from fastgw.account import families
from fastgw.control.text_format import (
    OPEN_METRICS,
    PLAIN,
    HistogramText,
    head,
    label_text,
    negotiated,
    sample,
    takes_gzip,
)

PROMETHEUS_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"
)


@pytest.mark.parametrize("accept", [PROMETHEUS_2, PROMETHEUS_3, PROTOBUF_FIRST, "Application/OpenMetrics-Text",
                                    'application/openmetrics-text; version="1.0.0"'])  # fmt: skip
def test_openmetrics_for_those_who_prefer_it(accept: str) -> None:
    assert negotiated(accept) is OPEN_METRICS


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/plain",
        "application/json",
        "application/openmetrics-text;version=2.0.0",  # not spoken
        "application/openmetrics-text;version=0.0.1;q=0.9,*/*;q=0.1",
        "application/openmetrics-text;q=0.1,text/plain",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=much",
        "application/openmetrics-text;q=nan",
        "application/openmetrics-text;q=9",
        ",;,=;q",
    ],
)
def test_plain_text_for_everybody_else(accept: str) -> None:
    assert negotiated(accept) is PLAIN


@pytest.mark.parametrize("accept", ["gzip", "deflate, GZIP;q=0.5", "gzip;q=1.0, br", "x-gzip"])
def test_gzip_when_asked(accept: str) -> None:
    assert takes_gzip(accept)


@pytest.mark.parametrize("accept", ["", "identity", "br", "gzip;q=0", "gzip;q=0.0", "notgzip", "*"])
def test_no_gzip_otherwise(accept: str) -> None:
    assert not takes_gzip(accept)


def test_a_counter_has_two_names() -> None:
    assert head(families.RETRIES, PLAIN).endswith("# TYPE fastgw_retries_total counter\n")
    assert head(families.RETRIES, OPEN_METRICS).endswith("# TYPE fastgw_retries counter\n")
    assert sample(families.RETRIES, ("orders",)) == 'fastgw_retries_total{upstream="orders"} '
    assert head(families.READY, OPEN_METRICS) == head(families.READY, PLAIN)


def test_labels_are_escaped() -> None:
    assert label_text(families.RETRIES, ('a"b\\c\nd%e é',)) == 'upstream="a\\"b\\\\c\\nd%e é"'
    assert sample(families.WEBSOCKETS, ()) == "fastgw_websockets "


def test_a_histogram_is_cumulative_and_its_sum_in_seconds() -> None:
    family = families.GATEWAY_DURATION
    cells = [0] * family.width
    cells[0], cells[2], cells[-2], cells[-1] = 1, 2, 4, 2_500_000
    # A percent sign in a label is no place for a number.
    lines = HistogramText(family).lines('route="100%d"', cells).splitlines()
    name = family.name
    assert lines[:3] == [
        f'{name}_bucket{{route="100%d",le="0.0001"}} 1',
        f'{name}_bucket{{route="100%d",le="0.0002"}} 1',
        f'{name}_bucket{{route="100%d",le="0.0003"}} 3',
    ]
    assert lines[-3:] == [
        f'{name}_bucket{{route="100%d",le="+Inf"}} 7',
        f'{name}_count{{route="100%d"}} 7',
        f'{name}_sum{{route="100%d"}} 2.5',
    ]
    assert len(lines) == family.width + 1


def test_a_histogram_without_labels() -> None:
    family = families.Family(99, "fastgw_x_seconds", families.Kind.HISTOGRAM, (), "X.", (0.1,))
    assert HistogramText(family).lines("", [1, 2, 3_000_000]) == (
        'fastgw_x_seconds_bucket{le="0.1"} 1\nfastgw_x_seconds_bucket{le="+Inf"} 3\n'
        "fastgw_x_seconds_count 3\nfastgw_x_seconds_sum 3.0\n"
    )

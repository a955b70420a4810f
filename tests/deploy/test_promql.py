"""The reader of expressions, with which the files in deploy/ are judged, sees what is wrong."""

from __future__ import annotations

import pytest

from tests.support.promql import Wrong, read

TARGET = {"job", "instance"}


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("fastgw_ready", TARGET),
        ("fastgw_ready == 0", TARGET),
        ('fastgw_connections{worker="0", job=~"$job"}', {*TARGET, "worker"}),
        ("sum(rate(fastgw_requests_total[5m]))", set()),
        ("sum by (route) (rate(fastgw_requests_total[5m]))", {"route"}),
        ("topk(10, sum by (route) (increase(fastgw_requests_total[5m])))", {"route"}),
        ("histogram_quantile(0.5, sum by (le, route) (rate(fastgw_gateway_duration_seconds_bucket[5m])))", {"route"}),
        ("rate(fastgw_upstream_duration_seconds_count[5m])", {*TARGET, "upstream"}),
        ("clamp_min(fastgw_start_time_seconds - time(), 0)", TARGET),
        ("(fastgw_ready * 2)", TARGET),
        (
            "fastgw_config_version != on (job, instance) group_left () fastgw_config_published_version",
            {*TARGET, "worker"},
        ),
        ("fastgw_ready and on (job, instance) fastgw_connections", TARGET),
    ],
)  # fmt: skip
def test_labels_of_the_result(text: str, labels: set[str]) -> None:
    assert read(text).labels == labels


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("sum(", "parse"),
        ("fastgw_nothing", "no metric fastgw_nothing"),
        ("fastgw_request_duration_seconds", "no metric"),  # a histogram has no sample of its own name
        ("fastgw_requests", "no metric"),
        ('fastgw_ready{route="x"}', "no label route"),
        ("rate(fastgw_ready[5m])", "only count up"),
        ("sum by (method) (rate(fastgw_rejections_total[5m]))", "group by: method"),
        ("sum without (route) (rate(fastgw_rejections_total[5m]))", "without"),
        (
            "histogram_quantile(0.5, sum by (route) (rate(fastgw_gateway_duration_seconds_bucket[5m])))",
            "no `le`",
        ),
        ("fastgw_ready / fastgw_connections", "different labels"),
        ("fastgw_ready / on (worker) fastgw_connections", "both sides"),
        ("fastgw_connections / on (job, instance) fastgw_ready", "left side"),
        ("fastgw_ready / on (job, instance) fastgw_connections", "right side"),
        ("fastgw_ready / ignoring (worker) fastgw_connections", "ignoring"),
        ("delta(fastgw_ready[5m])", "delta"),
        ("sum(1)", "scalar"),
        ("fastgw_ready[5m:1m]", "Subquery"),
    ],
)
def test_what_is_wrong_is_refused(text: str, word: str) -> None:
    with pytest.raises(Wrong) as raised:
        read(text)
    if word != "parse":
        assert word in str(raised.value)


def test_names_of_what_is_read() -> None:
    assert read("sum(rate(fastgw_retries_total[1m])) / sum(rate(fastgw_requests_total[1m]))").names == {
        "fastgw_retries_total",
        "fastgw_requests_total",
    }

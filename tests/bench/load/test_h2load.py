from __future__ import annotations

import pytest

from bench.errors import BenchError, VoidError
from bench.load import h2load

SUMMARY = "requests: {0} total, {0} started, {0} done, {1} succeeded, {2} failed, {3} errored, {4} timeout"


def test_answers_are_counted() -> None:
    assert h2load.parse_summary("finished\n" + SUMMARY.format(500, 500, 0, 0, 0)) == 500


@pytest.mark.parametrize(
    "counts", [(500, 499, 1, 0, 0), (500, 500, 0, 1, 0), (500, 500, 0, 0, 1), (500, 499, 0, 0, 0)]
)
def test_one_failure_voids_the_run(counts: tuple[int, ...]) -> None:
    with pytest.raises(VoidError, match="errors"):
        h2load.parse_summary(SUMMARY.format(*counts))


def test_no_summary_is_refused() -> None:
    with pytest.raises(BenchError, match="no summary"):
        h2load.parse_summary("could not connect")


def test_log_is_sorted_by_start() -> None:
    assert h2load.parse_log("30\t200\t5\n10\t200\t7\n") == [(10, 7), (30, 5)]


@pytest.mark.parametrize("status", ["-1", "502", "404", "101"])
def test_a_bad_status_in_the_log_voids_the_run(status: str) -> None:
    with pytest.raises(VoidError, match="status"):
        h2load.parse_log(f"10\t200\t7\n30\t{status}\t5\n")


def test_only_the_middle_counts() -> None:
    """1,000 requests a second for three seconds; the first second is slow, the last is not asked for."""
    rows = [(index * 1000, 9000 if index < 1000 else 100 + index % 100) for index in range(3000)]
    found = h2load.judge(rows, 1000, 1.0, 1.0)
    assert found.requests == 1000
    assert (found.p50_us, found.p99_us, found.max_us) == (149, 198, 199)


def test_a_driver_that_cannot_keep_its_rate_voids_the_run() -> None:
    rows = [(index * 2000, 100) for index in range(2000)]
    with pytest.raises(VoidError, match="not an open model"):
        h2load.judge(rows, 1000, 0.5, 2.0)


@pytest.mark.parametrize("rows", [[], [(1, 1)], [(index, 1) for index in range(99)]])
def test_too_few_requests_void_the_run(rows: list[tuple[int, int]]) -> None:
    with pytest.raises(VoidError, match=r"no request|only"):
        h2load.judge(rows, 10, 0.0, 1.0)


def test_where_all_are_to_be_refused_a_success_voids_the_run() -> None:
    refused = SUMMARY.format(100, 0, 100, 0, 0)
    assert h2load.parse_summary(refused, refused=True) == 100
    with pytest.raises(VoidError):
        h2load.parse_summary(SUMMARY.format(100, 1, 99, 0, 0), refused=True)
    assert h2load.parse_log("10\t503\t5\n", 503) == [(10, 5)]
    with pytest.raises(VoidError, match="502"):
        h2load.parse_log("10\t502\t5\n", 503)

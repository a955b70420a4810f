from fastgw.account import families
from fastgw.account.families import Family
from fastgw.control.counts import COUNTED, Counts, total


def duration(family: Family, bucket: int, count: int) -> list[int]:
    cells = [0] * family.width
    cells[bucket] = count
    cells[-1] = 1000 * count
    return cells


def test_requests_and_their_errors() -> None:
    counts = Counts()
    for code, source, number in (("200", "upstream", 5), ("503", "gateway", 2), ("502", "upstream", 1)):
        counts.add(families.REQUESTS, ("orders", "GET", code, source), [number])
    counts.add(
        families.REQUESTS, ("orders", "POST", "other", "other"), [3]
    )  # the label that everything folds into
    assert counts.requests == {"orders": 11}
    assert counts.errors == {"orders": 3}


def test_refused_is_what_the_gateway_turned_away() -> None:
    counts = Counts()
    for reason in (
        "rate_limited",
        "no_route",
        "breaker_open",
        "client_closed",
        "response_truncated",
        "other",
    ):
        counts.add(families.REJECTIONS, ("orders", reason), [1])
    assert counts.refused == {"orders": 2}
    assert counts.reasons["breaker_open", "orders"] == 1
    assert len(counts.reasons) == 6


def test_durations_are_buckets_without_the_sum() -> None:
    counts = Counts()
    for bucket in (1, 1, 3):
        counts.add(families.REQUEST_DURATION, ("orders",), duration(families.REQUEST_DURATION, bucket, 2))
    counts.add(families.GATEWAY_DURATION, ("orders",), duration(families.GATEWAY_DURATION, 0, 7))
    counts.add(families.UPSTREAM_DURATION, ("backend",), duration(families.UPSTREAM_DURATION, 2, 1))
    assert counts.durations["orders"][:4] == [0, 4, 0, 2]
    assert len(counts.durations["orders"]) == len(families.REQUEST_DURATION.buckets) + 1
    assert counts.own["orders"][0] == 7
    assert counts.upstreams["backend"][2] == counts.served["backend"] == 1


def test_limits_by_outcome_and_by_mode() -> None:
    counts = Counts()
    for outcome, mode, number in (
        ("admitted", "redis", 5),
        ("admitted", "local", 2),
        ("refused", "redis", 1),
    ):
        counts.add(families.LIMIT_DECISIONS, ("orders", "per-consumer", outcome, mode), [number])
    limit = ("orders", "per-consumer")
    assert counts.decisions == {limit: 8}
    assert counts.outcomes == {(*limit, "admitted"): 7, (*limit, "refused"): 1}
    assert counts.modes == {limit: {"redis": 6, "local": 2}}


def test_a_histogram_does_not_change_what_it_was_made_of() -> None:
    cells = duration(families.REQUEST_DURATION, 1, 2)
    counts = Counts()
    for _ in range(3):
        counts.add(families.REQUEST_DURATION, ("orders",), cells)
    assert counts.durations["orders"][1] == 6
    assert cells[1] == 2


def test_every_counted_family_is_added_somewhere() -> None:
    for family in COUNTED:
        counts = Counts()
        counts.add(family, ("a",) * len(family.labels), [1] * family.width)
        assert counts != Counts(), family.name


def test_total_of_histograms_and_of_none() -> None:
    family = families.GATEWAY_DURATION
    width = len(family.buckets) + 1
    assert total(family, [[1] * width, [2] * width]) == [3] * width
    assert total(family, []) == [0] * width

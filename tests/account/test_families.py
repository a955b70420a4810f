from bisect import bisect_left

from fastgw.account.families import FAMILIES, WORKER_FAMILIES, Kind


def test_numbers_and_names_are_unique() -> None:
    families = FAMILIES + WORKER_FAMILIES
    assert len({family.number for family in families}) == len(families)
    assert len({family.name for family in families}) == len(families)


def test_buckets_rise_and_belong_to_histograms_only() -> None:
    for family in FAMILIES + WORKER_FAMILIES:
        assert (family.kind is Kind.HISTOGRAM) == bool(family.buckets)
        assert list(family.buckets) == sorted(set(family.buckets))
        assert family.width == (len(family.buckets) + 2 if family.buckets else 1)


def test_counters_are_named_as_prometheus_names_them() -> None:
    for family in FAMILIES + WORKER_FAMILIES:
        assert family.name.startswith("fastgw_")
        assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)


def test_bucket_of_a_value_includes_its_upper_bound() -> None:
    buckets = (0.1, 0.2)
    assert [bisect_left(buckets, value) for value in (0.05, 0.1, 0.15, 0.2, 0.3)] == [0, 0, 1, 1, 2]

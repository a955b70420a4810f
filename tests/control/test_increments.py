import pytest

from fastgw.account.families import GATEWAY_DURATION, REQUESTS, RETRIES, UPSTREAM_IN_FLIGHT, Family
from fastgw.account.series import SeriesMemory
from fastgw.control.increments import Increments

READ = (REQUESTS, GATEWAY_DURATION, UPSTREAM_IN_FLIGHT)
LABELS = ("orders", "GET", "200", "upstream")


@pytest.fixture
def memory() -> SeriesMemory:
    return SeriesMemory(2, 4096, 65536)


@pytest.fixture
def increments(memory: SeriesMemory) -> Increments:
    return Increments([memory.slot(0), memory.slot(1)], READ)


def taken(increments: Increments) -> list[tuple[Family, tuple[str, ...], list[int]]]:
    return list(increments.take())


def test_the_first_look_gives_what_was_ever_counted(memory: SeriesMemory, increments: Increments) -> None:
    slot = memory.slot(1)
    slot.cells[slot.counter(REQUESTS, LABELS)] += 3
    assert taken(increments) == [(REQUESTS, LABELS, [3])]
    assert taken(increments) == []


def test_only_what_has_changed_comes_and_each_slot_for_itself(
    memory: SeriesMemory, increments: Increments
) -> None:
    first, second = memory.slot(0), memory.slot(1)
    other = ("catalog", *LABELS[1:])
    for slot in (first, second):
        slot.cells[slot.counter(REQUESTS, LABELS)] += 3
        slot.cells[slot.counter(REQUESTS, other)] += 1
    taken(increments)
    first.cells[first.counter(REQUESTS, LABELS)] += 2
    second.cells[second.counter(REQUESTS, LABELS)] += 5
    assert taken(increments) == [(REQUESTS, LABELS, [2]), (REQUESTS, LABELS, [5])]


def test_a_series_that_appears_between_two_looks_begins_at_zero(
    memory: SeriesMemory, increments: Increments
) -> None:
    slot = memory.slot(0)
    slot.cells[slot.counter(REQUESTS, LABELS)] += 3
    taken(increments)
    base = slot.histogram(GATEWAY_DURATION, ("orders",))
    slot.cells[base + 1] += 4
    slot.cells[base + GATEWAY_DURATION.width - 1] += 800
    ((family, labels, cells),) = taken(increments)
    assert (family, labels) == (GATEWAY_DURATION, ("orders",))
    assert cells == [0, 4, *[0] * (GATEWAY_DURATION.width - 3), 800]


def test_other_families_are_passed_over(memory: SeriesMemory, increments: Increments) -> None:
    slot = memory.slot(0)
    slot.cells[slot.counter(RETRIES, ("orders",))] += 3
    slot.cells[slot.counter(REQUESTS, LABELS)] += 1
    assert taken(increments) == [(REQUESTS, LABELS, [1])]


def test_gauges_are_no_increments(memory: SeriesMemory, increments: Increments) -> None:
    place = ("orders", "127.0.0.1:9001")
    for index, count in ((0, 2), (1, 5)):
        slot = memory.slot(index)
        slot.cells[slot.gauge(UPSTREAM_IN_FLIGHT, place)] = count
    assert taken(increments) == []
    assert list(increments.gauges(UPSTREAM_IN_FLIGHT)) == [(place, 2), (place, 5)]
    memory.slot(1).reset_for_birth()
    assert list(increments.gauges(UPSTREAM_IN_FLIGHT)) == [(place, 2), (place, 0)]


def test_another_life_of_a_worker_counts_on(memory: SeriesMemory, increments: Increments) -> None:
    slot = memory.slot(0)
    slot.cells[slot.counter(REQUESTS, LABELS)] += 3
    taken(increments)
    slot.reset_for_birth()
    assert taken(increments) == []
    slot.cells[slot.counter(REQUESTS, LABELS)] += 1
    assert taken(increments) == [(REQUESTS, LABELS, [1])]


def test_pages_that_did_not_change_are_passed_over_and_none_comes_twice() -> None:
    """Series of 15 cells cross the ends of pages of 512 cells; a run of pages has many of them."""
    memory = SeriesMemory(1, 1 << 16, 1 << 20)
    slot = memory.slot(0)
    increments = Increments([slot], READ)
    names = [f"route-{number}" for number in range(400)]
    bases = {name: slot.histogram(GATEWAY_DURATION, (name,)) for name in names}
    taken(increments)
    crossing = [
        name for name, base in bases.items() if base // 512 != (base + GATEWAY_DURATION.width - 1) // 512
    ]
    assert len(crossing) > 5
    for chosen in ([names[0]], crossing, names[100:200], [names[-1]], [names[0], names[-1]], names):
        for name in chosen:
            slot.cells[bases[name]] += 1  # the first cell
            slot.cells[bases[name] + GATEWAY_DURATION.width - 1] += (
                5  # the last one, perhaps on the next page
            )
        assert [labels[0] for _, labels, _ in taken(increments)] == chosen
        for name in chosen:
            slot.cells[bases[name] + GATEWAY_DURATION.width - 1] += 5
        assert [(labels[0], cells[-1]) for _, labels, cells in taken(increments)] == [
            (name, 5) for name in chosen
        ]

import os
import signal
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.account.families import (
    FAMILIES,
    GATEWAY_DURATION,
    REJECTIONS,
    REQUEST_DURATION,
    REQUESTS,
    RETRIES,
    UPSTREAM_IN_FLIGHT,
    WEBSOCKETS,
    Family,
)
from fastgw.account.series import MAX_KEY, OTHER, SeriesMemory, Slot, Word, WorkerState


def small(cells: int = 4096, directory_bytes: int = 65536) -> Slot:
    return SeriesMemory(1, cells, directory_bytes).slot(0)


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked process; its pid. It ends without Python's own shutdown."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def succeeded(pid: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def seen(slot: Slot) -> dict[tuple[str, tuple[str, ...]], int]:
    return {(entry.family.name, entry.labels): slot.cells[entry.offset] for entry, _ in slot.entries()}


def test_counting_is_one_addition() -> None:
    slot = small()
    offset = slot.counter(REQUESTS, ("orders", "GET", "200", "upstream"))
    slot.cells[offset] += 1
    slot.cells[offset] += 1
    assert seen(slot) == {("fastgw_requests_total", ("orders", "GET", "200", "upstream")): 2}


def test_the_same_labels_are_the_same_series() -> None:
    slot = small()
    first = slot.counter(RETRIES, ("a",))
    assert slot.counter(RETRIES, ("a",)) == first
    assert slot.counter(RETRIES, ("b",)) != first
    assert slot.gauge(WEBSOCKETS, ()) == slot.gauge(WEBSOCKETS, ())


def test_slots_do_not_touch_each_other() -> None:
    memory = SeriesMemory(3, 64 * 8, 4096 * 4)
    assert len(memory) == 3
    for index in range(3):
        slot = memory.slot(index)
        slot.set(Word.PID, index + 1)
        slot.cells[slot.counter(RETRIES, ("a",))] += index + 10
        slot.cells[len(slot.cells) - 1] = 99
    assert [memory.slot(index).get(Word.PID) for index in range(3)] == [1, 2, 3]
    assert [seen(memory.slot(index))[RETRIES.name, ("a",)] for index in range(3)] == [10, 11, 12]


@pytest.mark.parametrize(
    ("call", "family", "labels"),
    [
        ("counter", REQUESTS, ("only-one",)),
        ("counter", REQUEST_DURATION, ("orders",)),
        ("gauge", RETRIES, ("a",)),
        ("histogram", RETRIES, ("a",)),
        ("counter", RETRIES, ()),
    ],
)
def test_a_wrong_kind_or_number_of_labels_is_refused(
    call: str, family: Family, labels: tuple[str, ...]
) -> None:
    slot = small()
    with pytest.raises(ValueError, match=family.name):
        getattr(slot, call)(family, labels)
    assert not seen(slot)


def test_a_gauge_does_not_go_below_zero_nor_a_cell_beyond_the_slot() -> None:
    slot = small()
    with pytest.raises((ValueError, OverflowError)):
        slot.cells[slot.gauge(WEBSOCKETS, ())] -= 1
    with pytest.raises(IndexError):
        slot.cells[len(slot.cells)] += 1


@pytest.mark.parametrize("label", ["x" * (MAX_KEY + 1), "é" * MAX_KEY, "a\x1fb"])
def test_labels_that_do_not_fit_fold_into_other(label: str) -> None:
    slot = small()
    slot.cells[slot.counter(RETRIES, (label,))] += 1
    assert seen(slot) == {(RETRIES.name, (OTHER,)): 1}


def test_a_label_of_the_greatest_size_fits() -> None:
    slot = small()
    slot.counter(RETRIES, ("x" * MAX_KEY,))
    assert list(seen(slot)) == [(RETRIES.name, ("x" * MAX_KEY,))]


@pytest.mark.parametrize(("cells", "directory_bytes"), [(128, 65536), (4096, 4096)])
def test_capped_series_fold_into_other_and_every_family_still_has_room(
    cells: int, directory_bytes: int
) -> None:
    slot = small(cells, directory_bytes)
    total = 3000
    for number in range(total):
        slot.cells[slot.counter(REJECTIONS, (f"route-{number}", "no_route"))] += 1
    counted = seen(slot)
    assert sum(counted.values()) == total
    assert counted[REJECTIONS.name, (OTHER, OTHER)] > 0
    for family in FAMILIES:
        call = {"counter": slot.counter, "gauge": slot.gauge, "histogram": slot.histogram}[family.kind.value]
        slot.cells[call(family, tuple("new" for _ in family.labels))] += 1
    assert len(seen(slot)) == len(counted) + len(FAMILIES) - 1


def test_ten_thousand_routes_fit() -> None:
    slot = SeriesMemory(1).slot(0)
    for number in range(10_000):
        route = f"a-route-with-a-long-name-{number}"
        slot.histogram(REQUEST_DURATION, (route,))
        slot.histogram(GATEWAY_DURATION, (route,))
        slot.counter(REJECTIONS, (route, "response_timeout"))
        for code in ("200", "404", "502", "504"):
            slot.counter(REQUESTS, (route, "GET", code, "upstream"))
    entries = [entry for entry, _ in slot.entries()]
    assert len(entries) == 70_000
    assert not [entry for entry in entries if OTHER in entry.labels]


def test_a_respawned_worker_goes_on_counting_and_starts_with_gauges_at_zero() -> None:
    slot = small()

    def first_life() -> None:
        slot.reset_for_birth()
        slot.set(Word.PID, os.getpid())
        slot.set(Word.STATE, WorkerState.SERVING)
        slot.set(Word.LOG_DROPPED, 7)
        slot.cells[slot.counter(RETRIES, ("a",))] += 5
        slot.cells[slot.gauge(UPSTREAM_IN_FLIGHT, ("a", "t"))] += 3
        os.kill(os.getpid(), signal.SIGKILL)

    def second_life() -> None:
        slot.reset_for_birth()
        slot.cells[slot.counter(RETRIES, ("a",))] += 1
        slot.cells[slot.counter(RETRIES, ("b",))] += 2

    slot.set(Word.RESPAWNS, 4)
    assert not succeeded(in_child(first_life))
    assert slot.get(Word.STATE) == WorkerState.SERVING
    assert succeeded(in_child(second_life))
    assert seen(slot) == {
        (RETRIES.name, ("a",)): 6,
        (UPSTREAM_IN_FLIGHT.name, ("a", "t")): 0,
        (RETRIES.name, ("b",)): 2,
    }
    assert [slot.get(word) for word in (Word.PID, Word.STATE, Word.LOG_DROPPED, Word.RESPAWNS)] == [
        0,
        0,
        7,
        4,
    ]


def test_an_entry_without_its_count_is_not_seen_and_is_overwritten() -> None:
    slot = small()
    slot.counter(RETRIES, ("a",))
    used = slot.get(Word.DIRECTORY_USED)
    slot.counter(RETRIES, ("b",))
    slot.set(Word.DIRECTORY_USED, used)  # as if the worker had been killed just before it wrote the count
    assert list(seen(slot)) == [(RETRIES.name, ("a",))]


def test_a_damaged_entry_stops_readers_and_is_refused_at_birth() -> None:
    memory = SeriesMemory(1, 4096, 8192)
    slot = memory.slot(0)
    slot.counter(RETRIES, ("a",))
    slot.set(Word.DIRECTORY_USED, slot.get(Word.DIRECTORY_USED) + 24)  # bytes that were never written
    assert list(seen(slot)) == [(RETRIES.name, ("a",))]
    with pytest.raises(RuntimeError, match="damaged"):
        slot.reset_for_birth()


@pytest.mark.parametrize("position", range(4, 19))
def test_an_entry_whose_bytes_are_not_all_there_is_not_seen(position: int) -> None:
    """A machine may show the count before the bytes: then the checksum does not fit yet."""
    slot = small()
    slot.counter(RETRIES, ("abc",))
    memory = slot._directory
    byte = memory[position]
    memory[position] = byte ^ 1
    assert not seen(slot)
    memory[position] = byte
    assert list(seen(slot)) == [(RETRIES.name, ("abc",))]


def test_a_reader_continues_where_it_stopped() -> None:
    slot = small()
    slot.counter(RETRIES, ("a",))
    position = [position for _, position in slot.entries()][-1]
    assert not list(slot.entries(position))
    slot.counter(RETRIES, ("b",))
    assert [entry.labels for entry, _ in slot.entries(position)] == [("b",)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=10), st.integers(0, 1000)), max_size=40))
def test_every_count_is_found_again(counts: list[tuple[str, str, int]]) -> None:
    slot = small(512, 8192)
    for route, reason, number in counts:
        slot.cells[slot.counter(REJECTIONS, (route, reason))] += number
    assert sum(seen(slot).values()) == sum(number for _, _, number in counts)


def test_a_reading_process_sees_consistent_totals() -> None:
    """One process writes while this one reads: nothing half-written, nothing that goes backwards."""
    slot = small(65536, 1024 * 1024)
    rounds, routes = 60, 40

    def write() -> None:
        slot.reset_for_birth()
        for turn in range(rounds):
            for number in range(routes):
                route = f"route-{number}-{turn % 10}"
                slot.cells[slot.counter(RETRIES, (route,))] += 1
                base = slot.histogram(REQUEST_DURATION, (route,))
                slot.cells[base + number % (len(REQUEST_DURATION.buckets) + 1)] += 1
                slot.cells[base + len(REQUEST_DURATION.buckets) + 1] += 1000

    def totals() -> tuple[int, int, int]:
        retries = observations = microseconds = 0
        for entry, _ in slot.entries():
            cells = slot.cells[entry.offset : entry.offset + entry.family.width].tolist()
            assert entry.labels[0].startswith("route-")
            if entry.family is RETRIES:
                retries += cells[0]
            else:
                observations += sum(cells[:-1])
                microseconds += cells[-1]
        return retries, observations, microseconds

    pid = in_child(write)
    before = (0, 0, 0)
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        now = totals()
        assert all(new >= old for new, old in zip(now, before, strict=True))
        before = now
    assert succeeded(pid)
    assert totals() == (rounds * routes, rounds * routes, rounds * routes * 1000)

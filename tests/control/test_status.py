import os

from fastgw.account.series import Word
from fastgw.control.status import resident_bytes
from tests.control.harness import Gateway


async def test_a_worker_that_was_never_born_is_shown_as_starting(gateway: Gateway) -> None:
    status = gateway.control.status.plain()
    assert isinstance(status["workers"], list)
    assert [worker["state"] for worker in status["workers"]] == ["starting", "starting"]
    assert [(worker["pid"], worker["age_s"], worker["uptime_s"]) for worker in status["workers"]] == [
        (0, 0, 0)
    ] * 2


async def test_a_state_of_a_newer_worker_does_not_break_the_status(gateway: Gateway) -> None:
    gateway.series.slot(0).set(Word.STATE, 77)
    workers = gateway.control.status.plain()["workers"]
    assert isinstance(workers, list) and workers[0]["state"] == "unknown"


async def test_dropped_lines_of_workers_and_logger_are_added_up(gateway: Gateway) -> None:
    for index, number in ((0, 1), (1, 2), (3, 4)):
        gateway.series.slot(index).set(Word.LOG_DROPPED, number)
    assert gateway.control.status.plain()["logger"] == {"pid": 0, "restarts": 0, "lines_dropped": 7}


async def test_control_tells_of_itself(gateway: Gateway) -> None:
    control = gateway.control.status.plain()["control"]
    assert isinstance(control, dict)
    assert control["pid"] == os.getpid() and control["restarts"] == 3


def test_resident_bytes_are_those_of_a_python_process() -> None:
    assert 1_000_000 < resident_bytes() < 10_000_000_000

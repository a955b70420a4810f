"""The sink: what cannot be written is lost and counted, and the next line is tried again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastgw.clock import ManualClock
from fastgw.supervisor.sink import Sink


class Told:
    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.dropped = 0
        self.clock = ManualClock()

    def count(self, dropped: int) -> None:
        self.dropped = dropped

    def sink(self, path: Path | None, stdout: int = 1) -> Sink:
        name = None if path is None else str(path)
        return Sink(name, self.complaints.append, self.count, self.clock.now, stdout=stdout)


@pytest.fixture
def told() -> Told:
    return Told()


def test_lines_are_appended(told, tmp_path):
    path = tmp_path / "log"
    path.write_text("before\n")
    sink = told.sink(path)
    sink.write(b"one\n")
    sink.write(b"two\n")
    assert path.read_text() == "before\none\ntwo\n"


def test_a_full_disk_costs_lines_and_one_complaint_a_minute(told):
    sink = told.sink(Path("/dev/full"))
    for _ in range(5):
        sink.write(b"one\ntwo\n")
    assert told.dropped == 10
    assert len(told.complaints) == 1
    assert "No space left" in told.complaints[0]
    told.clock.advance(61)
    sink.write(b"one\n")
    assert len(told.complaints) == 2


def test_a_line_that_was_torn_is_ended_before_the_next(told, tmp_path):
    path = tmp_path / "log"
    sink = told.sink(path)
    sink.write(b"half")  # as after a disk that filled up in the middle of a line
    sink.write(b"one\n")
    assert path.read_text() == "half\none\n"


def test_a_file_that_cannot_be_opened_is_tried_again(told, tmp_path):
    path = tmp_path / "absent" / "log"
    sink = told.sink(path)
    sink.write(b"one\n")
    assert told.dropped == 1
    path.parent.mkdir()
    sink.write(b"two\n")
    assert path.read_text() == "two\n"


def test_reopening_follows_the_name_and_a_failure_keeps_the_old_file(told, tmp_path):
    path = tmp_path / "folder" / "log"
    path.parent.mkdir()
    sink = told.sink(path)
    sink.write(b"one\n")
    path.rename(tmp_path / "log.1")
    sink.reopen()
    sink.write(b"two\n")
    assert path.read_text() == "two\n"
    path.unlink()
    path.parent.rmdir()
    sink.reopen()
    sink.write(b"three\n")
    assert told.dropped == 0
    assert told.complaints


def test_stdout_is_a_descriptor_like_any_other(told):
    read, write = os.pipe()
    sink = told.sink(None, write)
    sink.write(b"one\n")
    sink.reopen()
    assert os.read(read, 10) == b"one\n"
    os.close(read)
    os.close(write)


def test_half_a_line_that_another_logger_left_behind_is_ended_first(told, tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(b'{"a":1}\n{"torn')
    told.sink(str(path)).write(b'{"b":2}\n')
    assert path.read_bytes() == b'{"a":1}\n{"torn\n{"b":2}\n'

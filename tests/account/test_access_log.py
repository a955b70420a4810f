"""Whatever the pipe takes, what comes out of it are whole lines; a full pipe costs lines, which are counted."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.account.access_log import (
    FLUSH_BYTES,
    FLUSH_SECONDS,
    MAX_PENDING,
    AccessLog,
    escaped,
    json_string,
    outcome,
)
from fastgw.errors import Reason, Source
from fastgw.model.exchange import Exchange

ORDER = [
    "ts", "request_id", "trace_id", "client", "method", "host", "path", "route", "consumer", "status", "reason", "rule",
    "source", "bytes_in", "bytes_out", "duration_ms", "gateway_ms", "upstream_ms", "upstream", "target", "attempts",
    "cache", "limit", "version", "worker",
]  # fmt: skip


class Timers:
    """The loop's call_later: keeps what is due, runs it when told."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []
        self.delays: list[float] = []

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.due.append(call)
        self.delays.append(seconds)

    def run(self) -> None:
        due, self.due = self.due, []
        for call in due:
            call()


class Logger:
    """Both ends of a pipe, and the log that writes to it."""

    def __init__(self, pipe_bytes: int = 4096) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        os.set_blocking(self.writing, False)
        with contextlib.suppress(AttributeError, OSError):
            import fcntl

            fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, pipe_bytes)
        self.timers = Timers()
        self.lost = 0
        self.log = AccessLog(self.writing, 3, self.timers.later, self._dropped)

    def _dropped(self, count: int) -> None:
        self.lost += count

    def read(self, most: int = 1 << 20) -> bytes:
        try:
            return os.read(self.reading, most)
        except BlockingIOError:
            return b""

    def drain(self) -> bytes:
        data = b""
        for _ in range(10_000):
            self.log.flush()
            more = self.read()
            data += more
            if not more:
                return data
        raise AssertionError("the log never becomes empty")

    def write(
        self, exchange: Exchange | None = None, route: bytes = b'"one"', wall: float = 1_700_000_000.25
    ) -> None:
        made = exchange or line_of()
        self.log.exchange(made, outcome(route, made, made.reason, made.rule), wall, 0.0123, 0.0023)

    def close(self) -> None:
        for end in (self.reading, self.writing):
            with contextlib.suppress(OSError):
                os.close(end)


@pytest.fixture
def logger() -> Iterator[Logger]:
    made = Logger()
    yield made
    made.close()


def line_of(path: bytes = b"/a", **changes: object) -> Exchange:
    made = Exchange(None, b"GET", path, b"?secret=1", False, 100.0, 70)
    values: dict[str, object] = {
        "request_id": b"id-1", "trace_id": b"f" * 32, "client": b"192.0.2.1", "status": 200, "source": Source.UPSTREAM,
        "upstream": "app", "target": "127.0.0.1:9001", "attempts": 1, "bytes_out": 500, "version": 7,
        "upstream_seconds": 0.01, **changes,
    }  # fmt: skip
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_a_line_is_the_object_of_the_design_in_its_order(logger: Logger) -> None:
    one = line_of()
    one.host = b"a.example"
    logger.write(one)
    data = logger.drain()
    assert data.count(b"\n") == 1
    line = json.loads(data)
    assert list(line) == ORDER
    assert line == {
        "ts": "2023-11-14T22:13:20.250Z", "request_id": "id-1", "trace_id": "f" * 32, "client": "192.0.2.1",
        "method": "GET", "host": "a.example", "path": "/a", "route": "one", "consumer": None, "status": 200,
        "reason": "ok", "rule": None, "source": "upstream", "bytes_in": 70, "bytes_out": 500, "duration_ms": 12.3,
        "gateway_ms": 2.3, "upstream_ms": 10.0, "upstream": "app", "target": "127.0.0.1:9001", "attempts": 1,
        "cache": None, "limit": None, "version": 7, "worker": 3,
    }  # fmt: skip


def test_no_query_is_logged(logger: Logger) -> None:
    logger.write()
    assert b"secret" not in logger.drain()


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b'/"',
        b"/\\",
        b'/\\"',
        b"/{}",
        b"/<script>",
        b"/%00%0a",
        b'/","status":500,"x":"',
        b"*",
        b"/~|^`",
    ],
)
def test_no_path_breaks_a_line(logger: Logger, path: bytes) -> None:
    logger.write(line_of(path))
    line = json.loads(logger.drain())
    assert line["path"] == path.decode()
    assert line["status"] == 200


def test_every_reason_makes_a_line(logger: Logger) -> None:
    for reason in Reason:
        logger.write(line_of(reason=reason, rule="timeouts.idle", upstream="", target=""), b"null")
    lines = [json.loads(line) for line in logger.drain().splitlines()]
    assert [line["reason"] for line in lines] == [reason.value for reason in Reason]
    assert all(
        (line["rule"], line["route"], line["upstream"]) == ("timeouts.idle", None, None) for line in lines
    )


def test_a_target_of_two_upstreams_is_logged_with_the_right_one(logger: Logger) -> None:
    for name in ("app", "other", "app"):
        logger.write(line_of(upstream=name))
    assert [json.loads(line)["upstream"] for line in logger.drain().splitlines()] == ["app", "other", "app"]


def test_the_second_turns(logger: Logger) -> None:
    for wall in (1_700_000_000.9999, 1_700_000_001.0, 1_700_000_000.5):
        logger.write(wall=wall)
    times = [json.loads(line)["ts"] for line in logger.drain().splitlines()]
    assert times == ["2023-11-14T22:13:20.999Z", "2023-11-14T22:13:21.000Z", "2023-11-14T22:13:20.500Z"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", ""),
        (b"a b~", "a b~"),
        (b'"\\', '"\\'),
        (b"\r\n\x00\x1f\x7f", "\r\n\x00\x1f\x7f"),
        (b"\xc3\xa9", "é"),
        (b"\xe9", "é"),  # no UTF-8: Latin-1
        (b"\xed\xa0\x80", "\xed\xa0\x80"),  # a surrogate is no UTF-8
    ],
)
def test_escapes(raw: bytes, text: str) -> None:
    made = escaped(raw)
    assert json.loads(b'"' + made + b'"') == text
    assert not any(byte < 0x20 for byte in made), "a line would be cut"


@given(st.binary(max_size=30))
def test_any_bytes_become_a_json_string_of_one_line(raw: bytes) -> None:
    made = escaped(raw)
    assert isinstance(json.loads((b'"' + made + b'"').decode()), str)
    assert b"\n" not in made


def test_a_json_string_or_null() -> None:
    assert json_string("") == b"null"
    assert json.loads(json_string('a"b\\c\n')) == 'a"b\\c\n'


def test_lines_go_out_within_ten_milliseconds_and_one_timer_serves_a_batch(logger: Logger) -> None:
    for _ in range(5):
        logger.write()
    assert logger.read() == b""
    assert logger.timers.delays == [FLUSH_SECONDS]
    logger.timers.run()
    assert logger.read().count(b"\n") == 5
    assert logger.timers.due == []


def test_a_large_batch_does_not_wait_for_the_timer() -> None:
    logger = Logger(1 << 20)
    try:
        long = line_of(b"/" + b"a" * 8000)
        for _ in range(FLUSH_BYTES // 8000 + 2):
            logger.write(long)
        assert len(logger.read()) > 8000
    finally:
        logger.close()


def test_operational_lines_are_marked_one_by_one(logger: Logger) -> None:
    logger.log.enabled = False
    logger.log.operational("first\nsecond é\n")
    logger.log.operational("")
    assert logger.drain() == "!first\n!second é\n".encode()


def test_a_text_that_is_no_text_is_written_all_the_same(logger: Logger) -> None:
    logger.log.operational("bad \udcff")
    assert logger.drain() == b"!bad ?\n"


def test_a_full_pipe_costs_lines_which_are_counted_and_never_half_a_line(logger: Logger) -> None:
    total = 0
    while not logger.lost:
        logger.write(line_of(b"/" + b"%06d" % total + b"a" * 1000))
        total += 1
        if total % 100 == 0:
            logger.timers.run()
        assert total < 10_000
    logger.write(line_of(b"/after"))
    total += 1
    lines = [json.loads(line) for line in logger.drain().splitlines()]
    assert len(lines) + logger.lost == total
    assert lines[-1]["path"] == "/after"
    numbers = [int(line["path"][1:7]) for line in lines[:-1]]
    assert numbers == sorted(numbers)


def test_what_is_kept_for_a_logger_that_hangs_is_bounded(logger: Logger) -> None:
    for _ in range(4000):
        logger.write(line_of(b"/" + b"a" * 1000))
    kept = len(logger.drain())
    assert kept <= MAX_PENDING + 2 * FLUSH_BYTES


def test_timers_do_not_pile_up_while_the_logger_hangs(logger: Logger) -> None:
    for _ in range(2000):
        logger.write(line_of(b"/" + b"a" * 2000))
    assert len(logger.timers.due) == 1
    for _ in range(5):
        logger.timers.run()
    assert len(logger.timers.due) == 1


def test_it_goes_on_when_the_logger_reads_again(logger: Logger) -> None:
    for number in range(40):
        logger.write(line_of(b"/%d" % number))
    logger.timers.run()
    data = b""
    while logger.timers.due:
        data += logger.read()
        logger.timers.run()
    data += logger.read()
    assert [json.loads(line)["path"] for line in data.splitlines()] == [f"/{number}" for number in range(40)]


def test_a_logger_that_is_gone_costs_nothing(logger: Logger) -> None:
    os.close(logger.reading)
    logger.write()
    logger.log.flush()
    logger.write()
    logger.log.flush()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 3000)),
        st.tuples(st.just("burst"), st.integers(1, 60)),
        st.tuples(st.just("operational"), st.integers(0, 200)),
        st.tuples(st.just("timer"), st.just(0)),
        st.tuples(st.just("read"), st.integers(1, 9000)),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_any_schedule_of_a_slow_reader_sees_whole_lines_in_their_order(
    schedule: list[tuple[str, int]],
) -> None:
    logger = Logger()
    written, data = 0, b""
    try:
        for what, size in schedule:
            if what == "write":
                logger.write(line_of(b'/"' + b"%d/" % written + b"a" * size))
                written += 1
            elif what == "burst":
                for _ in range(size):
                    logger.write(line_of(b'/"' + b"%d/" % written + b"a" * 2000))
                    written += 1
            elif what == "operational":
                logger.log.operational(f"{written}/" + "x" * size)
                written += 1
            elif what == "timer":
                logger.timers.run()
            else:
                data += logger.read(size)
        data += logger.drain()
    finally:
        logger.close()
    lines = data.split(b"\n")
    assert lines.pop() == b""
    numbers = []
    for line in lines:
        if line.startswith(b"!"):
            numbers.append(int(line[1:].split(b"/")[0]))
        else:
            numbers.append(int(json.loads(line)["path"][2:].split("/")[0]))
    assert numbers == sorted(set(numbers))
    assert len(numbers) + logger.lost == written

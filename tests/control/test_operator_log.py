import fcntl
import os

from fastgw.control.operator_log import OperatorLog


def test_each_line_of_a_text_is_a_line_of_its_own_and_long_ones_are_cut() -> None:
    read, write = os.pipe()
    OperatorLog(write).say("one\ntwo\n" + "x" * 10_000)
    assert os.read(read, 1 << 16) == b"!one\n!two\n!" + b"x" * 4093 + b"\n"
    os.close(read)
    os.close(write)


def test_a_full_pipe_costs_a_line_and_no_time() -> None:
    read, write = os.pipe2(os.O_NONBLOCK)
    log = OperatorLog(write)
    for _ in range(fcntl.fcntl(write, fcntl.F_GETPIPE_SZ) // 64 + 1):
        log.say("x" * 100)
    assert log.dropped > 0
    os.close(read)
    log.say("nobody listens")
    os.close(write)


def test_who_looks_on_gets_every_line_whatever_becomes_of_it() -> None:
    read, write = os.pipe()
    log = OperatorLog(write)
    seen: list[str] = []
    log.also = seen.append
    os.close(read)
    log.say("one\ntwo")
    assert seen == ["one", "two"]
    assert log.dropped == 2
    os.close(write)

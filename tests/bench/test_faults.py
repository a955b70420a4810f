from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import faults, process
from bench.errors import BenchError
from bench.faults import Faults


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Faults]:
    started = process.spawn("faults", faults.argv(["a", "b"]), (0,), tmp_path / "output.log")
    try:
        yield faults.started(started)
    finally:
        process.stop(started)


def ask(address: str, ident: str) -> int:
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("POST", "/x", b"", {"X-Test-Id": ident})
    status = connection.getresponse().status
    connection.close()
    return status


def test_they_are_told_and_asked(running: Faults) -> None:
    assert list(running.addresses) == ["a", "b"]
    running.tell("b", faults.SAYS_503)
    assert [ask(running.addresses[name], "1") for name in ("a", "b")] == [200, 503]
    assert running.requests() == 2
    assert running.doubles() == {"POST": 1}
    assert running.counts("b")["faults"] == {"status": 1}
    running.restore()
    assert (running.requests(), running.doubles()) == (0, {})
    assert ask(running.addresses["b"], "1") == 200


@pytest.mark.parametrize(
    "order",
    [faults.OK, faults.REFUSE, faults.BLACK_HOLE, faults.STALL, faults.DRIP, faults.RESET, faults.SAYS_503],
    ids=lambda order: str(order["mode"]),
)
def test_every_order_is_understood(running: Faults, order: dict[str, object]) -> None:
    running.tell("a", order)
    assert running.counts("a")["mode"] == order["mode"]


def test_a_wrong_order_is_an_error_that_says_why(running: Faults) -> None:
    with pytest.raises(BenchError, match=r"422.*explode"):
        running.tell("a", {"mode": "explode"})


def test_half_a_line_is_not_read(tmp_path: Path) -> None:
    output = tmp_path / "output.log"
    output.write_text('warning\n{"targets": {"a"')
    assert faults.said(output) is None
    output.write_text('warning\n{"targets": {}, "control": "x"}\n')
    assert faults.said(output) == {"targets": {}, "control": "x"}

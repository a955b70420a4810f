"""The logger process: rotation, a reader that hangs, a share of the lines."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from tests.support import processes
from tests.support.client import Client, request
from tests.support.config import simple
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.wire import wait_for

Make = Callable[..., Gateway]


def test_usr1_reopens_the_log(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url))
    with one.client() as client:
        client.get("/before-rotation")
        one.journal.path_is("/before-rotation")
        rotated = one.log_path.with_suffix(".1")
        one.log_path.rename(rotated)
        one.send_signal(signal.SIGUSR1)
        wait_for(one.log_path.exists, 3, "a new log file")
        client.get("/after-rotation")
        wait_for(lambda: "/after-rotation" in one.log_path.read_text(), 3, "the line in the new file")
    assert "/before-rotation" in rotated.read_text()
    one.stop()


def test_a_stopped_logger_costs_lines_never_traffic(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url))
    workers = one.worker_pids()
    # Of the two children that are no workers the logger is the one that holds the log file.
    (logger,) = [
        pid
        for pid in processes.children(one.pid)
        if pid not in workers and str(one.log_path) in processes.descriptors(pid)
    ]
    os.kill(logger, signal.SIGSTOP)
    try:
        with one.client() as client:
            start = time.monotonic()
            for _ in range(1000):
                client.send(request("/gone-" + "x" * 200) * 4)
                for _ in range(4):
                    assert client.read().status == 200
                if one.metrics().sum("fastgw_log_lines_dropped_total") > 0 or time.monotonic() - start > 10:
                    break
        assert one.metrics().sum("fastgw_log_lines_dropped_total") > 0
    finally:
        os.kill(logger, signal.SIGCONT)
    wait_for(
        lambda: (
            len(one.journal.refresh()) + one.metrics().sum("fastgw_log_lines_dropped_total")
            == one.metrics().sum("fastgw_requests_total")
        ),
        5,
        "written and dropped lines making up all exchanges",
    )
    one.stop()


def test_a_successful_share_is_logged_and_every_refusal(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url), start=False)
    one.config["log"] = {"access": str(one.log_path), "sample": 0.0}
    one.start()
    with one.client() as client:
        for _ in range(20):
            client.get("/sampled")
        client.send(b"GET /refused HTTP/1.1\r\n\r\n")
        assert client.read().status == 400
    one.journal.wait(lambda entry: entry["status"] == 400)
    assert not one.journal.where(lambda entry: entry["path"] == "/sampled")
    one.stop()


def test_no_descriptor_leaks(make_gateway: Make, upstream: Upstream) -> None:
    """After a thousand connections, refusals and aborts a worker holds what it held after the first
    hundred."""
    one = make_gateway(simple(upstream.url))
    worker = one.worker_pids()[0]

    def storm(count: int) -> None:
        for number in range(count):
            with Client(one.address) as client:
                if number % 3 == 0:
                    client.send(b"GET / HTTP/1.1\r\n\r\n")
                    client.read()
                elif number % 3 == 1:
                    client.get("/x")
                else:
                    client.send(request("/x"))
                    client.reset()

    storm(100)
    wait_for(lambda: one.metrics().sum("fastgw_connections") == 0, what="no connection", every=0.05)
    before = processes.sockets(worker)
    storm(900)
    wait_for(lambda: one.metrics().sum("fastgw_connections") == 0, what="no connection", every=0.05)
    wait_for(lambda: processes.sockets(worker) <= before + 2, 6, "as many sockets as before", every=0.05)
    one.check_ledger()
    one.stop()

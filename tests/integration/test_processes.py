"""Signals, deaths and orphans of the real processes, with clients watching."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from tests.integration.outcome import takes
from tests.integration.traffic import Traffic
from tests.support import processes, scripts
from tests.support.client import Client, request
from tests.support.config import simple
from tests.support.gateway import PORT_IN_USE, ROOT, Gateway
from tests.support.upstream import Upstream
from tests.support.wire import Cut, wait_for

Make = Callable[..., Gateway]


def gated(upstream: Upstream, body: bytes = b"done") -> tuple[str, threading.Event]:
    gate = threading.Event()
    return upstream.script(scripts.when_allowed(gate, scripts.answer(scripts.message(body)))), gate


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


# --- a worker dies ---


def test_a_killed_worker_loses_only_its_own_exchanges(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url), workers=2)
    with Traffic(one, keep_alive=2, fresh=2) as traffic:
        traffic.wait_done(100)
        for _ in range(3):
            pids = one.worker_pids()
            os.kill(pids[0], signal.SIGKILL)
            wait_for(
                lambda p=pids: len(set(one.worker_pids()) - {0} - {p[0]}) == 2, 3, "a successor", every=0.005
            )
            traffic.wait_done(100)
    # At most what was in flight there at that moment: one request of each thread, three times.
    assert len(traffic.failures) <= 4 * 3, traffic.failures
    # A request on a fresh connection fails only if it was in flight: a connection that waited in the queue
    # is served.
    assert not [f for f in traffic.failures if "refused" in f.detail.lower() or "TimedOut" in f.detail]
    one.stop()


def test_the_successor_of_a_killed_worker_comes_soon(make_gateway: Make, upstream: Upstream) -> None:
    """Within 200 ms; measured from the kill to the first answer of the only worker's successor."""
    one = make_gateway(simple(upstream.url))
    with one.client() as client:
        client.get("/warm")
    old = one.worker_pids()[0]
    os.kill(old, signal.SIGKILL)
    with takes(0, 0.5), one.client() as client:
        assert client.get("/after-kill").status == 200
    assert one.worker_pids() != [old]
    one.stop()


def test_connections_in_the_queue_of_a_killed_worker_are_served(
    make_gateway: Make, upstream: Upstream
) -> None:
    """The socket is the supervisor's: what waits in it is answered by the successor."""
    one = make_gateway(simple(upstream.url))
    pid = one.worker_pids()[0]
    os.kill(pid, signal.SIGSTOP)
    clients = [one.client(timeout=10) for _ in range(20)]
    for number, client in enumerate(clients):
        client.send(request(f"/queued{number}"))
    os.kill(pid, signal.SIGKILL)
    for client in clients:
        assert client.read().status == 200
        client.close()
    one.check_ledger()
    one.stop()


def test_closed_exchanges_survive_a_kill_in_the_metrics(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url))
    with one.client() as client:
        for _ in range(25):
            client.get("/counted")
    os.kill(one.worker_pids()[0], signal.SIGKILL)
    with one.client() as client:
        client.get("/counted")
    wait_for(lambda: one.metrics().sum("fastgw_requests_total") == 26, what="26 counted", every=0.05)
    assert one.metrics().sum("fastgw_worker_respawns_total") == 1
    one.stop()


def test_a_stopped_workers_queue_is_taken_by_its_sibling(make_gateway: Make, upstream: Upstream) -> None:
    """After 1 s without its heartbeat."""
    one = make_gateway(simple(upstream.url), workers=2)
    stopped = one.worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        clients = [one.client(timeout=6) for _ in range(12)]
        for client in clients:
            client.send(request("/sibling"))
        with takes(0, 5):
            for client in clients:
                assert client.read().status == 200
                client.close()
    finally:
        os.kill(stopped, signal.SIGCONT)
    one.stop()


def test_a_hanging_worker_is_replaced(make_gateway: Make, upstream: Upstream) -> None:
    """Missed heartbeats for 10 s of the supervisor's ticks."""
    one = make_gateway(simple(upstream.url), workers=2)
    stopped = one.worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    with takes(8, 14):
        wait_for(lambda: not processes.alive(stopped), 15, "the end of the hanging worker", every=0.05)
    wait_for(lambda: len(set(one.worker_pids()) - {0, stopped}) == 2, 2, "a successor")
    one.stop()


def test_other_processes_may_die_too(make_gateway: Make, upstream: Upstream) -> None:
    """Control and logger are started again, and traffic never notices."""
    one = make_gateway(simple(upstream.url))
    workers = one.worker_pids()
    others = [pid for pid in processes.children(one.pid) if pid not in workers]
    assert len(others) == 2
    with Traffic(one, keep_alive=1, fresh=1) as traffic:
        traffic.wait_done(20)
        for pid in others:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: len(processes.children(one.pid)) == 3, 3, "three children again", every=0.01)
            traffic.wait_done(50)
    assert traffic.failures == []
    one.wait_ready()
    assert one.worker_pids() == workers
    with one.client() as client:
        client.get("/after-logger")
    one.journal.path_is("/after-logger")
    one.check_ledger()
    one.stop()


# --- draining ---


def test_term_finishes_what_was_read_and_closes_idle_connections_in_order(
    make_gateway: Make, upstream: Upstream
) -> None:
    one = make_gateway(simple(upstream.url), workers=2)
    path, gate = gated(upstream)
    busy = one.client()
    busy.send(request(path))
    upstream.one(path)
    idle = one.client()
    assert idle.get("/idle").status == 200
    family = processes.descendants(one.pid)
    one.send_signal(signal.SIGTERM)
    assert idle.stream.to_end() == b"", "an idle connection gets a FIN, not a reset"
    wait_for(lambda: refused(one.port), 3, "new connections refused")
    gate.set()
    answer = busy.read()
    assert (answer.body, (answer.get("Connection") or "").lower()) == (b"done", "close")
    assert busy.stream.to_end() == b""
    busy.close()
    idle.close()
    assert one.wait_exit() == 0
    assert not [pid for pid in family if processes.alive(pid)]
    one.journal.path_is(path)


def test_term_under_load_loses_no_request_that_was_read(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url), workers=2)
    with Traffic(one, keep_alive=3, fresh=1, path="/term-load") as traffic:
        traffic.wait_done(100)
        one.send_signal(signal.SIGTERM)
        assert one.wait_exit() == 0
    # After the end new connections are refused; before it, a connection may be closed between two requests, and a
    # request that crossed that close was never read. Never is an answer cut, and what was forwarded was answered.
    bad = [f for f in traffic.failures if "refused" not in f.detail.lower()]
    assert all("after 0 bytes" in f.detail for f in bad), bad
    assert len(upstream.find("/term-load")) == traffic.done
    assert len(one.journal.refresh()) == traffic.done


def test_term_waits_with_503_on_the_health_path(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url, drain={"delay": "600ms", "timeout": "5s"}))
    with one.client() as client:
        assert client.get("/healthz").status == 200
    one.send_signal(signal.SIGTERM)
    with takes(0, 0.5):

        def unready() -> bool:
            with one.client() as client:
                return client.get("/healthz").status == 503

        wait_for(unready, 1, "503 on the health path")
    with one.client() as client:
        assert client.get("/still-accepting").status == 200
    assert one.admin("/readyz")[0] == 503
    assert one.wait_exit() == 0


def test_the_drain_has_a_deadline(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url, drain={"delay": "0s", "timeout": "700ms"}))
    path = upstream.script(scripts.stall())
    with one.client(timeout=10) as client:
        client.send(request(path))
        upstream.one(path)
        family = processes.descendants(one.pid)
        with takes(0.6, 2.5):
            one.send_signal(signal.SIGTERM)
            one.wait_exit()
        with pytest.raises(Cut):
            client.read()
    assert not [pid for pid in family if processes.alive(pid)]


def test_quit_has_no_delay(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url, drain={"delay": "20s", "timeout": "5s"}))
    path, gate = gated(upstream)
    with one.client() as client:
        client.send(request(path))
        upstream.one(path)
        with takes(0, 3):
            one.send_signal(signal.SIGQUIT)
            wait_for(lambda: refused(one.port), 2, "new connections refused")
            gate.set()
            assert client.read().body == b"done"
            assert one.wait_exit() == 0


def test_int_stops_at_once(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url))
    path = upstream.script(scripts.stall())
    with one.client() as client:
        client.send(request(path))
        upstream.one(path)
        with takes(0, 1.5):
            assert one.stop(signal.SIGINT) == 0


# --- the supervisor dies ---


def test_a_killed_supervisor_leaves_no_port_and_no_process(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url, drain={"delay": "0s", "timeout": "3s"}), workers=2)
    path, gate = gated(upstream)
    busy = one.client()
    busy.send(request(path))
    upstream.one(path)
    family = processes.descendants(one.pid)
    os.kill(one.pid, signal.SIGKILL)
    one.wait_exit()
    wait_for(lambda: refused(one.port) and refused(one.admin_port), 1.5, "both ports free", every=0.01)
    one.run()  # a new instance on the same ports, while the old one's exchange is still going on
    one.wait_ready()
    with one.client() as client:
        assert client.get("/of-the-new").status == 200
    gate.set()
    assert busy.read().body == b"done"
    busy.close()
    wait_for(lambda: not [pid for pid in family if processes.alive(pid)], 5, "the end of every orphan")
    one.stop()


def test_orphans_end_at_the_drain_deadline(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url, drain={"delay": "0s", "timeout": "800ms"}))
    path = upstream.script(scripts.stall())
    with one.client() as client:
        client.send(request(path))
        upstream.one(path)
        family = processes.descendants(one.pid)
        os.kill(one.pid, signal.SIGKILL)
        one.wait_exit()
        with takes(0.3, 3):
            wait_for(
                lambda: not [pid for pid in family if processes.alive(pid)], 5, "the end of every orphan"
            )


# --- starting ---


def test_a_second_instance_fails_and_names_the_port(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url))
    second = make_gateway(simple(upstream.url), start=False)
    second.port, second.admin_port = one.port, one.admin_port
    second.write(second.config)
    second.run()
    assert second.wait_exit() == PORT_IN_USE
    said = second.stderr()
    assert str(one.admin_port) in said or str(one.port) in said
    assert "Traceback" not in said
    with one.client() as client:
        assert client.get("/first-still-works").status == 200
    one.stop()


def test_a_listener_in_use_by_somebody_else_fails_and_names_it(
    make_gateway: Make, upstream: Upstream
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        one = make_gateway(simple(upstream.url), start=False)
        one.port = other.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as free:
            one.admin_port = free.getsockname()[1]
        one.write(one.config)
        one.run()
        assert one.wait_exit() == PORT_IN_USE
        assert str(one.port) in one.stderr()
        assert "Traceback" not in one.stderr()


def test_a_bad_configuration_ends_the_start(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url, sever={}), start=False)
    one.port, one.admin_port = 1, 2
    one.write(one.config)
    one.run()
    assert one.wait_exit() == 1
    assert "gateway.yaml:" in one.stderr()
    assert "server" in one.stderr(), "the misspelt key's right name is suggested"
    assert "Traceback" not in one.stderr()


def test_the_start_says_where_it_listens(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url), workers=2)
    said = one.stderr()
    assert f"127.0.0.1:{one.port}" in said
    assert f"127.0.0.1:{one.admin_port}" in said
    one.stop()


def test_systemd_is_told(make_gateway: Make, upstream: Upstream, tmp_path) -> None:
    address = str(tmp_path / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(address)
        notify.settimeout(10)
        one = make_gateway(simple(upstream.url), start=False)
        one.start({"NOTIFY_SOCKET": address})
        assert b"READY=1" in notify.recv(4096).split(b"\n")
    one.stop()


# --- the logger ---


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


def test_no_child_stays_when_a_pager_reads_the_output(make_gateway: Make, upstream: Upstream) -> None:
    """`fastgw run | head`: a closed stdout must not end or block it."""
    import sys

    one = make_gateway(simple(upstream.url), start=False)
    one.spawn()
    one.wait_ready()
    one.stop()
    process = subprocess.Popen(
        [sys.executable, "-m", "fastgw", "run", "-c", str(one.file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        start_new_session=True,
    )
    one.process = process
    assert process.stdout is not None
    process.stdout.close()
    one.wait_ready()
    with one.client() as client:
        assert client.get("/closed-stdout").status == 200
    assert one.stop() == 0

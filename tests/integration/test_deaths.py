"""Processes that are killed or hang, with clients watching: what is lost, what goes on, what is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.integration.outcome import refused, takes
from tests.integration.traffic import Traffic
from tests.support import processes, scripts
from tests.support.client import request
from tests.support.config import simple
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.wire import wait_for

Make = Callable[..., Gateway]


# --- a worker, control, the logger ---


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
    # What a killed logger had read and not yet written is gone with it; no exchange is counted for it twice, or missed.
    counted = one.metrics().sum("fastgw_requests_total")
    assert len(one.journal.refresh()) <= counted
    assert counted >= 120
    one.stop()


# --- the supervisor ---


def test_a_killed_supervisor_leaves_no_port_and_no_process(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url, drain={"delay": "0s", "timeout": "3s"}), workers=2)
    path, gate = scripts.gated(upstream)
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

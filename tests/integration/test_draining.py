"""TERM, QUIT and INT: what was read is answered, and there is a deadline."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.integration.outcome import refused, takes
from tests.integration.traffic import Traffic
from tests.support import processes, scripts
from tests.support.client import request
from tests.support.config import simple
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.wire import Cut, wait_for

Make = Callable[..., Gateway]


def test_term_finishes_what_was_read_and_closes_idle_connections_in_order(
    make_gateway: Make, upstream: Upstream
) -> None:
    one = make_gateway(simple(upstream.url), workers=2)
    path, gate = scripts.gated(upstream)
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
    path, gate = scripts.gated(upstream)
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

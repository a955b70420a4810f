"""Reloads under load lose nothing, drop no connection, touch nothing that they do not change, and fail
harmlessly."""

from __future__ import annotations

import copy
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.test_websocket import echo_tunnel, open_tunnel
from tests.integration.traffic import Traffic
from tests.support import scripts
from tests.support.client import request
from tests.support.config import route, simple
from tests.support.gateway import ROOT, Gateway
from tests.support.upstream import Upstream
from tests.support.wire import wait_for

Config = dict[str, Any]


def config_of(upstream: Upstream, number: int = 0) -> Config:
    config = simple(upstream.url)
    config["routes"].append(
        route("changing", "/changing", reply={"status": 200, "body": f"version {number}"})
    )
    return config


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    one = Gateway(tmp_path_factory.mktemp("reload"), config_of(upstream), workers=2).start()
    yield one
    one.check_ledger()
    one.stop()


def fastgw_reload(gateway: Gateway) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fastgw", "reload", "-c", str(gateway.file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_a_reload_changes_what_it_says(live: Gateway, upstream: Upstream) -> None:
    with live.client() as client:
        for number in (1, 2):
            live.reload(config_of(upstream, number))
            assert client.get("/changing").body.decode() == f"version {number}"


def test_twenty_reloads_under_load_lose_nothing(live: Gateway, upstream: Upstream) -> None:
    with Traffic(live) as traffic:
        traffic.wait_done(100)
        for number in range(100, 120):
            live.reload(config_of(upstream, number))
        traffic.wait_done(100)
        reconnects = traffic.reconnects
    assert traffic.failures == []
    assert reconnects == 0, "a keep-alive connection was dropped"


def test_upstream_connections_survive_a_reload(live: Gateway, upstream: Upstream) -> None:
    """The pool belongs to the runtime, not to the snapshot."""
    with live.client() as client:
        client.get("/pool-before")
        live.reload(config_of(upstream, 200))
        client.get("/pool-after")
    before, after = upstream.one("/pool-before"), upstream.one("/pool-after")
    assert upstream.connection_of(before) is upstream.connection_of(after)


def test_an_exchange_ends_on_the_snapshot_it_began_with(live: Gateway, upstream: Upstream) -> None:
    gate = threading.Event()
    path = upstream.script(scripts.when_allowed(gate, scripts.answer(scripts.message(b"old"))))
    with live.client() as client:
        client.send(request(path))
        upstream.one(path)
        without = {"upstreams": {}, "routes": [route("other", reply={"status": 404, "body": "other"})]}
        live.reload(without)
        with live.client() as second:
            assert second.get("/x").body == b"other"
        gate.set()
        assert client.read().body == b"old"
        assert client.get("/x").body == b"other"
    live.reload(config_of(upstream, 300))


def test_a_websocket_is_left_alone(live: Gateway, upstream: Upstream) -> None:
    path = upstream.script(echo_tunnel)
    with open_tunnel(live, path) as client:
        for number in range(400, 403):
            live.reload(config_of(upstream, number))
            client.send(b"still")
            assert client.stream.exactly(5) == b"STILL"


BROKEN = {
    "unknown-key": lambda config: config["routes"][0].update(upstrem="main"),
    "unknown-upstream": lambda config: config["routes"][0].update(upstream="nowhere"),
    "a-tie": lambda config: config["routes"].append(route("all-again")),
    "a-bad-duration": lambda config: config.update(server={"header_timeout": "soon"}),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_changes_nothing_and_says_so(how: str, live: Gateway, upstream: Upstream) -> None:
    before = live.reload(config_of(upstream, 500 + len(how)))
    config = copy.deepcopy(config_of(upstream, 600))
    BROKEN[how](config)
    live.write(config)
    result = fastgw_reload(live)
    assert result.returncode == 1
    assert live.file.name in result.stderr + result.stdout
    status = live.status()
    assert status["version"] == before
    assert status["last_reload"]
    with live.client() as client:
        assert client.get("/changing").body.decode() == f"version {500 + len(how)}"


def test_a_broken_file_by_signal_is_in_the_log(live: Gateway, upstream: Upstream) -> None:
    import signal

    before = live.reload(config_of(upstream, 700))
    said = len(live.stderr())
    live.file.write_text("routes: [}\n")
    live.send_signal(signal.SIGHUP)
    wait_for(lambda: len(live.stderr()) > said, 5, "a line about the broken file")
    assert live.status()["version"] == before
    with live.client() as client:
        assert client.get("/changing").body == b"version 700"


def test_the_command_reloads(live: Gateway, upstream: Upstream) -> None:
    live.write(config_of(upstream, 800))
    result = fastgw_reload(live)
    assert result.returncode == 0, result.stderr
    wait_for(
        lambda: len({one["version"] for one in live.status()["workers"]}) == 1, what="all workers current"
    )
    with live.client() as client:
        assert client.get("/changing").body == b"version 800"


def test_a_respawned_worker_starts_from_the_current_document(
    make_gateway: Callable[..., Gateway], upstream: Upstream
) -> None:
    """Never from the one at boot."""
    import os
    import signal

    one = make_gateway(config_of(upstream, 1))
    version = one.reload(config_of(upstream, 2))
    old = one.worker_pids()[0]
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: [pid for pid in one.worker_pids() if pid not in {old, 0}], what="a successor")
    for _ in range(10):
        with one.client() as client:
            assert client.get("/changing").body == b"version 2"
    assert one.status()["workers"][0]["version"] == version
    one.stop()

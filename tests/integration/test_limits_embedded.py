"""`redis: {url: embedded}`: a private store that the gateway starts, watches, restarts and ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.client import request
from tests.support.config import route
from tests.support.gateway import Gateway
from tests.support.limits import limit, ok, running, stores_up
from tests.support.load import Lane, Load
from tests.support.wire import wait_for

RETURN = 2.0


def config_of(burst: int = 3) -> dict[str, Any]:
    few = limit("few", "header:X-Caller", burst=burst, on_error="deny")
    some = limit("some", "client_ip", "500/s", 500, on_error="local")
    return {
        "redis": {"url": "embedded", "timeout": "200ms"},
        "upstreams": {},
        "routes": [
            route("all", limits=[few], reply=ok()),
            route("some", "/some/*", limits=[some], reply=ok()),
        ],
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("embedded"), config_of(), 2, ledger=False) as one:
        wait_for(lambda: stores_up(one), what="the store asked by every worker", every=0.05)
        yield one


def server(gateway: Gateway) -> int:
    """The process of the embedded store; 0 without one."""
    for pid in processes.children(gateway.pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().lower()
        except (FileNotFoundError, ProcessLookupError):
            continue
        name = words.split(b"\0")[0]
        if (b"valkey-server" in name or b"redis-server" in name) and processes.alive(pid):
            return pid
    return 0


def statuses(gateway: Gateway, caller: str, count: int = 6) -> list[int]:
    found = []
    for _ in range(count):
        with gateway.client() as client:
            client.send(request("/x", fields=[f"X-Caller: {caller}"]))
            found.append(client.read().status)
    return found


def listening_on_tcp(pid: int) -> bool:
    """Whether one of its sockets is a listening one of TCP."""
    inodes = {one[8:-1] for one in processes.descriptors(pid) if one.startswith("socket:[")}
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return any(words[3] == "0A" and words[9] in inodes for words in lines)


def test_limits_are_exact_over_its_workers(gateway: Gateway) -> None:
    assert statuses(gateway, "first") == [200] * 3 + [429] * 3


def test_it_is_private(gateway: Gateway) -> None:
    pid = server(gateway)
    assert pid
    assert not listening_on_tcp(pid)
    paths = [
        Path(line.split()[7])
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]
        if len(line.split()) == 8 and f"socket:[{line.split()[6]}]" in processes.descriptors(pid)
    ]
    assert paths, "no Unix socket"
    for path in paths:
        assert path.parent.stat().st_mode & 0o077 == 0, f"others may enter {path.parent}"


def test_a_reload_leaves_it_alone(gateway: Gateway) -> None:
    pid = server(gateway)
    assert statuses(gateway, "reloaded", 2) == [200, 200]
    gateway.reload(config_of(burst=4))
    gateway.reload(config_of())
    assert server(gateway) == pid
    assert statuses(gateway, "reloaded", 2) == [200, 429]


def test_it_is_started_again_when_it_dies(gateway: Gateway) -> None:
    pid = server(gateway)
    lane = Lane(request("/some/x"), 6, 200.0)
    with Load(gateway.address, lane) as load:
        load.run_for(0.2)
        os.kill(pid, signal.SIGKILL)
        load.wait(lambda: server(gateway) not in {0, pid}, RETURN, "another one")
        load.wait(
            lambda: statuses(gateway, f"after-{server(gateway)}", 1) == [200], RETURN, "the store asked"
        )
        load.run_for(0.2)
    assert load.failures == []
    assert lane.statuses().keys() == {200}
    wait_for(lambda: stores_up(gateway), RETURN, "the store asked by every worker", every=0.05)
    assert statuses(gateway, "exact") == [200] * 3 + [429] * 3


def test_a_worker_that_dies_finds_it_again(gateway: Gateway) -> None:
    assert statuses(gateway, "survivor", 2) == [200, 200]
    before = set(gateway.worker_pids())
    os.kill(min(before), signal.SIGKILL)
    wait_for(lambda: len(set(gateway.worker_pids()) - before) == 1, 3.0, "a new worker", every=0.02)
    wait_for(lambda: stores_up(gateway), RETURN, "the store asked by every worker", every=0.05)
    assert statuses(gateway, "survivor", 3) == [200, 429, 429]


def test_it_ends_when_its_gateway_is_killed(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(config_of())
    assert statuses(gateway, "last", 4) == [200] * 3 + [429]
    family = processes.descendants(gateway.pid)
    assert server(gateway) in family
    gateway.send_signal(signal.SIGKILL)
    gateway.wait_exit()
    wait_for(lambda: not any(processes.alive(one) for one in family), 5.0, "the end of every child")


def test_it_is_last_to_go(make_gateway: Callable[..., Gateway]) -> None:
    """Who is drained still has limits: a request is decided by the store until the end."""
    gateway = make_gateway(config_of() | {"drain": {"delay": "500ms", "timeout": "5s"}})
    pid = server(gateway)
    with gateway.client() as client:
        for _ in range(2):
            assert client.get("/x", fields=["X-Caller: drained"]).status == 200
        gateway.send_signal(signal.SIGTERM)
        wait_for(lambda: gateway.admin("/readyz")[0] == 503, what="draining", every=0.01)
        assert statuses(gateway, "drained", 2) == [200, 429]
    assert gateway.wait_exit() == 0
    assert not processes.alive(pid)

"""What a reload or a respawn must not undo: bounds that are in use, and an operator's word about a circuit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import scripts
from tests.support.client import Client, request
from tests.support.config import route, service
from tests.support.faults import FaultProcess, fault_process
from tests.support.gateway import Gateway
from tests.support.outage import one_get
from tests.support.upstream import Upstream
from tests.support.wire import wait_for

Start = Callable[[dict[str, Any]], Gateway]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Gateway] = []

    def one(config: dict[str, Any]) -> Gateway:
        made.append(Gateway(tmp_path, config).start())
        return made[-1]

    yield one
    for each in made:
        each.stop()


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultProcess]:
    with fault_process("--listen", "a=127.0.0.1:0", "--listen", "b=127.0.0.1:0") as one:
        yield one


def over(faults: FaultProcess, *names: str) -> dict[str, Any]:
    targets = service(*(faults.url(name) for name in names), breaker={"failures": 3})
    return {"upstreams": {"u": targets}, "routes": [route("u", upstream="u")]}


def wish(gateway: Gateway, **told: object) -> None:
    body = json.dumps(told).encode()
    code, answer = gateway.admin("/api/upstreams/u/breaker", "POST", body, {"Content-Type": "application/json"})
    assert code == 200, answer


def shown(gateway: Gateway) -> Any:
    (one,) = json.loads(gateway.admin("/api/upstreams")[1])["upstreams"]
    return one


def until(gateway: Gateway, state: str) -> None:
    wait_for(lambda: shown(gateway)["breaker"][0]["state"] == state, 3.0, state, every=0.02)


def test_a_routes_bound_counts_those_inside_across_a_reload(start: Start) -> None:
    upstream = Upstream()
    path, gate = scripts.gated(upstream)

    def config(bound: int) -> dict[str, Any]:
        return {"upstreams": {"main": service(upstream.url)}, "routes": [route("few", max_in_flight=bound)]}

    gateway = start(config(2))
    with ExitStack() as stack:

        def ask() -> Client:
            client = stack.enter_context(gateway.client())
            client.send(request(path))
            return client

        for _ in range(2):
            ask()
        upstream.wait(lambda: len(upstream.find(path)) == 2)
        gateway.reload(config(3))
        ask()
        upstream.wait(lambda: len(upstream.find(path)) == 3)
        assert ask().read().status == 503
        gate.set()
    upstream.close()


def test_the_only_target_has_the_circuit_of_its_upstream(start: Start, faults: FaultProcess) -> None:
    gateway = start(over(faults, "a"))
    wish(gateway, state="open", target=faults.addresses["a"], **{"for": "60s"})
    until(gateway, "open")
    (target,) = shown(gateway)["targets"]
    assert (target["breaker"], target["forced"]) == (shown(gateway)["breaker"], shown(gateway)["forced"])
    assert target["breaker"][0]["forced"]
    assert one_get(gateway, "/reloads/1").status == 503
    wish(gateway, state="auto")
    until(gateway, "half_open")
    assert one_get(gateway, "/reloads/2").status == 200
    old = gateway.worker_pids()[0]
    os.kill(old, 9)
    wait_for(lambda: gateway.status()["workers"][0]["pid"] != old, 10.0)
    wait_for(lambda: gateway.status()["workers"][0]["state"] == "serving", 10.0)
    assert one_get(gateway, "/reloads/3").status == 200


def test_a_forced_target_closes_nobody_elses_circuit(start: Start, faults: FaultProcess) -> None:
    """a is taken out, b leaves the document and comes back."""
    gateway = start(over(faults, "a", "b"))
    wish(gateway, state="open", target=faults.addresses["a"], **{"for": "60s"})
    wait_for(lambda: shown(gateway)["targets"][0]["breaker"][0]["state"] == "open", 3.0, every=0.02)
    gateway.reload(over(faults, "a"))
    gateway.reload(over(faults, "a", "b"))
    assert {one_get(gateway, f"/reloads/b{number}").status for number in range(10)} == {200}
    assert shown(gateway)["breaker"][0]["state"] == "closed"

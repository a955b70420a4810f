"""One of two targets fails, and the upstream has a breaker: the other one goes on serving all (design section 7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.client import request
from tests.support.config import route, service
from tests.support.faults import FAULTS, WAYS, FaultProcess, fault_process
from tests.support.gateway import Gateway
from tests.support.outage import ask_all, said, state_of, statuses, targets, written_out

BREAKER = {"failures": 5, "open_for": "400ms"}


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultProcess]:
    with fault_process("--listen", "a=127.0.0.1:0", "--listen", "b=127.0.0.1:0") as process:
        yield process


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, faults: FaultProcess) -> Iterator[Gateway]:
    upstreams = {
        f"{fault}-{way}": service(
            faults.url("a"),
            faults.url("b"),
            balance=way,
            hash_on="header:X-Key",
            breaker=BREAKER,
            retries={"attempts": 2},
            timeouts={"response": "400ms", "connect": "400ms"},
        )
        for fault in FAULTS
        for way in WAYS
    }
    for name, options in upstreams.items():
        if not name.endswith("hash"):
            del options["hash_on"]
    upstreams["draws"] = service(faults.url("a"), faults.url("b"))
    routes = [route(name, f"/{name}/*", upstream=name) for name in upstreams]
    config = {"upstreams": upstreams, "routes": routes}
    one = Gateway(tmp_path_factory.mktemp("targets-breaker"), written_out(config)).start()
    yield one
    one.check_ledger()
    one.stop()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_failing_target_does_not_open_the_upstreams_circuit(
    fault: str, way: str, gateway: Gateway, faults: FaultProcess
) -> None:
    faults.tell("b", **FAULTS[fault])
    name = f"{fault}-{way}"
    asks = [
        ("GET", request(f"/{name}/x", fields=[f"X-Key: {number}"])) for number in range(160)
    ]
    found = ask_all(gateway, asks, 16)
    faults.tell("b", "ok")
    circuit = said(gateway, f"upstream {name}: circuit open")
    assert statuses(found) == {200: 160}, circuit
    assert set(targets(found)) == {"a"}
    assert not circuit
    assert state_of(gateway, name) == 0


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_errors_that_come_fast_draw_nobody(share: float, gateway: Gateway, faults: FaultProcess) -> None:
    """`p2c` looks for whoever answers soon; an error is not what it looks for."""
    faults.tell("a", "delay", ms=20)
    faults.tell("b", "status", status=503, share=share)
    found = ask_all(gateway, [("POST", request("/draws/x", method="POST", body=b"x"))] * 300, 8)
    for name in ("a", "b"):
        faults.tell(name, "ok")
    assert statuses(found)[200] >= 150, statuses(found)

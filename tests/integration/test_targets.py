"""One of two targets is dead, silent, broken or ill: nobody who can be served by the other one notices; and it comes
back little by little (design section 7)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.integration.outcome import check_refusal, takes
from tests.support import scripts
from tests.support.client import request
from tests.support.config import route, service
from tests.support.faults import FAULTS, WAYS, FaultProcess, fault_process
from tests.support.gateway import Gateway
from tests.support.load import Lane, Load
from tests.support.outage import (
    ask_all,
    gets,
    meets,
    nothing_left,
    one_get,
    statuses,
    targets,
    wait_said,
    written_out,
)
from tests.support.upstream import Exchange, Upstream
from tests.support.wire import wait_for

IDLE = {"idle_timeout": "300ms"}
RETRIES = {"attempts": 2}
BREAKER = {"failures": 5, "open_for": "400ms"}
HEALTH = {"interval": "200ms", "timeout": "150ms", "healthy_after": 2, "unhealthy_after": 2}


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultProcess]:
    names = ("a", "b")
    with fault_process(*(part for name in names for part in ("--listen", f"{name}=127.0.0.1:0"))) as process:
        yield process


class Checked:
    """A service whose health checks answer as told, whatever becomes of its requests."""

    def __init__(self, name: str) -> None:
        self.upstream = Upstream(default=self._answer)
        self.healthy = True
        self._name = name

    def _answer(self, exchange: Exchange) -> None:
        exchange.read_body()
        status = 200 if self.healthy or exchange.request.target != b"/healthz" else 503
        exchange.send(scripts.message(b"ok", status, f"X-Target: {self._name}"))


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Checked, Checked]]:
    made = Checked("one"), Checked("two")
    yield made
    for each in made:
        each.upstream.close()


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, faults: FaultProcess, pair: tuple[Checked, Checked]
) -> Iterator[Gateway]:
    both = {
        "timeouts": {"response": "400ms", "connect": "400ms"},
        "connections": IDLE,
        "retries": RETRIES,
    }
    urls = faults.url("a"), faults.url("b")
    upstreams = {
        f"{fault}-{way}": service(*urls, balance=way, **both)
        for fault in FAULTS
        for way in WAYS
    }
    upstreams["plain"] = service(*urls, connections=IDLE, timeouts={"response": "300ms"})
    upstreams["returns"] = service(*urls, balance="round_robin", slow_start="3s", **both)
    upstreams["storm"] = service(*urls, breaker=BREAKER, **both)
    upstreams["checked"] = service(
        *(each.upstream.url for each in pair), balance="round_robin", health=HEALTH, connections=IDLE
    )
    routes = [route(name, f"/{name}/*", upstream=name) for name in upstreams]
    config = {"upstreams": upstreams, "routes": routes}
    one = Gateway(tmp_path_factory.mktemp("targets"), written_out(config)).start()
    yield one
    one.check_ledger()
    one.stop()


@pytest.fixture(autouse=True)
def healed(faults: FaultProcess) -> Iterator[None]:
    yield
    for name in ("a", "b"):
        faults.tell(name, "ok")


@pytest.mark.parametrize("fault", FAULTS)
def test_no_replayable_request_fails(fault: str, gateway: Gateway, faults: FaultProcess) -> None:
    """With each way to balance, while one target is as it should be; and few meet the other one."""
    faults.tell("b", **FAULTS[fault])
    with nothing_left(gateway):
        for way in WAYS:
            name, met = f"{fault}-{way}", meets(faults, "b")
            asks = [
                (method, request(f"/{name}/{number}", method=method, body=body))
                for number in range(100)
                for method, body in (("GET", None), ("PUT", b"x" * 1000))
            ]
            found = ask_all(gateway, asks, 8)
            assert statuses(found) == {200: 200}, name
            assert set(targets(found)) == {"a"}, name
            # Eight at a time may meet it at first, then a trial now and then. (Whoever answers stays in: only a breaker
            # takes a target out for what it says.)
            assert meets(faults, "b") - met <= (200 if fault == "errs" else 20), name
        faults.tell("b", "ok")


def test_a_silent_target_is_met_by_few(gateway: Gateway, faults: FaultProcess) -> None:
    """Without any retries, a breaker or health checks: at most eight wait for its first time-out, and then one at a
    time."""
    faults.tell("b", "stall")
    lane = Lane(request("/plain/x"), connections=24, rate=200)
    met = meets(faults, "b")
    with Load(gateway.address, lane) as load:
        load.run_for(2.0)
    assert not load.failures
    found = lane.statuses()
    assert sum(found.values()) > 250
    assert found.get(504, 0) == meets(faults, "b") - met
    assert 1 <= found[504] <= 14, found
    assert set(found) == {200, 504}


def test_it_comes_back_little_by_little(gateway: Gateway, faults: FaultProcess) -> None:
    """First by a trial, then with a share that grows over slow_start."""
    faults.tell("b", "refuse")
    lane = Lane(request("/returns/x"), connections=16, rate=250)
    with Load(gateway.address, lane) as load:
        load.run_for(0.5)
        faults.tell("b", "ok")
        load.wait(lambda: meets_now(faults, "b"), 5.0, "a trial")
        before = meets(faults, "a") + meets(faults, "b"), meets(faults, "b")
        shares = []
        for _ in range(5):
            load.run_for(1.0)
            now = meets(faults, "a") + meets(faults, "b"), meets(faults, "b")
            shares.append((now[1] - before[1]) / (now[0] - before[0]))
            before = now
    assert set(lane.statuses()) == {200}
    # Half of all is its part, times a share of 0.1 to 0.4, 0.7, 1.0.
    assert 0.02 <= shares[0] <= 0.22, shares
    assert shares[0] < shares[2] and shares[1] <= 0.4, shares
    assert 0.4 <= shares[4] <= 0.6, shares


def meets_now(faults: FaultProcess, name: str) -> bool:
    return bool(faults.counts(name)["answered"])


def test_both_die_and_come_back(gateway: Gateway, faults: FaultProcess) -> None:
    """Under load: refused fast meanwhile, and nothing of it stays afterwards."""
    lane = Lane(request("/storm/x"), connections=16, rate=300)
    with nothing_left(gateway), Load(gateway.address, lane) as load:
        load.run_for(0.3)
        for name in ("a", "b"):
            faults.tell(name, "cut")
        load.wait(lambda: lane.statuses().get(503, 0) > 100, 5.0, "refusals")
        met = meets(faults, "a") + meets(faults, "b")
        done = len(lane.samples)
        load.run_for(1.0)
        attempts = meets(faults, "a") + meets(faults, "b") - met
        assert attempts <= 0.05 * (len(lane.samples) - done), attempts
        for name in ("a", "b"):
            faults.tell(name, "ok")
        load.wait(lambda: {one.status for one in lane.samples[-100:]} == {200}, 6.0, "the service again")
    assert not load.failures
    assert set(lane.statuses()) <= {200, 502, 503}


def test_a_head_that_drips_is_no_answer(gateway: Gateway, faults: FaultProcess) -> None:
    """A byte now and then does not put the response time-out off."""
    for name in ("a", "b"):
        faults.tell(name, "drip", at="head", interval=0.1)
    with gateway.client() as client, takes(0.3):
        answer = client.get("/plain/dripped")
    check_refusal(gateway, answer, 504, "response_timeout")


def test_health_checks_take_a_target_out_and_back_in(
    gateway: Gateway, pair: tuple[Checked, Checked]
) -> None:
    """It would answer requests, and is asked for none."""
    _, two = pair
    assert set(targets(ask_all(gateway, gets("/checked/both", 20), 2))) == {"one", "two"}
    two.healthy = False
    label = two.upstream.url.removeprefix("http://")

    def healthy() -> float:
        return gateway.metrics().sum("fastgw_target_healthy", upstream="checked", target=label)

    wait_for(lambda: healthy() == 0, 5.0, "the target to be out", every=0.02)
    assert set(targets(ask_all(gateway, gets("/checked/one", 40), 4))) == {"one"}
    wait_said(gateway, label, "checked")
    # A worker that is born now knows it too.
    (old,) = gateway.worker_pids()
    gateway.check_ledger()  # lines of the last 10 ms die with a worker
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: fresh(gateway, old), 10.0, "another worker", every=0.02)
    wait_for(lambda: healthy() == 0, 5.0, "the target to be out there", every=0.02)
    assert set(targets(ask_all(gateway, gets("/checked/reborn", 40), 4))) == {"one"}
    two.healthy = True
    wait_for(lambda: healthy() == 1, 5.0, "the target to be in again", every=0.02)
    assert set(targets(ask_all(gateway, gets("/checked/again", 40), 2))) == {"one", "two"}


def fresh(gateway: Gateway, old: int) -> bool:
    workers = gateway.status()["workers"]
    return bool(workers) and all(each["pid"] != old and each["version"] for each in workers)


def test_the_last_target_stays_in(gateway: Gateway, pair: tuple[Checked, Checked]) -> None:
    """All are ill by their checks, and all are asked."""
    for each in pair:
        each.healthy = False
    try:
        wait_for(
            lambda: gateway.metrics().sum("fastgw_target_healthy", upstream="checked") == 0,
            5.0, "both to be out", every=0.02,
        )  # fmt: skip
        found = ask_all(gateway, gets("/checked/last", 40), 4)
        assert statuses(found) == {200: 40}
    finally:
        for each in pair:
            each.healthy = True
    wait_for(
        lambda: gateway.metrics().sum("fastgw_target_healthy", upstream="checked") == 2,
        5.0, "both to be in", every=0.02,
    )  # fmt: skip


def test_an_answer_that_is_under_way_is_not_tried_again(gateway: Gateway, faults: FaultProcess) -> None:
    """Halved answers: the client sees the cut, never a second answer behind half of the first."""
    for name in ("a", "b"):
        faults.tell(name, "halve")
    met = meets(faults, "a") + meets(faults, "b")
    found = ask_all(gateway, gets("/plain/halved", 8), 2)
    assert statuses(found) == {0: 8}
    assert meets(faults, "a") + meets(faults, "b") == met + 8
    lines = gateway.journal.wait(lambda entry: entry["path"] == "/plain/halved", 8)
    assert {entry["reason"] for entry in lines} == {"response_truncated"}
    for name in ("a", "b"):
        faults.tell(name, "ok")
    assert one_get(gateway, "/plain/after").status == 200

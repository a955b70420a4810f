"""A store that stands still, dies, comes back empty, or refuses, under load: only the stated mode, nobody waits longer
than the timeout, nobody at all once that is known, and exact limits again within 2 s of its return."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import processes
from tests.support.client import request
from tests.support.config import route
from tests.support.gateway import Gateway
from tests.support.limits import limit, ok, remaining, running, stores_up
from tests.support.load import Lane, Load
from tests.support.valkey import Valkey
from tests.support.wire import Response, wait_for

TIMEOUT = 0.1
TICK = 0.005
NOISE = 0.15  # this machine's: two cores, shared with the load
RETURN = 2.0  # within so many seconds all is exact again
WORKERS = 2
RATE, BURST = 40, 200  # of the limit that is local in an outage
LOCAL, ALLOW, DENY, LEASED, FREE = (
    request(f"/{name}/x") for name in ("local", "allow", "deny", "leased", "free")
)


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as one:
        yield one


def config_of(valkey: Valkey) -> dict[str, Any]:
    routes = [route("free", "/free/*", reply=ok())]
    for mode in ("local", "allow", "deny"):
        wide = limit("wide", "client_ip", "1000/s", 1000, on_error=mode, lease="off")
        if mode == "local":
            wide |= {"rate": f"{RATE}/s", "burst": BURST}
        routes.append(route(mode, f"/{mode}/*", limits=[wide], reply=ok()))
    one = limit("one", "header:X-Caller", burst=3, on_error="deny")
    routes.append(route("exact", "/exact/*", limits=[one], reply=ok()))
    leased = limit("leased", "client_ip", "5000/s", 50_000, on_error="deny")
    routes.append(route("leased", "/leased/*", limits=[leased], reply=ok()))
    return {
        "redis": {"url": valkey.url, "timeout": f"{round(TIMEOUT * 1000)}ms"},
        "upstreams": {},
        "routes": routes,
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, valkey: Valkey) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("outage"), config_of(valkey), WORKERS) as one:
        wait_for(lambda: stores_up(one), what="the store asked by every worker", every=0.02)
        yield one


def ask(gateway: Gateway, path: str, *fields: str) -> Response:
    with gateway.client() as client:
        client.send(request(path, fields=fields))
        return client.read()


def drain(gateway: Gateway) -> None:
    """Empty the bucket of the local limit while the store still decides."""
    with gateway.client() as client:
        for _ in range(100):
            client.send(LOCAL * 20)
            if 429 in [client.read().status for _ in range(20)]:
                return
    raise AssertionError("never refused")


def exact(gateway: Gateway, caller: str) -> bool:
    """Whether a new bucket of three gives three, over connections to any worker."""
    found = [ask(gateway, "/exact/x", f"X-Caller: {caller}").status for _ in range(8)]
    return found == [200] * 3 + [429] * 5


def nobody_asks(gateway: Gateway) -> bool:
    return gateway.metrics().sum("fastgw_limit_store_up") == 0


def sockets(gateway: Gateway) -> list[int]:
    return [processes.sockets(pid) for pid in gateway.worker_pids()]


FAULTS: dict[str, tuple[Callable[[Valkey], object], Callable[[Valkey], object]]] = {
    "stopped": (Valkey.stall, Valkey.resume),
    "killed": (Valkey.kill, Valkey.restart),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_outage_under_load(fault: str, gateway: Gateway, valkey: Valkey) -> None:
    wait_for(lambda: stores_up(gateway), what="the store asked by every worker", every=0.05)
    harm, heal = FAULTS[fault]
    lanes = [Lane(one, 16, 128.0) for one in (LOCAL, ALLOW, DENY, LEASED, FREE)]
    before_sockets, said = sockets(gateway), len(gateway.stderr())
    local = lanes[0]
    drain(gateway)
    with Load(gateway.address, *lanes) as load:
        load.run_for(0.6)
        gone = time.monotonic()
        harm(valkey)
        try:
            load.run_for(0.9)
            assert nobody_asks(gateway)
            load.run_for(0.4)
        finally:
            back = time.monotonic()
            heal(valkey)
        load.run_for(RETURN)
        known_again = time.monotonic()
        load.run_for(0.8)
    assert load.failures == []
    check_waits(lanes, gone, back, fault)
    check_modes(lanes, gone, back, known_again)
    check_local_share(local, gone, back)
    # And exact: the bucket is one for both workers, and gives its rate; one that died has come back whole.
    since, whole = (known_again, 0) if fault == "stopped" else (back, BURST)
    due = whole + RATE * (load.ended - since)
    assert abs(local.statuses(since)[200] - due) <= 4 + 0.05 * due, (local.statuses(since), due)
    assert exact(gateway, f"{fault}-exact")
    wait_for(lambda: sockets(gateway) == before_sockets, 3.0, "as many connections as before", every=0.1)
    told = gateway.stderr()[said:]
    assert told.count("limits: ") >= 2 * WORKERS, (
        f"each worker says that it is gone, and that it is back: {told}"
    )


def check_waits(lanes: list[Lane], gone: float, back: float, fault: str) -> None:
    for lane in lanes:
        assert lane.latencies()[-1] <= TIMEOUT + TICK + NOISE, lane.request
    # A burst of timeouts (or one error) tells the limiter; from then on nobody waits.
    known = gone + 2 * TIMEOUT + NOISE
    for lane in lanes[:4]:
        late = [one for one in lane.latencies(known, back) if one >= TIMEOUT * 0.9]
        # One that a probe or a busy machine holds up may be among a hundred; one in every turn may not.
        assert len(late) <= 1, (lane.request, late)
        calm, stormy = lane.median(0, gone), lane.median(known, back)
        assert stormy <= 2 * calm + 0.003, f"median {calm * 1000:.1f} -> {stormy * 1000:.1f} ms"
    if fault == "killed":  # a lost connection is known at once
        assert lanes[1].latencies(gone, back)[-1] < TIMEOUT


def check_modes(lanes: list[Lane], gone: float, back: float, known_again: float) -> None:
    local, allow, deny, leased, free = lanes
    assert set(free.statuses()) == {200}
    assert set(allow.statuses()) == {200}
    assert set(local.statuses()) <= {200, 429}
    assert set(deny.statuses()) <= {200, 503}
    assert set(deny.statuses(0, gone - TIMEOUT)) == {200}
    assert set(deny.statuses(gone + 2 * TIMEOUT + NOISE, back)) == {503}, (
        "what denies without a store admitted"
    )
    # What was leased may be spent yet; after that it is denied.
    assert set(leased.statuses(0, back)) == {200, 503}
    assert set(leased.statuses(gone + 2 * TIMEOUT + NOISE, back)) == {503}
    assert set(leased.statuses(known_again)) == {200}
    assert set(deny.statuses(known_again)) == {200}, f"not exact {RETURN} s after the return"


def check_local_share(local: Lane, gone: float, back: float) -> None:
    """The bucket was empty: its shares start with nothing, and give their rate."""
    admitted = local.statuses(gone, back).get(200, 0)
    due = RATE * (back - gone)
    assert admitted <= 1.1 * due + 2 * WORKERS, f"{admitted} admitted where {due:.0f} were due: a gift"
    assert admitted >= 0.6 * due, f"{admitted} admitted where {due:.0f} were due: locked out"


def test_an_unseen_caller_gets_no_whole_burst_of_each_worker(gateway: Gateway, valkey: Valkey) -> None:
    wait_for(lambda: stores_up(gateway), what="the store asked by every worker", every=0.05)
    valkey.kill()
    try:
        wait_for(lambda: ask(gateway, "/deny/x") and nobody_asks(gateway), RETURN, "no store in the gauge")
        found = []
        for _ in range(12):
            with gateway.client(source="127.0.5.1") as client:
                client.send(LOCAL * 20)
                found += [client.read() for _ in range(20)]
    finally:
        valkey.restart()
    admitted = sum(one.status == 200 for one in found)
    assert 1 <= admitted <= RATE + 10, "more than a second's rate over all workers"
    refusals = [one for one in found if one.status == 429]
    assert all(int(one.get("Retry-After") or 0) >= 1 and "wide" in remaining(one) for one in refusals)
    wait_for(lambda: stores_up(gateway), RETURN + 0.5, "the store asked again", every=0.02)


def test_what_is_lost_in_the_store_is_not_noticed(gateway: Gateway, valkey: Valkey) -> None:
    """An empty script cache, and empty keys: no request sees a thing."""
    wait_for(lambda: stores_up(gateway), what="the store asked by every worker", every=0.05)
    deny = Lane(DENY, 6, 300.0)
    client = valkey.client()
    with Load(gateway.address, deny) as load:
        for _ in range(6):
            load.run_for(0.05)
            client.script_flush()
            client.flushall()
    assert load.failures == []
    assert deny.statuses().keys() == {200}
    assert deny.latencies()[-1] <= TIMEOUT + NOISE


REFUSALS: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "READONLY": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "OOM": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_store_that_refuses_to_write(refusal: str, gateway: Gateway, valkey: Valkey) -> None:
    """The real one, with its own words. A request that it would refuse anyway needs no write."""
    wait_for(lambda: stores_up(gateway), what="the store asked by every worker", every=0.05)
    harm, heal = REFUSALS[refusal]
    client = valkey.client()
    client.execute_command(*harm)
    try:
        start = time.monotonic()
        assert {ask(gateway, "/allow/x").status for _ in range(10)} == {200}
        assert {ask(gateway, "/deny/x").status for _ in range(10)} == {503}
        assert {ask(gateway, "/local/x").status for _ in range(10)} <= {200, 429}
        assert time.monotonic() - start < 30 * TIMEOUT * 0.5, "somebody waited for what was refused at once"
    finally:
        client.execute_command(*heal)
    healed = time.monotonic()
    wait_for(lambda: exact(gateway, f"{refusal}-{time.monotonic()}"), RETURN, "exact limits", every=0.02)
    assert time.monotonic() - healed <= RETURN

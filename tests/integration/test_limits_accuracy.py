"""How much is admitted under overload: rate times time plus burst within 2 %, whatever the number of workers and
connections, and without a caller's refusals costing it a token. Three seconds each; bench has the long ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import request
from tests.support.config import route
from tests.support.gateway import Gateway
from tests.support.limits import decided, limit, ok, running
from tests.support.load import Lane, Load
from tests.support.metrics import Metrics
from tests.support.valkey import Valkey
from tests.support.wire import wait_for

RATE, BURST = 200, 100
LEASED, LEASED_BURST = 1000, 500
SECONDS = 3.0
WITHIN = 0.02


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as one:
        yield one


def config_of(valkey: Valkey, workers: int) -> dict[str, Any]:
    """Its buckets are its own: the prefix says how many workers there are."""
    steady = {"key": "header:X-Caller", "rate": f"{RATE}/s", "burst": BURST}
    wide = {"key": "header:X-Caller", "rate": "100000/s", "burst": 100_000, "on_error": "deny"}
    leased = limit("leased", "header:X-Caller", f"{LEASED}/s", LEASED_BURST)
    return {
        "redis": {"url": valkey.url, "timeout": "1s", "prefix": f"w{workers}:"},
        "upstreams": {},
        "routes": [
            route("steady", "/steady/*", limits=[limit("steady", **steady)], reply=ok()),
            route("leased", "/leased/*", limits=[leased], reply=ok()),
            route("wide", "/wide/*", limits=[limit("wide", **wide)], reply=ok()),
            route("asked", "/asked/*", limits=[limit("asked", **wide, lease="off")], reply=ok()),
        ],
    }


def settled(gateway: Gateway) -> Metrics:
    """When what limits decided is all there: workers tell it once a second."""
    total = gateway.metrics().sum("fastgw_requests_total")
    wait_for(lambda: decided(gateway.metrics()) >= total, 3.0, "every decision counted", every=0.05)
    return gateway.metrics()


def asking(path: str, caller: str, *fields: str) -> bytes:
    return request(path, fields=[f"X-Caller: {caller}", *fields])


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_overload_is_admitted_at_the_rate(workers: int, tmp_path: Path, valkey: Valkey) -> None:
    """Callers far above their rate: one keeps its connections, one does not, and the third's limit is leased."""
    with running(tmp_path, config_of(valkey, workers), workers) as gateway:
        # Twice what is due and more; what is asked beyond that only takes the processors away from whoever must answer.
        keep = Lane(asking("/steady/x", "keep"), 16, 3.0 * RATE)
        fresh = Lane(asking("/steady/x", "fresh", "Connection: close"), 8, 3.0 * RATE, fresh=True)
        leased = Lane(asking("/leased/x", "leased"), 16, 2.0 * LEASED)
        with Load(gateway.address, keep, fresh, leased) as load:
            load.run_for(SECONDS)
        metrics = settled(gateway)
        assert load.failures == []
        assert decided(metrics, mode="local") == 0, "the store was not asked in time"
        for lane, rate, burst in ((keep, RATE, BURST), (fresh, RATE, BURST), (leased, LEASED, LEASED_BURST)):
            found, wanted = lane.statuses(), burst + rate * (load.ended - load.began)
            assert found.get(429, 0) > 0.1 * wanted, f"this was no overload: {found}"
            assert abs(found[200] - wanted) <= WITHIN * wanted + 1, (rate, found, wanted)
            # The burst is spent by now: refusals cost nothing, it still has its whole rate.
            late = lane.statuses(load.began + 1.5, load.ended - 0.1)
            steady = rate * (load.ended - 0.1 - load.began - 1.5)
            assert abs(late[200] - steady) <= WITHIN * steady + 2, (rate, late, steady)
        assert decided(metrics, "leased", mode="lease") > 0


def test_commands_are_shared(tmp_path: Path, valkey: Valkey) -> None:
    """64 in flight: a tenth of a command for each admitted request at most, a hundredth with leases."""
    with running(tmp_path, config_of(valkey, 1), 1) as gateway:
        for path, most in (("/asked/x", 0.1), ("/wide/x", 0.01)):
            lane = Lane(asking(path, "many"), 64)
            before = valkey.calls("evalsha") + valkey.calls("eval")
            with Load(gateway.address, lane) as load:
                load.run_for(0.5)
            asked = valkey.calls("evalsha") + valkey.calls("eval") - before
            admitted = lane.statuses()
            assert admitted.keys() == {200}
            assert asked <= most * admitted[200], f"{path}: {asked} commands for {admitted[200]}"
            assert load.failures == []

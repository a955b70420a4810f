"""What is admitted under overload, by several workers at once on a real store: rate x time + burst, as promised."""

from __future__ import annotations

import asyncio

import pytest

from tests.limiter.fakes import Desk, limit
from tests.support.valkey import Valkey

SECONDS = 1.2


@pytest.mark.parametrize("workers", [2, 8])
@pytest.mark.parametrize(("rate", "burst", "leases"), [(200.0, 100, False), (4000.0, 2000, True)])
async def test_overload(valkey: Valkey, workers: int, rate: float, burst: int, leases: bool) -> None:
    # Patient, so that a busy machine is not taken for an outage.
    desks = [Desk(valkey.url, workers=workers, timeout=1.0) for _ in range(workers)]
    for desk in desks:
        await desk.live()
    limits = [limit("one", rate, burst, leases=leases) for _ in desks]
    loop = asyncio.get_running_loop()
    admitted = asked = 0
    began = loop.time()
    while (last := loop.time()) - began < SECONDS:
        verdicts = await asyncio.gather(
            *[desk.ask((one, b"v")) for desk, one in zip(desks, limits, strict=True) for _ in range(5)]
        )
        admitted += sum(verdict.admitted for verdict in verdicts)
        asked += len(verdicts)
        await asyncio.sleep(0)
    due, surely = burst + rate * (loop.time() - began), burst + rate * (last - began - 0.02)
    held = sum(one.state[b"v"].stash for one in limits if one.state is not None)
    commands = sum(desk.limiter.commands for desk in desks)
    for desk in desks:
        desk.close()
    assert asked > 2 * due, "this is no overload"
    assert admitted <= due + 1
    assert admitted + held >= surely * 0.98
    assert held <= workers * max(1, rate * 0.01)
    if leases:
        assert commands < admitted / 3
    else:
        assert commands < asked / 10, "what is known to be empty is not asked"

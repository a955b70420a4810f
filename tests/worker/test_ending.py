"""An order only becomes more urgent."""

from __future__ import annotations

import asyncio

from fastgw.worker.ending import Ending, How


async def test_a_less_urgent_order_is_ignored():
    ending = Ending()
    ending.order(How.QUIT)
    ending.order(How.DRAIN)
    assert ending.how is How.QUIT


async def test_waiting_ends_with_a_more_urgent_order():
    ending = Ending()
    waiting = asyncio.create_task(ending.beyond(How.DRAIN))
    ending.order(How.DRAIN)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    ending.order(How.STOP)
    assert await waiting


async def test_waiting_ends_with_its_time():
    ending = Ending()
    assert not await ending.beyond(How.NOT, 0.001)
    ending.order(How.DRAIN)
    assert await ending.beyond(How.NOT, 0)

"""Faulty services in this process, for the tests of both kinds of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from fastgw.cli.faults.group import Faults
from fastgw.cli.faults.upstream import Upstream


@pytest.fixture
async def faults() -> AsyncIterator[Faults]:
    async with Faults() as faults:
        yield faults
    await asyncio.sleep(0)  # what was aborted is told so in the next turn


@pytest.fixture
async def target(faults: Faults) -> Upstream:
    return faults.upstream("a")

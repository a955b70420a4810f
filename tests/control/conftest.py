"""Fixtures of the tests of control."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fastgw.clock import SystemClock
from fastgw.control.collection import Collection
from fastgw.control.process import Control
from fastgw.control.published import Published
from fastgw.gateway.document.model import Document
from tests.control.harness import Gateway, ReadableLog, make_document


@pytest.fixture
def document() -> Callable[..., Document]:
    return make_document


@pytest.fixture
def published() -> Callable[..., Published]:
    def make(version: int = 1, **more: Any) -> Published:
        made = make_document(**more)
        return Published(version, made, made.parts())

    return make


@pytest.fixture
def log() -> Iterator[ReadableLog]:
    one = ReadableLog()
    yield one
    one.close()


@pytest.fixture
def admin_socket() -> Iterator[socket.socket]:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    yield sock
    sock.close()


@pytest.fixture
def token() -> str:
    """A module that wants one overrides it."""
    return ""


@pytest.fixture
def system_clock() -> SystemClock:
    """A module that wants another time overrides it."""
    return SystemClock()


@pytest.fixture
async def gateway(
    tmp_path: Path, admin_socket: socket.socket, log: ReadableLog, token: str, system_clock: SystemClock
) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path, admin_socket, log, token)
    loop = asyncio.get_running_loop()
    made.control = Control(made.context, loop, system_clock, made.resolve, made.announce, made.check, Collection(False))
    running = asyncio.ensure_future(made.control.run())
    hearing = asyncio.ensure_future(made.heard("ready"))
    await asyncio.wait({running, hearing}, return_when=asyncio.FIRST_COMPLETED)
    assert not running.done(), running.exception()
    await hearing
    yield made
    made.supervisor.close()
    async with asyncio.timeout(10):
        await running
    loop.set_exception_handler(None)
    await loop.shutdown_default_executor()


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{gateway.port}") as session:
        yield session


@pytest.fixture
def free_port() -> int:
    """Nobody listens there."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port

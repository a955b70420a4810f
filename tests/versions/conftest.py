"""One Valkey for the tests that only ask it; those that break one start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fastgw.versions.redis_server import RedisServer
from tests.support.valkey import Valkey


@pytest.fixture(scope="package")
def shared_valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture
def valkey(shared_valkey: Valkey) -> Valkey:
    """Empty."""
    shared_valkey.client().flushall()
    return shared_valkey


@pytest.fixture
def server(valkey: Valkey) -> Iterator[RedisServer]:
    server = RedisServer(valkey.url, valkey.url)
    yield server
    server.close()


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """To stall, kill and restart."""
    with Valkey() as server:
        yield server

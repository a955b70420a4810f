"""One Valkey for the tests that only ask it; those that break one start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.valkey import Valkey


@pytest.fixture(scope="package")
def shared_valkey() -> Iterator[Valkey]:
    with Valkey(tcp=True) as server:
        yield server


@pytest.fixture
def valkey(shared_valkey: Valkey) -> Valkey:
    """Empty."""
    client = shared_valkey.client()
    client.flushall()
    client.script_flush()
    client.config_resetstat()
    return shared_valkey


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """To stall, kill and restart."""
    with Valkey() as server:
        yield server

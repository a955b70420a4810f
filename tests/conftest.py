"""Fixtures that tests of several folders share: processes and sockets of a whole session, and nothing
else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.consumed import ReceiveQueues


@pytest.fixture(scope="session")
def queues() -> Iterator[ReceiveQueues]:
    """Tells when a peer on this machine has read what was sent to it."""
    one = ReceiveQueues()
    yield one
    one.close()

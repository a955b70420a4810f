"""Fixtures that tests of several folders share: processes and sockets of a whole session, and nothing
else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.consumed import ReceiveQueues

# Where Python shall write no bytecode (as in many container images), every gateway would compile everything anew, and
# every process of pytest the tests: a third of the suite's time. So it is kept where the tree does not see it.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


@pytest.fixture(scope="session")
def queues() -> Iterator[ReceiveQueues]:
    """Tells when a peer on this machine has read what was sent to it."""
    one = ReceiveQueues()
    yield one
    one.close()

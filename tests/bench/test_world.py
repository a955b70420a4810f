from __future__ import annotations

from pathlib import Path

import pytest

from bench import tools
from bench.machine import pinning, usable_cores
from bench.sides.side import Policies
from bench.world import Wanted, World


@pytest.mark.skipif(bool(tools.missing(["nginx", tools.STORE])), reason="nginx or a store is missing")
def test_a_store_lives_as_long_as_the_world(tmp_path: Path) -> None:
    with World(tmp_path, pinning(1, usable_cores())) as world:
        store = world._start_store("fastgw-chain-with-a-name-that-is-long-enough-to-break-a-socket")
        assert store.answers()
        assert len(str(store.socket_path)) < 107
        process = store.process.popen
        assert process.poll() is None
    assert process.poll() is not None
    assert not store.socket_path.parent.exists()


@pytest.mark.skipif(bool(tools.missing(["nginx", tools.STORE])), reason="nginx or a store is missing")
def test_peers_keep_their_buckets_themselves(tmp_path: Path) -> None:
    with World(tmp_path, pinning(1, usable_cores())) as world:
        instance = world.start(Wanted("nginx", "nginx", policies=Policies(address=5)))
        assert instance.store is None
        assert "rate=5r/s" in instance.command.config.read_text()

"""Instances that share a store count each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fastgw.limiter.announce import LIFE, MOST, AnnounceError, announce
from tests.support.valkey import Valkey

KEY = "p:instances"


async def test_the_living_are_counted(valkey: Valkey) -> None:
    assert await announce(valkey.url, b"p:", "one") == 1
    assert await announce(valkey.tcp_url, b"p:", "two") == 2
    assert await announce(valkey.url, b"p:", "one") == 2
    assert await announce(valkey.url, b"q:", "three") == 1
    assert LIFE <= valkey.client().ttl(KEY) <= 2 * LIFE


async def test_who_was_silent_for_ten_seconds_is_not(valkey: Valkey) -> None:
    client = valkey.client()
    now = client.time()[0]  # type: ignore[index]
    client.zadd(KEY, {"silent": now - LIFE - 1, "lately": now - LIFE + 3, "from the future": now + 1000})
    assert await announce(valkey.url, b"p:", "one") == 2
    assert {name for name, _ in client.zscan_iter(KEY)} == {b"one", b"lately"}


async def test_bounded(valkey: Valkey) -> None:
    client = valkey.client()
    now = client.time()[0]  # type: ignore[index]
    client.zadd(KEY, {f"i{number}": now - 1 for number in range(MOST + 50)})
    assert await announce(valkey.url, b"p:", "one") == MOST


async def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AnnounceError) as caught:
        await announce(f"unix://:hunter2@{tmp_path}/none", b"p:", "one")
    assert isinstance(caught.value, OSError)
    assert "hunter2" not in str(caught.value)


async def test_a_store_that_says_no(valkey: Valkey) -> None:
    valkey.client().set(KEY, "not a set")
    with pytest.raises(AnnounceError):
        await announce(valkey.url, b"p:", "one")


def test_workers_do_not_pay_for_redis_py() -> None:
    code = "import sys, fastgw.limiter.limiter; print('redis' in sys.modules, 'hiredis' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]

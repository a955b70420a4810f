from __future__ import annotations

import subprocess
import sys
import time

import pytest

from fastgw.versions.redis_server import RedisServer
from fastgw.versions.redis_store import RedisStore
from fastgw.versions.version import StoreAway
from tests.support.valkey import Valkey

SECRET = "a-password-that-nobody-may-see"


def test_nobody_there() -> None:
    store = RedisStore(RedisServer(f"redis://:{SECRET}@127.0.0.1:1", "redis://127.0.0.1:1"), "fastgw:")
    with pytest.raises(
        StoreAway, match=r"store redis://127\.0\.0\.1:1 cannot be used: .*redis\.url"
    ) as caught:
        store.newest()
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_wrong_password_is_said_without_it() -> None:
    with Valkey(["--requirepass", "right"]) as valkey:
        server = RedisServer(valkey.url.replace("unix://", f"unix://:{SECRET}@"), valkey.url)
        with pytest.raises(StoreAway, match="cannot be used: AuthenticationError") as caught:
            RedisStore(server, "fastgw:").newest_number()
        assert SECRET not in str(caught.value)


def test_a_server_that_does_not_answer_is_not_waited_for_without_end(own_valkey: Valkey) -> None:
    store = RedisStore(RedisServer(own_valkey.url, own_valkey.url, timeout=0.2), "fastgw:")
    store.add({}, "h", "x", "", True)
    own_valkey.stall()
    began = time.monotonic()
    with pytest.raises(StoreAway, match="TimeoutError"):
        store.newest_number()
    assert time.monotonic() - began < 1.0
    own_valkey.resume()
    assert store.newest_number() == 1


def test_a_server_that_was_away_is_used_again_by_the_next_call(own_valkey: Valkey) -> None:
    store = RedisStore(RedisServer(own_valkey.url, own_valkey.url), "fastgw:")
    store.add({}, "h", "x", "", True)
    own_valkey.kill()
    with pytest.raises(StoreAway):
        store.add({}, "h", "x", "", True)
    own_valkey.start()
    assert store.newest_number() == 0


def test_a_full_server_takes_nothing_and_loses_nothing(own_valkey: Valkey) -> None:
    store = RedisStore(RedisServer(own_valkey.url, own_valkey.url), "fastgw:")
    one = store.add({}, "h", "x", "", True)
    own_valkey.client().config_set("maxmemory", "1")
    with pytest.raises(StoreAway, match="OutOfMemoryError"):
        store.add({}, "h", "x", "", False)
    assert store.newest() == one


def test_a_key_that_is_something_else(valkey: Valkey, server: RedisServer) -> None:
    valkey.client().set("fastgw:{versions}:heads", "x")
    with pytest.raises(StoreAway, match="WRONGTYPE"):
        RedisStore(server, "fastgw:").newest_number()


def test_a_store_that_is_not_asked_costs_no_import() -> None:
    code = (
        "import sys\n"
        "from fastgw.versions.redis_server import RedisServer\n"
        "from fastgw.versions.redis_store import RedisStore\n"
        "from fastgw.versions.register import Register\n"
        "server = RedisServer('redis://127.0.0.1:1', 'x')\n"
        "RedisStore(server, 'a:'), Register(server, 'a:')\n"
        "server.close()\n"
        "sys.exit('redis' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

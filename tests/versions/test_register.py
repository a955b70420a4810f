from __future__ import annotations

import pytest

from fastgw.versions.redis_server import RedisServer
from fastgw.versions.register import LIFE, MOST, Register
from fastgw.versions.version import StoreAway
from tests.support.valkey import Valkey

ALIVE, LINES = "fastgw:{versions}:alive", "fastgw:{versions}:instances"


@pytest.fixture
def register(server: RedisServer) -> Register:
    return Register(server, "fastgw:")


def test_who_writes_is_read(register: Register) -> None:
    assert register.read() == []
    register.write("b/1", {"version": 1})
    register.write("a/1", {"version": 1})
    register.write("b/1", {"version": 2})
    assert register.read() == [("a/1", {"version": 1}), ("b/1", {"version": 2})]
    register.forget("a/1")
    assert register.read() == [("b/1", {"version": 2})]


def test_who_is_silent_is_forgotten(register: Register, valkey: Valkey) -> None:
    register.write("old", {})
    register.write("wrong clock", {})
    register.write("alive", {})
    client = valkey.client()
    now = int(client.time()[0])  # type: ignore[index]
    client.zadd(ALIVE, {"old": now - LIFE - 1, "wrong clock": now + 1000})
    assert [me for me, _ in register.read()] == ["alive"]
    assert client.hkeys(LINES) == [b"alive"]
    assert 0 < int(client.ttl(LINES)) <= 2 * LIFE  # type: ignore[arg-type]


def test_the_register_has_an_end(register: Register, valkey: Valkey) -> None:
    client = valkey.client()
    now = int(client.time()[0])  # type: ignore[index]
    client.zadd(ALIVE, {f"{number:05}": now - 1 for number in range(MOST)})
    client.hset(LINES, mapping={f"{number:05}": "{}" for number in range(MOST)})
    register.write("me", {})
    found = [me for me, _ in register.read()]
    assert len(found) == MOST
    assert "me" in found


@pytest.mark.parametrize("line", [b"x", b"[]", b'{"a": "' + b"x" * 5000 + b'"}'])
def test_what_is_no_line_is_left_out(register: Register, valkey: Valkey, line: bytes) -> None:
    register.write("strange", {})
    valkey.client().hset(LINES, "strange", line)  # type: ignore[arg-type]  # bytes are fine
    register.write("me", {"version": 1})
    assert register.read() == [("me", {"version": 1})]


def test_nobody_there() -> None:
    register = Register(RedisServer("redis://127.0.0.1:1", "redis://127.0.0.1:1"), "fastgw:")
    for ask in (register.read, lambda: register.write("me", {}), lambda: register.forget("me")):
        with pytest.raises(StoreAway):
            ask()

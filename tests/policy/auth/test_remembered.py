"""The memory of verified credentials is bounded, and what is used stays in it."""

from __future__ import annotations

import pytest

from fastgw.model.identity import Identity
from fastgw.policy.auth.remembered import Remembered


def identity(name: str = "a", issuer: str = "main") -> Identity:
    return Identity(f"{issuer}:{name}", issuer, "", frozenset(), {}, 2e9)


def key(number: int) -> bytes:
    return b"Bearer %d" % number


def test_what_is_added_is_found() -> None:
    memory = Remembered()
    one = identity()
    memory.add(key(1), one)
    assert memory.find(key(1)) is one
    assert memory.find(key(2)) is None
    memory.forget(key(1))
    assert memory.find(key(1)) is None


def test_it_is_bounded_in_number() -> None:
    memory = Remembered(max_entries=10)
    for number in range(1000):
        memory.add(key(number), identity())
        assert len(memory) <= 20
    assert memory.find(key(999)) is not None
    assert memory.find(key(0)) is None


def test_it_is_bounded_in_bytes() -> None:
    memory = Remembered(max_bytes=100_000)
    for number in range(1000):
        memory.add(b"%d" % number + b"x" * 8000, identity())
        assert sum(map(len, memory.young)) + sum(map(len, memory.old)) <= 2 * 100_000
    assert len(memory) > 1


def test_what_is_used_outlives_what_is_not() -> None:
    memory = Remembered(max_entries=10)
    memory.add(key(0), identity())
    for number in range(1, 100):
        memory.add(key(number), identity())
        assert memory.find(key(0)) is not None
    assert memory.find(key(1)) is None


@pytest.mark.parametrize("generation", ["young", "old"])
def test_one_issuer_is_forgotten(generation: str) -> None:
    memory = Remembered(max_entries=2)
    memory.add(key(1), identity(issuer="main"))
    memory.add(key(2), identity(issuer="dev"))
    if generation == "old":
        memory.add(key(3), identity(issuer="dev"))
        assert key(1) in memory.old
    memory.forget_all("main")
    assert memory.find(key(1)) is None
    assert memory.find(key(2)) is not None
    memory.forget_all()
    assert len(memory) == 0 and memory.bytes == 0


def test_what_was_forgotten_is_freed_in_portions() -> None:
    memory = Remembered(max_entries=1500)
    for number in range(4501):
        memory.add(key(number), identity())
    assert len(memory._dying) == 1500
    memory.sweep()
    assert len(memory._dying) == 1000
    memory.sweep()
    memory.sweep()
    assert len(memory._dying) == 0
    assert len(memory) == 1501

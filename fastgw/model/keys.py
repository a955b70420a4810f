"""Keys: by what the callers of a route are told apart where each shall always land in the same place.

The key of an exchange, the point a key stands for, and the draw between that point and one of several places. Stable:
every worker, every gateway of a fleet and every release finds the same place. May not live here: which places exist.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from math import log
from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from fastgw.model.exchange import Exchange

KeyOf = Callable[["Exchange"], bytes]

MASK: Final = (1 << 64) - 1
# Odd constants: multiplying by them is a permutation of 64 bits, and carries every bit into those above it.
_SPREAD: Final = 0x9E3779B97F4A7C15
MIX: Final = 0xD6E8FEB86659FD93
UNIT: Final = 2.0**-64


def key_of(kind: str) -> KeyOf:
    """`kind` is the option's word: client_ip, consumer or header:<name>.

    An exchange that lacks what is asked for (nobody was authenticated, the field is missing) goes by its address: one
    place for all of those would be a hot spot."""
    if kind == "client_ip":
        return _client
    if kind == "consumer":
        return _consumer
    if kind.startswith("header:"):
        return _Field(kind.removeprefix("header:").lower().encode("ascii"))
    raise ValueError(f"no key is called {kind!r}")


def _client(exchange: Exchange) -> bytes:
    return exchange.client


def _consumer(exchange: Exchange) -> bytes:
    identity = exchange.identity
    return exchange.client if identity is None else identity.key


class _Field:
    __slots__ = ("_name",)

    def __init__(self, name: bytes) -> None:
        self._name = name

    def __call__(self, exchange: Exchange) -> bytes:
        head = exchange.head
        return exchange.client if head is None else head.fields.get(self._name) or exchange.client


def point_of(key: bytes) -> int:
    """64 bits of a key. Hot: 0.11 us, of which blake2b would make 0.52.

    (A checksum's 32 bits are enough to spread callers, and a caller who chooses its key to collide with another's gains
    what the same key would give it.)"""
    return crc32(key) * _SPREAD & MASK


def seed_of(name: str) -> int:
    """64 bits of a place's name, made once: a digest, so that names in a row have nothing in common."""
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")


def draw(point: int, seed: int) -> float:
    """How far a point is from a place, exponentially distributed: the place with the least draw / weight gets the point
    in proportion to its weight, and a change of one place's weight moves only points to it or from it (weighted
    rendezvous hashing, Thaler and Ravishankar 1998). Rendezvous.pick has the same written out."""
    return -log(((point ^ seed) * MIX & MASK | 1) * UNIT)

"""Keys: whose they are, and points that are the same everywhere and spread evenly."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from fastgw.model.exchange import Exchange
from fastgw.model.identity import NEVER_EXPIRES, Identity
from fastgw.model.keys import draw, key_of, point_of, seed_of
from fastgw.model.messages import RequestHead

POINT = 14778872485717059715
SEED = 4395378772787762355


def exchange(*, consumer: str = "", **fields: str) -> Exchange:
    head = RequestHead({name.encode(): value.encode() for name, value in fields.items()})
    made = Exchange(head, b"GET", b"/", b"", False, 0.0, 0)
    made.client = b"192.0.2.1"
    if consumer:
        made.identity = Identity(consumer, "", "", frozenset(), {}, NEVER_EXPIRES)
    return made


def test_the_key_is_what_was_asked_for() -> None:
    caller = exchange(consumer="one", tenant="blue")
    assert key_of("client_ip")(caller) == b"192.0.2.1"
    assert key_of("consumer")(caller) == b"one"
    assert key_of("header:Tenant")(caller) == b"blue"


@pytest.mark.parametrize("kind", ["client_ip", "consumer", "header:tenant"])
def test_who_lacks_it_goes_by_the_address(kind: str) -> None:
    assert key_of(kind)(exchange(tenant="")) == b"192.0.2.1"
    unread = Exchange(None, b"", b"", b"", False, 0.0, 0)
    unread.client = b"192.0.2.2"
    assert key_of(kind)(unread) == b"192.0.2.2"


@pytest.mark.parametrize("kind", ["", "cookie", "Consumer", "header"])
def test_another_kind_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="no key is called"):
        key_of(kind)


def test_points_and_seeds_are_the_same_in_every_process() -> None:
    """Written down: a release that changed them would move every caller of every fleet."""
    assert point_of(b"192.0.2.1") == POINT
    assert seed_of("127.0.0.1:9001") == SEED
    code = "from fastgw.model.keys import *; print(point_of(b'192.0.2.1'), seed_of('127.0.0.1:9001'))"
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed}, capture_output=True, check=True, text=True, timeout=30,
        )  # fmt: skip
        assert run.stdout.split() == [str(POINT), str(SEED)]


def test_a_draw_is_never_negative_and_always_finite() -> None:
    for point in (0, 1, 2**63, 2**64 - 1):
        for seed in (0, 1, 2**63, 2**64 - 1):
            assert 0.0 <= draw(point, seed) < 50.0


@pytest.mark.parametrize("form", [b"%d", b"10.0.%d.7", b"user-%08d", b"%dx", b"2001:db8::%x"])
def test_keys_in_a_row_are_spread_evenly(form: bytes) -> None:
    seeds = [seed_of(f"127.0.0.1:{port}") for port in range(9001, 9011)]
    count = Counter(
        min(range(10), key=lambda index: draw(point, seeds[index]))
        for point in [point_of(form % number) for number in range(20_000)]
    )
    assert all(abs(got - 2000) < 200 for got in count.values())  # 4.7 standard deviations

"""What a faulty service can be told, and what makes no sense."""

from __future__ import annotations

import pytest

from fastgw.cli.faults.orders import OWN_KEYS, Order, OrderError, Script, order_of


@pytest.mark.parametrize("mode", OWN_KEYS)
def test_every_mode_is_told_by_its_name_and_shows_what_was_left_out(mode):
    order = order_of({"mode": mode})
    shown = order.as_json()
    assert shown["mode"] == mode
    assert set(shown) == {"mode", "share", "for", "seed", "checks", *OWN_KEYS[mode]}
    # What it shows can be told again.
    assert order_of(shown) == order


def test_a_seed_draws_the_same_again():
    def drawn(seed: int) -> list[bool]:
        script = Script(Order("stall", share=0.3, seed=seed))
        return [script.draw() is not None for _ in range(2000)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 500 < sum(drawn(1)) < 700


def test_shares_of_all_and_of_nothing():
    assert all(Script(Order("stall")).draw() for _ in range(100))
    assert not any(Script(Order("stall", share=0.0)).draw() for _ in range(100))
    assert not any(Script(Order()).draw() for _ in range(100))


def test_junk_is_no_http():
    script = Script(Order("garbage"))
    assert all(script.junk()[0] == 0 for _ in range(100))


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"mode": "stall", "ms": 5}, "mode stall does not know it; it takes toward, share"),
        ({"mode": "delay", "ms": -1}, "from 0"),
        ({"mode": "delay", "ms": "5"}, "no number"),
        ({"mode": "delay", "ms": True}, "no number"),
        ({"mode": "stall", "share": 1.1}, "from 0 to 1"),
        ({"mode": "stall", "for": 0}, "from 0.001"),
        ({"mode": "stall", "seed": 1.5}, "whole number"),
        ({"mode": "stall", "checks": 1}, "neither true nor false"),
        ({"mode": "cut", "at": "body"}, "none of read, head, answer, random"),
        ({"mode": "drip", "at": "read"}, "none of body, head"),
        ({"mode": "cut", "how": "nicely"}, "none of close, reset"),
        ({"mode": "status", "status": 100}, "from 200"),
        ({"mode": "blackhole", "share": 0.5}, "every packet"),
        ({"mode": ["ok"]}, "none of ok"),
    ],
)
def test_refused(keys, word):
    with pytest.raises(OrderError, match=word):
        order_of(keys)

from __future__ import annotations

from bench.cases import refusals
from bench.setting import BASE, OURS


def test_every_refusal_has_an_instance_of_its_side() -> None:
    for one in refusals.refusals():
        kind, policies = refusals.INSTANCES[one.instance]
        assert kind == one.side
        assert (refusals.FEW in (policies.address, policies.consumer)) == (one.status == 429)
    assert {one.instance for one in refusals.refusals()} == set(refusals.INSTANCES)


def test_ours_refuse_in_every_way_and_behind_the_whole_chain() -> None:
    ours = [one for one in refusals.refusals() if one.side == OURS]
    assert {one.status for one in ours} == {429, 401, 404}
    for kind, policies in refusals.INSTANCES.values():
        assert kind == BASE or (policies.address and policies.jwt and policies.consumer)


def test_tokens_that_come_back_meanwhile_are_few() -> None:
    # 64 consumers of a token a second, at the least of requests that a second of load makes
    assert 64 * 2 * refusals.FEW < 0.01 * 15_000
    assert refusals.CHECKED >= 64 * 3

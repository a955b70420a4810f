"""Several limits on one request: all or nothing, within a phase and over both, methods, tiers and shadow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.client import request
from tests.support.config import route
from tests.support.gateway import Gateway
from tests.support.limits import (
    ISSUERS,
    OTHER_SECRET,
    bearer,
    consumer,
    decided,
    either,
    limit,
    ok,
    policies,
    remaining,
    running,
)
from tests.support.valkey import Valkey
from tests.support.wire import Response, wait_for


def limited(name: str, *limits: dict[str, Any], **more: Any) -> dict[str, Any]:
    return route(name, f"/{name}/*", limits=list(limits), reply=ok(), **more)


ROUTES = [
    limited("pair", limit("small", "header:X-Caller"), limit("big", "route", burst=5)),
    limited("span", limit("address", "client_ip", burst=10), limit("who", "consumer"), auth=either()),
    limited("bad", limit("address", "client_ip", burst=5), limit("who", "consumer"), auth=either()),
    limited(
        "scoped",
        limit("address", "client_ip", burst=5),
        limit("who", "consumer", burst=3),
        auth=either() | {"scopes": ["orders:read"]},
    ),
    limited("write", limit("writes", "header:X-Caller", methods=["POST", "PUT"])),
    limited(
        "read", limit("reads", "header:X-Caller", methods=["GET"]), limit("each", "header:X-Caller", burst=9)
    ),
    limited(
        "tier", limit("who", "consumer", rate="1/h", tiers={"gold": "20/s", "iron": "2/h"}), auth=either()
    ),
    limited(
        "shadow", limit("ghost", "header:X-Caller", mode="shadow"), limit("real", "header:X-Caller", burst=4)
    ),
    limited("wave", limit("seven", "header:X-Caller", burst=7), limit("ample", "route", burst=5000)),
    limited("mixed", limit("leased", "route", "1000/s", 2000), limit("exact", "header:X-Caller", burst=1)),
    limited("many", *(limit(f"n{n}", "header:X-Caller", burst=20 - n) for n in range(12))),
    limited(
        "cors", limit("few", "client_ip"), cors={"origins": ["https://shop.example.com"], "methods": ["PUT"]}
    ),
    limited("shade", limit("dim", "header:X-Caller", burst=3, mode="shadow"), limit("hard", "route")),
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Valkey() as valkey:
        config = {
            "redis": {"url": valkey.url, "timeout": "1s"},
            "issuers": ISSUERS,
            "consumers": [
                consumer("plain", "key-plain"),
                consumer("other", "key-other"),
                consumer("gold", "key-gold", tier="gold", scopes=["orders:read"]),
                consumer("iron", "key-iron", tier="iron"),
            ],
            "upstreams": {},
            "routes": ROUTES,
        }
        with running(tmp_path_factory.mktemp("together"), config, 2) as one:
            yield one


def ask(gateway: Gateway, path: str, *fields: str, source: str = "", method: str = "GET") -> Response:
    with gateway.client(source=source) as client:
        client.send(request(path, fields=fields, method=method))
        return client.read(method)


def left(answer: Response) -> dict[str, int]:
    return {name: one[0] for name, one in remaining(answer).items()}


# --- all or nothing ---


def test_a_request_that_one_limit_refuses_is_charged_by_none(gateway: Gateway) -> None:
    for _ in range(2):
        assert ask(gateway, "/pair/x", "X-Caller: 1").status == 200
    for _ in range(5):
        refused = ask(gateway, "/pair/x", "X-Caller: 1")
        assert refused.status == 429
        assert left(refused) == {"small": 0, "big": 3}
    for _ in range(2):
        assert ask(gateway, "/pair/x", "X-Caller: 2").status == 200
    last = ask(gateway, "/pair/x", "X-Caller: 3")
    assert (last.status, left(last)) == (200, {"small": 1, "big": 0})
    for _ in range(3):  # now the other one refuses, and the first is not charged
        refused = ask(gateway, "/pair/x", "X-Caller: 3")
        assert (refused.status, left(refused)) == (429, {"small": 1, "big": 0})


@pytest.mark.parametrize("credential", ["X-API-Key: key-plain", bearer("span-user")], ids=["api-key", "jwt"])
def test_both_phases_are_one_where_the_caller_is_known(credential: str, gateway: Gateway) -> None:
    """Each worker has to get to know a credential once, and decides the phases one by one until then."""
    source = f"127.0.2.{len(credential) % 200 + 1}"
    found = [ask(gateway, "/span/x", credential, source=source).status for _ in range(20)]
    assert found == [200] * 2 + [429] * 18
    other = ask(gateway, "/span/x", bearer(f"other-{source}"), source=source)
    assert other.status == 200, "refused requests were charged to the address"
    assert 10 - 2 - gateway.workers - 1 <= left(other)["address"] <= 7


def test_another_caller_from_the_same_address_is_not_harmed_by_refusals(gateway: Gateway) -> None:
    for _ in range(20):
        ask(gateway, "/span/x", "X-API-Key: key-iron", source="127.0.2.201")
    found = [ask(gateway, "/span/x", "X-API-Key: key-other", source="127.0.2.201").status for _ in range(3)]
    assert found == [200, 200, 429]


@pytest.mark.parametrize("forged", [True, False], ids=["forged", "without"])
def test_bad_credentials_are_limited_by_address(forged: bool, gateway: Gateway) -> None:
    source = f"127.0.3.{1 + forged}"
    found = []
    for number in range(8):
        fields = [bearer("mallory", OTHER_SECRET, nonce=number)] if forged else []
        found.append(ask(gateway, "/bad/x", *fields, source=source))
    assert [one.status for one in found] == [401] * 5 + [429] * 3
    assert left(found[0]) == {"address": 4}, "the fields belong on this refusal too: the address was charged"
    # A good one from there has to wait as well; from elsewhere nothing has changed.
    assert ask(gateway, "/bad/x", "X-API-Key: key-plain", source=source).status == 429
    assert ask(gateway, "/bad/x", "X-API-Key: key-plain", source="127.0.3.9").status == 200


def test_a_known_caller_without_the_scopes_is_charged_to_its_address_only(gateway: Gateway) -> None:
    source = "127.0.3.20"
    found = [ask(gateway, "/scoped/x", "X-API-Key: key-plain", source=source) for _ in range(7)]
    assert [one.status for one in found] == [403] * 5 + [429] * 2
    good = ask(gateway, "/scoped/x", "X-API-Key: key-gold", source="127.0.3.21")
    assert (good.status, left(good)) == (200, {"address": 4, "who": 2})


def test_all_at_once_get_no_more_than_there_is(gateway: Gateway) -> None:
    """150 requests of one caller in one moment, over both workers: in one command or in several."""
    clients = [gateway.client() for _ in range(150)]
    for client in clients:
        client.send(request("/wave/x", fields=["X-Caller: wave"]))
    found = [client.read() for client in clients]
    for client in clients:
        client.close()
    assert [one.status for one in found].count(200) == 7
    assert 0 in {left(one)["seven"] for one in found if one.status == 200} <= set(range(7))
    assert {left(one)["ample"] for one in found if one.status == 429} <= set(range(4993, 5000))


def test_refusals_cost_a_leased_limit_nothing_either(gateway: Gateway) -> None:
    """Ten times what flows in meanwhile is refused by the other limit, and gives its tokens back."""
    with gateway.client() as client:
        one = request("/mixed/x", fields=["X-Caller: greedy"])
        found = []
        for _ in range(40):
            client.send(one * 100)
            found += [client.read().status for _ in range(100)]
        assert found == [200] + [429] * 3999
        others = [request("/mixed/x", fields=[f"X-Caller: modest-{n}"]) for n in range(1000)]
        found = []
        for at in range(0, 1000, 100):
            client.send(b"".join(others[at : at + 100]))
            found += [client.read().status for _ in range(100)]
        assert found == [200] * 1000


def test_a_dozen_limits_on_one_request(gateway: Gateway) -> None:
    found = [ask(gateway, "/many/x", "X-Caller: many") for _ in range(11)]
    assert [one.status for one in found] == [200] * 9 + [429] * 2
    assert left(found[0]) == {f"n{n}": 19 - n for n in range(12)}
    assert left(found[9]) == left(found[10]) == {f"n{n}": 11 - n for n in range(12)}
    assert json.loads(found[9].body)["violated-policies"] == ["n11"]


def test_a_preflight_costs_nothing(gateway: Gateway) -> None:
    """It is answered before the limits of the route."""
    source = "127.0.3.30"
    fields = ["Origin: https://shop.example.com", "Access-Control-Request-Method: PUT"]
    for _ in range(5):
        assert ask(gateway, "/cors/x", *fields, source=source, method="OPTIONS").status in {200, 204}
    found = [ask(gateway, "/cors/x", fields[0], source=source) for _ in range(3)]
    assert [one.status for one in found] == [200, 200, 429]
    assert found[2].get("Access-Control-Allow-Origin") == "https://shop.example.com"


# --- methods ---


def test_a_limit_of_some_methods_leaves_others_alone(gateway: Gateway) -> None:
    for _ in range(5):
        answer = ask(gateway, "/write/x", "X-Caller: w")
        assert answer.status == 200
        assert not remaining(answer)
        assert not policies(answer)
    found = [
        ask(gateway, "/write/x", "X-Caller: w", method=method).status for method in ("POST", "PUT", "POST")
    ]
    assert found == [200, 200, 429]
    assert ask(gateway, "/write/x", "X-Caller: w", method="DELETE").status == 200


def test_get_includes_head(gateway: Gateway) -> None:
    assert ask(gateway, "/read/x", "X-Caller: r", method="HEAD").status == 200
    assert ask(gateway, "/read/x", "X-Caller: r").status == 200
    refused = ask(gateway, "/read/x", "X-Caller: r", method="HEAD")
    assert refused.status == 429
    assert left(refused) == {"reads": 0, "each": 7}
    posted = ask(gateway, "/read/x", "X-Caller: r", method="POST")
    assert (posted.status, left(posted)) == (200, {"each": 6})


# --- tiers ---


def test_a_tier_changes_the_rate(gateway: Gateway) -> None:
    windows = {}
    for who in ("plain", "iron", "gold"):
        answer = ask(gateway, "/tier/x", f"X-API-Key: key-{who}")
        assert answer.status == 200
        windows[who] = policies(answer)["who"]
    assert windows == {"plain": (2, 7200), "iron": (2, 3600), "gold": (2, 1)}
    for who, again in (("plain", 429), ("iron", 429), ("gold", 200)):
        for _ in range(3):
            ask(gateway, "/tier/x", f"X-API-Key: key-{who}")
        if again == 200:  # 20 a second: within a moment there is one more
            wait_for(lambda: ask(gateway, "/tier/x", "X-API-Key: key-gold").status == 200, 2.0, every=0.03)
        else:
            assert ask(gateway, "/tier/x", f"X-API-Key: key-{who}").status == again


def test_a_token_gets_no_tier_by_itself(gateway: Gateway) -> None:
    answer = ask(gateway, "/tier/x", bearer("gold", tier="gold"))
    assert policies(answer)["who"] == (2, 7200)


# --- shadow ---


def test_a_limit_in_shadow_refuses_nothing_and_says_what_it_would_have(gateway: Gateway) -> None:
    before = decided(gateway.metrics(), "ghost", outcome="shadow")
    found = [ask(gateway, "/shadow/x", "X-Caller: s") for _ in range(5)]
    assert [one.status for one in found] == [200] * 4 + [429]
    assert left(found[3]) == {"real": 0}, "a shadow limit is not for the client's eyes"
    assert list(policies(found[3])) == ["real"]
    entries = [gateway.journal.of(one.get("X-Request-Id")) for one in found]
    assert [one["limit"] == "ghost" for one in entries] == [False, False, True, True, False]
    assert [one["reason"] for one in entries] == ["ok"] * 4 + ["rate_limited"]
    wait_for(lambda: decided(gateway.metrics(), "ghost", outcome="shadow") == before + 2, what="two counted")


def test_a_shadow_limit_is_not_charged_for_what_another_refuses(gateway: Gateway) -> None:
    found = [ask(gateway, "/shade/x", "X-Caller: d") for _ in range(8)]
    assert [one.status for one in found] == [200, 200] + [429] * 6
    # Had the six refusals been charged, the shadow limit (3) would have spoken up.
    assert all(gateway.journal.of(one.get("X-Request-Id"))["limit"] != "dim" for one in found)

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fastgw.upstream.options import RouteTimeouts, TimeoutsOptions, UpstreamOptions


def upstream(**options: Any) -> UpstreamOptions:
    return UpstreamOptions.model_validate({"name": "a", "targets": ["http://127.0.0.1:9001"], **options})


def test_a_short_target_is_a_target() -> None:
    short = upstream(targets=["http://127.0.0.1:9001"])
    long = upstream(targets=[{"url": "http://127.0.0.1:9001", "weight": 1}])
    assert short == long
    (target,) = short.targets
    assert (target.url, target.scheme, target.host, target.port, target.unix_path, target.weight) == (
        "http://127.0.0.1:9001", "http", "127.0.0.1", 9001, "", 1,
    )  # fmt: skip
    (unix,) = upstream(targets=["unix:/run/a.sock"]).targets
    assert (unix.host, unix.unix_path) == ("localhost", "/run/a.sock")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"targets": []}, "targets is empty"),
        ({"targets": ["http://x:1", {"url": "http://x:1", "weight": 2}]}, "listed twice"),
        ({"targets": ["http://x:443", "https://x"]}, "are the same port; write the one that it speaks"),
        ({"targets": [{"url": "http://x", "weight": 0}]}, "from 1 to 1000"),
        ({"targets": [{"url": "http://x", "host": "y"}]}, "Extra"),
        ({"targets": [{"where": "http://x"}]}, "required"),
        ({"balance": "random"}, "round_robin, least_requests, p2c or hash"),
        ({"balance": "hash", "hash_on": "cookie"}, "client_ip, consumer or header"),
        ({"hash_on": "client_ip"}, "no effect with balance: p2c; write balance: hash"),
        ({"balance": "round_robin", "hash_on": "client_ip"}, "no effect with balance: round_robin"),
        ({"connections": {"max": 0}}, "from 1"),
        ({"connections": {"queue": -1}}, "from 0"),
        ({"timeouts": {"connect": "0s"}}, "connect is 0"),
        ({"timeouts": {"total": "0ms"}}, "total is 0"),
        ({"dns_interval": "0s"}, "dns_interval is 0"),
        ({"max_in_flight": 0}, "from 1"),
    ],
)
def test_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        upstream(**options)
    assert hint in caught.value.errors()[0]["msg"]


def test_an_empty_block_is_an_absent_one() -> None:
    assert upstream(connections=None, timeouts=None) == upstream()
    assert upstream().timeouts == TimeoutsOptions()


def test_what_a_route_does_not_say_is_the_upstreams() -> None:
    route = RouteTimeouts.model_validate({"response": "5s"})
    assert (route.connect, route.response, route.idle, route.total) == (None, 5.0, None, None)


@pytest.mark.parametrize("key", ["client_ip", "consumer", "header:x-tenant", "header:X-Tenant"])
def test_what_a_key_may_be(key: str) -> None:
    assert upstream(balance="hash", hash_on=key).hash_on == key


def test_a_hash_needs_no_key() -> None:
    assert upstream(balance="hash").hash_on is None


def test_one_error_where_the_way_to_balance_is_wrong_itself() -> None:
    with pytest.raises(ValidationError) as caught:
        upstream(balance="hsah", hash_on="consumer")
    assert [error["loc"] for error in caught.value.errors()] == [("balance",)]

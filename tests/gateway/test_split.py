"""A split route: its parts forward by their own upstream's rules, and all else is the route's."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.gateway.rig import Gateway, Make, compiled

OLD = {"targets": ["http://127.0.0.1:9001"], "timeouts": {"response": "3s"}}
NEW = {"targets": ["http://127.0.0.1:9002"], "timeouts": {"response": "7s"}, "preserve_host": False}


def split(make: Make, **route: Any) -> Gateway:
    plain = {"name": "one", "match": {"path": "/*"}, "split": {"old": 90, "new": 10}, **route}
    other = {"name": "two", "match": {"path": "/two"}, "upstream": "old"}
    return make(upstreams={"old": OLD, "new": NEW, "app": OLD}, routes=[plain, other])


def upstreams(gateway: Gateway, times: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(times):
        exchange = gateway.run()[2]
        found[exchange.upstream] += 1
    return found


def test_each_part_gets_its_share(make_gateway: Make) -> None:
    found = upstreams(split(make_gateway), 400)
    assert 12 <= found["new"] <= 80
    assert found["old"] + found["new"] == 400


def test_a_sticky_caller_stays(make_gateway: Make) -> None:
    found = upstreams(split(make_gateway, sticky="client_ip"), 30)
    assert sorted(found.values()) == [30]


def test_a_part_forwards_by_the_rules_of_its_own_upstream(make_gateway: Make) -> None:
    gateway = split(make_gateway, split={"old": 0, "new": 1}, rewrite={"path": {"add_prefix": "/v2"}})
    forward, _, exchange = gateway.run(path=b"/x")
    assert exchange.upstream == "new"
    gateway.bench.loop.tasks[-1].run()
    connection = forward._connection
    assert connection is not None
    gateway.bench.outbox.flush()
    sent = connection.transport.written  # type: ignore[union-attr]  # the fake's
    assert sent.startswith(b"GET /v2/x HTTP/1.1\r\nHost: 127.0.0.1:9002\r\n")
    assert connection.deadline == gateway.bench.clock.now() + 7.0
    assert exchange.route is gateway.routes["one"]


def test_counts_are_the_routes(make_gateway: Make) -> None:
    gateway = split(make_gateway, max_in_flight=3)
    begun = [gateway.run()[2] for _ in range(5)]
    assert gateway.routes["one"].in_flight == 3
    assert [exchange.status for exchange in begun].count(503) == 2


def test_a_changed_weight_makes_a_new_route_and_an_upstreams_change_too() -> None:
    def key(weights: dict[str, int], new: dict[str, Any]) -> str:
        routes = [{"name": "one", "match": {"path": "/*"}, "split": weights}]
        plain = {"listeners": [{"address": "127.0.0.1:8080"}], "instance": "test", "upstreams": {"old": OLD, "new": new}}
        return compiled({**plain, "routes": routes}).routes["one"].key

    same = key({"old": 90, "new": 10}, NEW)
    assert key({"old": 90, "new": 10}, NEW) == same
    assert key({"old": 50, "new": 50}, NEW) != same
    assert key({"old": 90, "new": 10}, OLD) != same

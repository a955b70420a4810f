"""Run-time state follows the snapshot: what is unchanged keeps its pool, what is gone is retired."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from fastgw.model.exchange import Exchange
from fastgw.upstream.registry import Registry
from fastgw.upstream.target import Target
from tests.upstream.fakes import Bench, upstream

EXCHANGE = Exchange(None, b"GET", b"/", b"", False, 0.0, 0)
ONE, TWO = "http://127.0.0.1:9001", "http://127.0.0.1:9002"


@pytest.fixture
def registry(bench: Bench) -> Iterator[Registry]:
    made = Registry(bench.shared, Random(1).random, lambda *said: None)
    yield made
    made.abort()


def labels(registry: Registry, name: str = "app") -> list[str]:
    return [target.label for target in registry.upstreams[name].targets]


@pytest.mark.parametrize(
    ("url", "label", "address", "port", "host_field"),
    [
        ("http://127.0.0.1:9001", "127.0.0.1:9001", "127.0.0.1", 9001, b"127.0.0.1:9001"),
        ("http://127.0.0.1", "127.0.0.1:80", "127.0.0.1", 80, b"127.0.0.1"),
        ("http://[::1]:9001", "[::1]:9001", "::1", 9001, b"[::1]:9001"),
        ("http://[::1]", "[::1]:80", "::1", 80, b"[::1]"),
        ("https://127.0.0.1", "127.0.0.1:443", "127.0.0.1", 443, b"127.0.0.1"),
        ("https://127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", 80, b"127.0.0.1:80"),
        ("http://127.0.0.1:443", "127.0.0.1:443", "127.0.0.1", 443, b"127.0.0.1:443"),
        ("unix:/run/app.sock", "unix:/run/app.sock", "", 0, b"localhost"),
    ],
)
def test_targets_that_need_no_resolver(
    registry: Registry, url: str, label: str, address: str, port: int, host_field: bytes
) -> None:
    registry.reconcile({"app": upstream("app", [url])})
    app = registry.upstreams["app"]
    (target,) = app.targets
    assert (target.label, target.address, target.host_field) == (label, address, host_field)
    if port:
        assert target.port == port
    assert app.single is target
    assert not app.unresolved()


def test_unchanged_options_change_nothing(registry: Registry) -> None:
    options = upstream("app", [ONE, TWO])
    registry.reconcile({"app": options})
    before = registry.upstreams["app"].targets
    registry.reconcile({"app": options})
    assert registry.upstreams["app"].targets is before


def test_a_target_that_stays_keeps_its_pool_and_takes_over_weight_and_limits(registry: Registry) -> None:
    registry.reconcile({"app": upstream("app", [ONE, TWO])})
    app = registry.upstreams["app"]
    kept, gone = app.targets
    kept.ewma = 0.5
    registry.reconcile({"app": upstream("app", [{"url": ONE, "weight": 7}], connections={"max": 3})})
    assert registry.upstreams["app"] is app
    assert app.targets == (kept,)
    assert app.single is kept
    assert (kept.weight, kept.ewma, kept.pool.limits.max) == (7, 0.5, 3)
    assert gone.pool.generation == -1
    assert kept.pool.generation == 0


def test_a_target_that_returns_is_a_new_one(registry: Registry) -> None:
    options = upstream("app", [ONE, TWO])
    registry.reconcile({"app": options})
    old = registry.upstreams["app"].targets[1]
    registry.reconcile({"app": upstream("app", [ONE])})
    registry.reconcile({"app": upstream("app", [ONE, TWO])})
    new = registry.upstreams["app"].targets[1]
    assert new is not old
    assert new.pool.generation == 0


def test_an_upstream_that_is_gone_is_retired(registry: Registry) -> None:
    registry.reconcile({"app": upstream("app", [ONE]), "other": upstream("other", [TWO])})
    (target,) = registry.upstreams["app"].targets
    registry.reconcile({"other": registry.upstreams["other"].options})
    assert set(registry.upstreams) == {"other"}
    assert target.pool.generation == -1


def test_the_way_to_balance_may_change(registry: Registry) -> None:
    registry.reconcile({"app": upstream("app", [ONE, TWO], balance="round_robin")})
    app = registry.upstreams["app"]
    assert {app.choose(EXCHANGE, 0.0) for _ in range(2)} == set(app.targets)
    registry.reconcile({"app": upstream("app", [ONE, TWO], balance="least_requests")})
    app.targets[0].in_flight = 5
    assert all(app.choose(EXCHANGE, 0.0) is app.targets[1] for _ in range(10))


def test_the_bound_follows(registry: Registry) -> None:
    registry.reconcile({"app": upstream("app", [ONE], max_in_flight=5)})
    assert registry.upstreams["app"].max_in_flight == 5
    registry.reconcile({"app": upstream("app", [ONE])})
    assert registry.upstreams["app"].max_in_flight == 0


# --- names ---


def test_a_name_waits_for_its_addresses(registry: Registry) -> None:
    registry.reconcile({"app": upstream("app", ["http://app.internal:9001"])})
    app = registry.upstreams["app"]
    assert app.unresolved()
    assert app.choose(EXCHANGE, 0.0) is None
    assert app.why_none() is None  # nobody has said that there is none
    app.resolve("app.internal", 9001, ("10.0.0.1", "10.0.0.2"), None)
    assert not app.unresolved()
    assert labels(registry) == ["10.0.0.1:9001", "10.0.0.2:9001"]
    assert {target.host_field for target in app.targets} == {b"app.internal:9001"}
    assert app.single is None


def test_an_address_that_stays_keeps_its_pool_and_one_that_goes_is_retired(registry: Registry) -> None:
    registry.reconcile({"app": upstream("app", ["http://app.internal:9001"])})
    app = registry.upstreams["app"]
    app.resolve("app.internal", 9001, ("10.0.0.1", "10.0.0.2"), None)
    first, second = app.targets
    app.resolve("app.internal", 9001, ("10.0.0.2", "10.0.0.3"), None)
    assert app.targets[0] is second
    assert (first.pool.generation, second.pool.generation) == (-1, 0)


def test_the_last_good_addresses_are_kept_on_failure(registry: Registry) -> None:
    registry.reconcile({"app": upstream("app", ["http://app.internal:9001"])})
    app = registry.upstreams["app"]
    app.resolve("app.internal", 9001, (), "NXDOMAIN")
    assert not app.unresolved()  # an answer came, although a bad one
    assert app.why_none() == "NXDOMAIN"
    app.resolve("app.internal", 9001, ("10.0.0.1",), None)
    before: tuple[Target, ...] = app.targets
    app.resolve("app.internal", 9001, (), "SERVFAIL")
    assert app.targets is before
    app.resolve("app.internal", 9001, ("10.0.0.1",), None)
    assert app.targets is before


def test_addresses_survive_a_reload_that_keeps_the_name(registry: Registry) -> None:
    registry.reconcile({"app": upstream("app", ["http://app.internal:9001"])})
    app = registry.upstreams["app"]
    app.resolve("app.internal", 9001, ("10.0.0.1",), None)
    (target,) = app.targets
    registry.reconcile({"app": upstream("app", ["http://app.internal:9001", ONE])})
    assert app.targets[0] is target
    assert labels(registry) == ["10.0.0.1:9001", "127.0.0.1:9001"]


def test_a_second_name_that_is_not_resolved_yet_is_seen(registry: Registry) -> None:
    registry.reconcile({"app": upstream("app", [ONE, "http://late.internal:9001"])})
    app = registry.upstreams["app"]
    assert app.unresolved()
    assert labels(registry) == ["127.0.0.1:9001"]
    assert app.choose(EXCHANGE, 0.0) is app.targets[0]


def test_averages_fade_together(registry: Registry) -> None:
    registry.reconcile({"app": upstream("app", [ONE, TWO])})
    for target in registry.upstreams["app"].targets:
        target.ewma = 1.0
    registry.fade()
    assert all(target.ewma < 1.0 for target in registry.upstreams["app"].targets)


def test_an_abort_retires_everything(bench: Bench) -> None:
    registry = Registry(bench.shared, Random(1).random, lambda *said: None)
    registry.reconcile({"app": upstream("app", [ONE, TWO])})
    registry.abort()
    assert all(target.pool.generation == -1 for target in registry.upstreams["app"].targets)


def test_a_reload_that_changes_how_a_target_is_spoken_to_makes_its_connections_anew(registry: Registry) -> None:
    def reload(url: str, **options: object) -> Target:
        registry.reconcile({"app": upstream("app", [url], **options)})
        return registry.upstreams["app"].targets[0]

    target = reload("http://127.0.0.1:443")
    assert (target.tls, target.pool.generation, target.host_field) == (None, 0, b"127.0.0.1:443")
    assert reload("https://127.0.0.1:443") is target
    assert target.tls is not None
    assert (target.tls.server_name, target.pool.generation, target.host_field) == ("127.0.0.1", 1, b"127.0.0.1")
    assert reload("https://127.0.0.1:443", max_in_flight=3).pool.generation == 1  # no change of that
    assert reload("https://127.0.0.1:443", tls={"server_name": "a.example"}).pool.generation == 2
    assert reload("https://127.0.0.1:443", tls={"verify": False}).pool.generation == 3
    assert reload("http://127.0.0.1:443").pool.generation == 4
    assert target.tls is None

"""Where the store is and how it is reached, and gateways that share one: users, databases, TCP, a store that is not there
at the start, shares of an outage, and no store at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.client import request
from tests.support.config import route
from tests.support.gateway import Gateway
from tests.support.limits import limit, ok, stores_up
from tests.support.valkey import Valkey
from tests.support.wire import wait_for

PASSWORD = "pass-w0rd-of-this-test"


def config_of(url: str, instance: str = "", *, on_error: str = "deny", **redis: Any) -> dict[str, Any]:
    exact = limit("few", "header:X-Caller", burst=4, on_error=on_error)
    shared = limit("shared", "route", "20/s", 40, on_error="local")
    config: dict[str, Any] = {
        "upstreams": {},
        "routes": [
            route("all", limits=[exact], reply=ok()),
            route("shared", "/shared/*", limits=[shared], reply=ok()),
        ],
    }
    if url:
        config["redis"] = {"url": url, **redis}
    return config | ({"instance": instance} if instance else {})


def ask(gateway: Gateway, path: str = "/x", caller: str = "a") -> int:
    with gateway.client() as client:
        client.send(request(path, fields=[f"X-Caller: {caller}"]))
        return client.read().status


def statuses(gateway: Gateway, count: int, path: str = "/x", caller: str = "a") -> list[int]:
    return [ask(gateway, path, caller) for _ in range(count)]


def test_a_store_over_tcp_with_a_user_and_a_database(make_gateway: Callable[..., Gateway]) -> None:
    """Nobody is told the password, and the keys are where they belong."""
    acl = ["--user", "limiter", "on", f">{PASSWORD}", "~*", "&*", "+@all"]
    with Valkey(["--requirepass", "of-the-default-user", *acl], tcp=True) as valkey:
        url = f"redis://limiter:{PASSWORD}@127.0.0.1:{valkey.port}/3"
        gateway = make_gateway(config_of(url, timeout="1s", prefix="mine:"))
        assert statuses(gateway, 6) == [200] * 4 + [429] * 2
        client = valkey.client(db=3, username="limiter", password=PASSWORD)
        assert [key for key in client.keys("*") if key.startswith(b"mine:{a}")]
        code, shown = gateway.admin("/api/config")
        assert code == 200
        said = shown.decode() + gateway.stderr() + str(gateway.status())
        assert PASSWORD not in said
        assert gateway.stop() == 0


def test_a_wrong_password_is_an_outage_and_is_said(make_gateway: Callable[..., Gateway]) -> None:
    with Valkey(["--requirepass", PASSWORD], tcp=True) as valkey:
        gateway = make_gateway(config_of(f"redis://:{PASSWORD}x@127.0.0.1:{valkey.port}", timeout="300ms"))
        assert set(statuses(gateway, 5)) == {503}
        assert set(statuses(gateway, 5, "/shared/x")) == {200}
        wait_for(lambda: not stores_up(gateway), 3.0, "no store in the gauge", every=0.05)
        said = gateway.stderr()
        assert "WRONGPASS" in said, said
        assert PASSWORD not in said
        assert gateway.stop() == 0


def test_a_store_that_comes_later(make_gateway: Callable[..., Gateway]) -> None:
    """The gateway does not wait for it, and finds it by itself."""
    valkey = Valkey()
    try:
        gateway = make_gateway(config_of(valkey.url))
        assert set(statuses(gateway, 3)) == {503}
        assert ask(gateway, "/shared/x") == 200
        valkey.start()
        wait_for(lambda: ask(gateway, caller="probe") == 200, 2.0, "the store asked", every=0.02)
        assert statuses(gateway, 6) == [200] * 4 + [429] * 2
        gateway.stop()
    finally:
        valkey.stop()


def test_without_a_store_limits_are_local_and_it_says_so(make_gateway: Callable[..., Gateway]) -> None:
    """Nothing is out of order then: buckets start whole, nothing is denied."""
    gateway = make_gateway(config_of(""))
    wait_for(lambda: "local" in gateway.stderr(), what="a word about it")
    assert statuses(gateway, 6) == [200] * 4 + [429] * 2
    found = statuses(gateway, 60, "/shared/x")
    assert 40 <= found.count(200) <= 60
    assert gateway.stop() == 0


def test_gateways_share_buckets_and_shares(make_gateway: Callable[..., Gateway]) -> None:
    """One bucket for both while the store is there; each half of it while it is not."""
    with Valkey() as valkey:
        one, two = (make_gateway(config_of(valkey.url, name, timeout="1s")) for name in ("one", "two"))
        found = [ask(gateway) for _ in range(5) for gateway in (one, two)]
        assert found == [200] * 4 + [429] * 6
        # Each announces itself every 3 s and hears how many there are; the first has to do so once more.
        wait_for(
            lambda: all(gateway.status()["redis"]["instances"] == 2 for gateway in (one, two)),
            8.0,
            "each of both knows of the other",
            every=0.05,
        )
        valkey.kill()
        counts = [statuses(gateway, 60, "/shared/x").count(200) for gateway in (one, two)]
        # An unseen bucket starts with its share of a second's rate (20/s over two); a little flows in meanwhile.
        assert all(9 <= count <= 14 for count in counts), counts
        one.stop()
        two.stop()

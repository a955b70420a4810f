"""Who shares a bucket with whom, over two workers and a real store: what a limit may be keyed by, and what a client
may write to get a bucket that is not its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import TRUSTED
from tests.support.client import request
from tests.support.config import route
from tests.support.gateway import Gateway
from tests.support.limits import ISSUERS, bearer, consumer, either, limit, ok, running
from tests.support.valkey import Valkey
from tests.support.wire import Response


def keyed(name: str, key: str, limit_name: str = "", **more: Any) -> dict[str, Any]:
    return route(name, f"/{name}/*", limits=[limit(limit_name or f"by-{name}", key)], reply=ok(), **more)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Valkey() as valkey:
        config = {
            "redis": {"url": valkey.url, "timeout": "1s"},
            "trusted_proxies": [f"{TRUSTED}/32"],
            "issuers": ISSUERS,
            "consumers": [
                consumer("alpha", "key-of-alpha", subjects=[{"issuer": "dev", "subject": "a-7"}]),
                consumer("beta", "key-of-beta"),
            ],
            "upstreams": {},
            "routes": [
                keyed("address", "client_ip"),
                keyed("consumer", "consumer", auth=either()),
                keyed("claim", "claim:org", auth={"any": [{"jwt": "dev"}]}),
                keyed("header", "header:X-Tenant"),
                keyed("all", "route", "same-name"),
                keyed("all-too", "route", "same-name"),
            ],
        }
        with running(tmp_path_factory.mktemp("keys"), config, 2) as one:
            yield one


def ask(gateway: Gateway, path: str, *fields: str, source: str = "", **options: Any) -> Response:
    """Over a connection of its own: the next one may meet another worker."""
    with gateway.client(source=source) as client:
        client.send(request(path, fields=fields, **options))
        return client.read()


def exhausted(gateway: Gateway, path: str, *fields: str, source: str = "") -> None:
    """Two of three are admitted: this bucket was whole, and is empty now."""
    statuses = [ask(gateway, path, *fields, source=source).status for _ in range(3)]
    assert statuses == [200, 200, 429], (path, fields, source)


def empty(gateway: Gateway, path: str, *fields: str, source: str = "") -> None:
    assert ask(gateway, path, *fields, source=source).status == 429, (path, fields, source)


def from_address(gateway: Gateway, address: str) -> int:
    return ask(gateway, "/address/x", f"X-Forwarded-For: {address}", source=TRUSTED).status


# --- client_ip ---


def test_each_address_has_its_own(gateway: Gateway) -> None:
    exhausted(gateway, "/address/x", source="127.0.1.1")
    exhausted(gateway, "/address/x", source="127.0.1.2")
    empty(gateway, "/address/other-path", source="127.0.1.1")


@pytest.mark.parametrize(
    "same",
    [
        ["2001:db8:1:1::1", "2001:db8:1:1:ffff:ffff:ffff:ffff", "2001:0DB8:0001:0001:0000:0000:0000:0003"],
        ["2001:db8:2::", "2001:db8:2:0:1::", "2001:db8:2:0:0:0:0:9"],
        ["198.51.100.7", "::ffff:198.51.100.7", "::ffff:c633:6407"],
    ],
)
def test_addresses_that_are_one_subscriber(same: list[str], gateway: Gateway) -> None:
    assert [from_address(gateway, one) for one in same] == [200, 200, 429]


def test_another_network_of_64_bits_is_another_subscriber(gateway: Gateway) -> None:
    assert [from_address(gateway, "2001:db8:3:1::1") for _ in range(3)] == [200, 200, 429]
    assert from_address(gateway, "2001:db8:3:2::1") == 200
    assert from_address(gateway, "2001:db8:3:0:1::1") == 200


def test_an_untrusted_client_cannot_claim_addresses(gateway: Gateway) -> None:
    found = [
        ask(
            gateway,
            "/address/x",
            f"X-Forwarded-For: 203.0.113.{n}",
            f"X-Real-IP: 203.0.113.{n}",
            source="127.0.1.3",
        )
        for n in range(4)
    ]
    assert [one.status for one in found] == [200, 200, 429, 429]


def test_behind_a_trusted_proxy_only_the_last_address_counts(gateway: Gateway) -> None:
    found = [from_address(gateway, f"192.0.2.{n}, 203.0.113.77") for n in range(3)]
    assert found == [200, 200, 429]


# --- consumer ---


def test_each_consumer_has_its_own_wherever_it_comes_from(gateway: Gateway) -> None:
    key = "X-API-Key: key-of-alpha"
    assert ask(gateway, "/consumer/x", key, source="127.0.1.4").status == 200
    assert ask(gateway, "/consumer/x", key, source="127.0.1.5").status == 200
    empty(gateway, "/consumer/x", key, source="127.0.1.6")
    empty(gateway, "/consumer/x", bearer("a-7"))  # its declared subject is the same consumer
    empty(gateway, "/consumer/x", bearer("a-7", nonce=2))
    exhausted(gateway, "/consumer/x", "X-API-Key: key-of-beta")


def test_a_token_cannot_name_itself_into_a_consumer(gateway: Gateway) -> None:
    for _ in range(3):
        ask(gateway, "/consumer/x", "X-API-Key: key-of-alpha")
    exhausted(gateway, "/consumer/x", bearer("alpha"))
    exhausted(gateway, "/consumer/x", bearer("someone"))


def test_new_tokens_are_no_new_buckets(gateway: Gateway) -> None:
    found = [ask(gateway, "/consumer/x", bearer("minter", jti=str(n))).status for n in range(4)]
    assert found == [200, 200, 429, 429]


@pytest.mark.parametrize("subject", ["x" * 2000, "a}b{c", "tab\there", "\u540d\u524d", "dev:someone", "a b"])
def test_any_subject_is_one_bucket(subject: str, gateway: Gateway) -> None:
    exhausted(gateway, "/consumer/x", bearer(subject))
    assert ask(gateway, "/consumer/x", bearer(subject + "-")).status == 200


# --- claims ---


def test_all_who_share_a_claim_share_a_bucket(gateway: Gateway) -> None:
    assert ask(gateway, "/claim/x", bearer("one", org="acme")).status == 200
    assert ask(gateway, "/claim/x", bearer("two", org="acme")).status == 200
    empty(gateway, "/claim/x", bearer("three", org="acme"))
    exhausted(gateway, "/claim/x", bearer("one", org="other"))


def test_tokens_without_the_claim_are_not_unlimited(gateway: Gateway) -> None:
    found = [ask(gateway, "/claim/x", bearer(f"no-org-{n}")).status for n in range(4)]
    assert found == [200, 200, 429, 429]


@pytest.mark.parametrize("value", [["a", "b"], {"a": 1}, None, "", True, 7, 7.5])
def test_a_claim_of_any_type_is_limited(value: object, gateway: Gateway) -> None:
    """Whatever bucket it is, the same claim never gets more than one."""
    found = [ask(gateway, "/claim/x", bearer(f"odd-{n}", org=value)).status for n in range(4)]
    assert found.count(200) <= 2
    assert found[-2:] == [429, 429]


# --- header ---


def test_each_value_of_a_header_has_its_own(gateway: Gateway) -> None:
    exhausted(gateway, "/header/x", "X-Tenant: one")
    empty(gateway, "/header/x", "x-tENANT:   one  ")
    exhausted(gateway, "/header/x", "X-Tenant: two")


def test_requests_without_the_header_share_one(gateway: Gateway) -> None:
    found = [
        ask(gateway, "/header/x", *fields, source=source).status
        for fields, source in (
            ((), "127.0.1.7"),
            (("X-Tenant:",), "127.0.1.8"),
            (("X_Tenant: new",), "127.0.1.9"),  # dropped: it is no X-Tenant
            (("X-Tenant-Id: new",), ""),
        )
    ]
    assert found == [200, 200, 429, 429]


ODD = [
    "t" * 64 + "1",
    "t" * 64 + "2",
    "y" * 8000,
    "}{",
    "a}b",
    '"quoted\\"',
    "with blanks",
    "#hash",
    "\xff\xfe",
]


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
def test_any_value_is_one_bucket(value: str, gateway: Gateway) -> None:
    exhausted(gateway, "/header/x", f"X-Tenant: {value}")
    assert ask(gateway, "/header/x", f"X-Tenant: {value}~").status == 200


# --- route ---


def test_a_route_is_one_bucket_for_all_and_another_route_is_another(gateway: Gateway) -> None:
    assert ask(gateway, "/all/x", source="127.0.1.10").status == 200
    assert ask(gateway, "/all/y", source="127.0.1.11").status == 200
    empty(gateway, "/all/z", source="127.0.1.12")
    exhausted(gateway, "/all-too/x")  # the same name of a limit, another route

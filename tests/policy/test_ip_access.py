"""Who is admitted: equal to the standard library's arithmetic over random lists, and what has no address."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fastgw.errors import Reason
from fastgw.model.exchange import Exchange
from fastgw.policy.ip_access import MAX_REMEMBERED, IpAccess, IpAccessOptions, Networks, build


def policy(**options: Any) -> IpAccess:
    made = build(IpAccessOptions.model_validate(options))
    assert made is not None
    return made


def admitted(made: IpAccess, client: str) -> bool:
    exchange = Exchange(None, b"GET", b"/", b"", False, 1.0, 0)
    exchange.client = client.encode()
    return made.check(exchange, None) is None


def test_networks() -> None:
    options = IpAccessOptions.model_validate({"deny": ["192.0.2.0/24"]})
    assert (options.allow, options.deny, options.mode) == (
        ("0.0.0.0/0", "::/0"),
        ("192.0.2.0/24",),
        "enforce",
    )
    with pytest.raises(ValidationError, match=r"write 192\.0\.2\.0/24"):
        IpAccessOptions.model_validate({"deny": ["192.0.2.1/24"]})
    with pytest.raises(ValidationError, match="write enforce or shadow"):
        IpAccessOptions.model_validate({"mode": "off"})


def test_a_list_that_admits_nobody_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="allow is empty, so that nobody"):
        IpAccessOptions.model_validate({"allow": []})


@pytest.mark.parametrize(
    "options",
    [
        None,
        {},
        {"deny": []},
        {"allow": ["::/0", "0.0.0.0/0"]},
        {"allow": ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]},
        {"allow": ["0.0.0.0/0", "::/0", "10.0.0.0/8"]},
    ],
)
def test_where_everybody_is_admitted_there_is_no_policy(options: dict[str, Any] | None) -> None:
    assert build(None if options is None else IpAccessOptions.model_validate(options)) is None


@pytest.mark.parametrize(
    ("client", "served"),
    [
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("9.255.255.255", False),
        ("11.0.0.0", False),
        ("10.1.0.0", False),
        ("10.1.255.255", False),
        ("10.2.0.0", True),
        ("10.1.2.3", False),  # allow's longer prefix does not open what deny closes
        ("fd00::1", True),
        ("fd00::2", False),
        ("fe00::1", False),
        ("::ffff:10.0.0.1", True),  # IPv4 all the same
        ("::ffff:10.1.0.1", False),
        ("fd00::1%eth0", True),
        ("fd00:0:0::0001", True),
    ],
)
def test_allowed_and_not_denied(client: str, served: bool) -> None:
    made = policy(allow=["10.0.0.0/8", "10.1.2.0/24", "fd00::/64"], deny=["10.1.0.0/16", "fd00::2/128"])
    assert admitted(made, client) is served
    assert admitted(made, client) is served  # and the second time, from memory


def test_a_refusal() -> None:
    exchange = Exchange(None, b"GET", b"/", b"", False, 1.0, 0)
    exchange.client = b"192.0.2.7"
    made = policy(deny=["192.0.2.7"])
    reply = made.check(exchange, None)
    assert reply is not None
    assert (reply.reason, reply.status, reply.rule) == (Reason.IP_DENIED, 403, "ip_access")
    assert "192.0.2" not in reply.detail
    assert made.check(exchange, None) is reply


@pytest.mark.parametrize(
    ("client", "before", "after"),
    [
        ("192.0.2.7", "", "shadow:ip_access"),
        ("192.0.2.7", "shadow:other", "shadow:other"),
        ("192.0.3.7", "", ""),
    ],
)
def test_a_shadow_notes_and_refuses_nobody(client: str, before: str, after: str) -> None:
    made = policy(deny=["192.0.2.0/24"], mode="shadow")
    for _ in range(2):
        exchange = Exchange(None, b"GET", b"/", b"", False, 1.0, 0)
        exchange.client = client.encode()
        exchange.rule = before
        assert made.check(exchange, None) is None
        assert exchange.rule == after


@pytest.mark.parametrize("client", ["unix", "", "localhost", "1.2.3", "1.2.3.4.5", "01.2.3.4", "::g", "\xff:", "a\0:"])
def test_who_has_no_address_is_in_no_list(client: str) -> None:
    assert admitted(policy(deny=["192.0.2.0/24"]), client)
    assert not admitted(policy(allow=["0.0.0.0/0"]), client)
    assert not admitted(policy(allow=["::/0"]), client)
    assert not admitted(policy(allow=["10.0.0.0/8"]), client)
    assert admitted(policy(allow=["0.0.0.0/0", "::/0"], deny=["0.0.0.0/0", "::/0"]), client)


def test_ipv4_written_as_ipv6_is_not_overlooked() -> None:
    made = policy(deny=["::ffff:10.0.0.0/104"])
    assert not admitted(made, "10.9.9.9")
    assert admitted(made, "11.0.0.0")


def test_what_is_remembered_is_bounded_and_stays_right() -> None:
    made = policy(deny=["10.0.0.0/9"])
    for number in range(3 * MAX_REMEMBERED):
        client = f"10.{number % 256}.{number // 256}.1"
        assert admitted(made, client) is (number % 256 >= 128)
        assert len(made._verdicts) <= MAX_REMEMBERED


V4 = st.tuples(st.sampled_from(["10.0.0.0", "10.0.1.128", "10.0.1.255", "0.0.0.0", "255.255.255.255"]),
               st.sampled_from([0, 1, 8, 23, 24, 25, 30, 31, 32]))  # fmt: skip
V6 = st.tuples(st.sampled_from(["fd00::", "fd00::1:0", "::", "ffff::ffff", "::ffff:10.0.1.0"]),
               st.sampled_from([0, 1, 64, 96, 97, 112, 120, 128]))  # fmt: skip
NETWORKS = st.one_of(V4, V6).map(lambda pair: str(ip_network(f"{pair[0]}/{pair[1]}", strict=False)))
PREFIXES = st.lists(NETWORKS, max_size=6)


def naive(client: str, prefixes: list[str]) -> bool:
    """By the standard library, one network after the other; IPv4 is looked for in IPv6's clothes too."""
    address = ip_address(client)
    spellings = [address]
    if address.version == 4:
        spellings.append(IPv6Address(f"::ffff:{address}"))
    elif address.ipv4_mapped is not None:
        spellings.append(address.ipv4_mapped)
    return any(
        spelling in network
        for network in map(ip_network, prefixes)
        for spelling in spellings
        if not (network.version == 6 and network.prefixlen < 96 and len(spellings) > 1)
    )


@settings(max_examples=500)
@given(PREFIXES, PREFIXES, st.data())
def test_equal_to_the_standard_library(allow: list[str], deny: list[str], data: st.DataObject) -> None:
    networks = Networks(allow, deny)
    borders = ["1.2.3.4", "::5"]
    for prefix in allow + deny:
        network = ip_network(prefix)
        for number in (int(network[0]), int(network[-1]), int(network[0]) - 1, int(network[-1]) + 1):
            if 0 <= number < 1 << network.max_prefixlen:
                borders.append(str(type(network[0])(number)))
    client = data.draw(st.sampled_from(borders))
    assert networks.admits(client.encode()) is (naive(client, allow) and not naive(client, deny))


def test_ten_thousand_prefixes() -> None:
    random = Random(1)
    deny = [f"{random.randrange(1, 224)}.{random.randrange(256)}.{random.randrange(256)}.0/24" for _ in range(10_000)]
    networks = Networks(("0.0.0.0/0", "::/0"), deny)
    chosen = {prefix.rpartition(".")[0] for prefix in deny}
    for prefix in deny[:200]:
        stem = prefix.rpartition(".")[0]
        assert not networks.admits(f"{stem}.77".encode())
    assert all(networks.admits(f"{number}.1.1.1".encode()) for number in range(1, 224) if f"{number}.1.1" not in chosen)

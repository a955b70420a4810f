"""Which addresses may use a route: by the peer's own address, and by what a trusted proxy says of its client."""

from __future__ import annotations

import copy
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.conftest import TRUSTED
from tests.integration.outcome import check_refusal, counted
from tests.support.client import Client, request
from tests.support.config import route, service
from tests.support.gateway import Gateway, free_port
from tests.support.upstream import Upstream
from tests.support.wire import Response

OTHER = "127.0.0.7"  # a peer that nobody trusts


def config(url: str) -> dict[str, Any]:
    def access(name: str, **lists: Any) -> dict[str, Any]:
        return route(name, f"/{name}/*", ip_access=lists)

    return {
        "trusted_proxies": [f"{TRUSTED}/32"],
        "upstreams": {"main": service(url)},
        "issuers": {"dev": {"algorithms": ["HS256"], "secret": "a-secret-of-this-test-with-more-than-32-bytes"}},
        "routes": [
            route("open", "/open/*"),
            access("local", allow=["127.0.0.0/8"]),
            access("one", allow=["203.0.113.7/32", "2001:db8:1::/48"]),
            access("deny", deny=["192.0.2.0/24", "2001:db8:bad::/48", "127.0.0.7/32"]),
            access("hole", allow=["198.51.100.0/24", "203.0.113.7/32"], deny=["198.51.100.128/25", "203.0.113.0/24"]),
            access("shadow", allow=["10.0.0.0/8"], mode="shadow"),
            route(
                "asks", "/asks/*", ip_access={"allow": ["10.0.0.0/8"]}, auth={"any": [{"jwt": "dev"}]},
                cors={"origins": ["https://shop.example.com"]},
            ),
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("ip") / "front.sock")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, socket_path: str) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("ip-access")
    one = Gateway(directory, config(upstream.url), unix_listener=socket_path).start()
    yield one
    one.check_ledger()
    one.stop()


def ask(live: Gateway, path: str, *fields: str, source: str = TRUSTED, **options: Any) -> Response:
    with live.client(source=source) as client:
        return client.get(path, fields=fields, **options)


def status_for(live: Gateway, path: str, client: str) -> int:
    return ask(live, path, f"X-Forwarded-For: {client}").status


def test_a_refused_address_learns_nothing(live: Gateway, upstream: Upstream) -> None:
    with counted(live, "ip_denied"):
        answer = ask(live, "/one/refused", source=OTHER)
    entry = check_refusal(live, answer, 403, "ip_denied")
    assert (entry["client"], entry["route"]) == (OTHER, "one")
    assert entry["rule"] == "ip_access"
    assert b"203.0.113" not in answer.body, "the list is nobody's business"
    assert not upstream.find("/one/refused")


def test_the_peers_own_address_counts(live: Gateway) -> None:
    assert ask(live, "/local/x", source=OTHER).status == 200
    assert ask(live, "/deny/x", source=OTHER).status == 403
    assert ask(live, "/deny/x", source="127.0.0.8").status == 200
    assert ask(live, "/one/x", source="127.0.0.8").status == 403


@pytest.mark.parametrize(
    ("path", "client", "status"),
    [
        ("/one/x", "203.0.113.7", 200),
        ("/one/x", "203.0.113.6", 403),
        ("/one/x", "203.0.113.8", 403),
        ("/one/x", "2001:db8:1::5", 200),
        ("/one/x", "2001:DB8:0001:0:0:0:0:5", 200),
        ("/one/x", "2001:db8:2::5", 403),
        ("/one/x", "::ffff:203.0.113.7", 200),
        ("/one/x", "::ffff:203.0.113.8", 403),
        ("/one/x", "::203.0.113.7", 403),
        ("/deny/x", "192.0.2.1", 403),
        ("/deny/x", "192.0.1.255", 200),
        ("/deny/x", "192.0.3.0", 200),
        ("/deny/x", "::ffff:192.0.2.1", 403),
        ("/deny/x", "::FFFF:C000:0201", 403),
        ("/deny/x", "0:0:0:0:0:ffff:192.0.2.1", 403),
        ("/deny/x", "2001:db8:bad:ffff::1", 403),
        ("/deny/x", "2001:0DB8:0BAD:0000::1", 403),
        ("/deny/x", "2001:db8:bae::1", 200),
        ("/hole/x", "198.51.100.1", 200),
        ("/hole/x", "198.51.100.127", 200),
        ("/hole/x", "198.51.100.128", 403),
        ("/hole/x", "203.0.113.7", 403),
        ("/hole/x", "198.51.101.0", 403),
    ],
)
def test_the_client_of_a_trusted_proxy(path: str, client: str, status: int, live: Gateway) -> None:
    """None of `deny` and one of `allow`, whichever is longer."""
    assert status_for(live, path, client) == status


@pytest.mark.parametrize(
    "spelling",
    ["192.0.2.1:4711", '"192.0.2.1"', "[2001:db8:bad::1]", "[2001:db8:bad::1]:80", "2001:db8:bad::1%eth0",
     "192.000.002.001", "0xc0.0.2.1", "3221225985", "unix", "unknown", "_hidden", "192.0.2.1 ", "::ffff:192.0.2.1%1"],
)  # fmt: skip
def test_no_spelling_gets_past_a_denied_network(spelling: str, live: Gateway) -> None:
    """Either it is read as the address, and refused, or it is nobody's and the nearest proxy that we know is the
    client: the log says which, and it is never the text."""
    answer = ask(live, "/deny/spelled", f"X-Forwarded-For: {spelling}")
    entry = live.journal.of(answer.get("X-Request-Id"))
    if answer.status != 403:
        assert entry["client"] == TRUSTED, entry["client"]
    assert ask(live, "/one/spelled", f"X-Forwarded-For: {spelling}").status == 403, (
        "not allowed by any reading"
    )


def test_a_claim_of_an_untrusted_peer_is_worth_nothing(live: Gateway, upstream: Upstream) -> None:
    for fields in (
        ["X-Forwarded-For: 203.0.113.7"],
        ["x-forwarded-for: 203.0.113.7", "X-Forwarded-For: 203.0.113.7"],
        ["X-Real-IP: 203.0.113.7"],
        ["Forwarded: for=203.0.113.7"],
        ["True-Client-IP: 203.0.113.7", "CF-Connecting-IP: 203.0.113.7", "X-Client-IP: 203.0.113.7"],
        ["X_Forwarded_For: 203.0.113.7"],
    ):
        assert ask(live, "/one/claimed", *fields, source=OTHER).status == 403
        assert ask(live, "/deny/claimed", *fields, source=OTHER).status == 403
    assert not upstream.find("/one/claimed")


@pytest.mark.parametrize(
    ("chain", "status"),
    [
        ("203.0.113.7, 192.0.2.1", 403),  # what the client itself wrote comes first
        ("192.0.2.1, 203.0.113.7", 200),
        (f"203.0.113.7, {TRUSTED}", 200),
        (f"203.0.113.7, {TRUSTED}, 127.0.0.9", 200),
        (f"203.0.113.7, {OTHER}", 403),
        (f"203.0.113.7, {OTHER}, {TRUSTED}", 403),
        ("203.0.113.7,192.0.2.1", 403),
        ("203.0.113.7, ", 200),
        (", 203.0.113.7", 200),
    ],
)
def test_the_rightmost_untrusted_address_is_the_client(chain: str, status: int, live: Gateway) -> None:
    got = status_for(live, "/one/chain", chain)
    if re.search(r"^,|, $", chain):
        assert got in {status, 403}, "an empty member may be nobody; it may not be an error"
    else:
        assert got == status


def test_several_fields_are_one_chain(live: Gateway) -> None:
    two = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 192.0.2.1"]
    assert ask(live, "/one/fields", *two).status == 403
    assert ask(live, "/one/fields", *reversed(two)).status == 200


def test_the_address_is_each_requests_own(live: Gateway) -> None:
    """On one connection of the proxy, pipelined, with the same request line."""
    sent = [("203.0.113.7", 200), ("192.0.2.1", 403), ("203.0.113.7", 200), ("", 403), ("192.0.2.1", 403)]
    with live.client(source=TRUSTED) as client:
        for client_ip, _ in sent:
            fields = [f"X-Forwarded-For: {client_ip}"] if client_ip else []
            client.send(request("/one/pipelined", fields=fields))
        assert [client.read().status for _ in sent] == [status for _, status in sent]


def test_the_address_comes_before_the_credential(live: Gateway) -> None:
    answer = ask(live, "/asks/x", "Authorization: Bearer a.b.c", source=OTHER)
    check_refusal(live, answer, 403, "ip_denied")
    assert not answer.all("WWW-Authenticate")
    assert status_for(live, "/asks/x", "10.1.2.3") == 401
    preflight = ["Origin: https://shop.example.com", "Access-Control-Request-Method: GET"]
    assert ask(live, "/asks/x", *preflight, source=OTHER, method="OPTIONS").status == 403


def test_a_shadow_refuses_nobody(live: Gateway) -> None:
    assert ask(live, "/shadow/x", source=OTHER).status == 200


def test_a_unix_peer_has_no_address(live: Gateway, socket_path: str) -> None:
    """It passes where everybody is allowed, and is in no list."""
    with Client(socket_path) as client:
        assert client.get("/open/x").status == 200
        assert client.get("/deny/x").status == 200
        assert client.get("/local/x").status == 403
        assert client.get("/one/x", fields=["X-Forwarded-For: 203.0.113.7"]).status in {200, 403}


def test_a_body_of_a_refused_address_is_no_request(live: Gateway, upstream: Upstream) -> None:
    with live.client(source=OTHER) as client:
        client.send(request("/one/carrier", method="POST", body=request("/open/smuggled")))
        assert client.read().status == 403
        client.try_send(request("/open/behind"))
    assert not upstream.find("/open/smuggled")


def test_a_reload_counts_on_connections_that_exist(live: Gateway, upstream: Upstream) -> None:
    """Nothing that was remembered of an address survives it."""
    before = config(upstream.url)
    after = copy.deepcopy(before)
    after["routes"][1]["ip_access"] = {"allow": ["10.0.0.0/8"]}
    after["routes"][3]["ip_access"] = {"deny": ["192.0.2.0/24"]}
    with live.client(source=OTHER) as client:
        assert [client.get("/local/x").status, client.get("/deny/x").status] == [200, 403]
        live.reload(after)
        assert [client.get("/local/x").status, client.get("/deny/x").status] == [403, 200]
        live.reload(before)
        assert [client.get("/local/x").status, client.get("/deny/x").status] == [200, 403]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_peer_of_ipv6_is_in_the_lists_of_ipv6(
    make_gateway: Callable[..., Gateway], upstream: Upstream
) -> None:
    port = free_port()
    document = config(upstream.url)
    document["listeners"] = [{"address": f"[::1]:{port}"}]
    document["routes"].append(route("six", "/six/*", ip_access={"allow": ["::1/128"]}))
    one = make_gateway(document)
    with Client(("::1", port)) as client:
        paths = ("/six", "/local", "/one", "/deny")
        assert [client.get(f"{path}/x").status for path in paths] == [200, 403, 403, 200]
    one.stop()

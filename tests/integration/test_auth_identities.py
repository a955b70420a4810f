"""Whom the upstream and the log are told of, what a client may not say of itself, and what a reload changes."""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterator
from zlib import crc32

import pytest

from tests.integration import issuers
from tests.integration.conftest import TRUSTED
from tests.integration.issuers import (
    API_KEY,
    PARTNER_KEY,
    World,
    ask,
    key,
    told,
)
from tests.support import scripts
from tests.support.client import request
from tests.support.gateway import Gateway
from tests.support.tokens import Signer, bearer, key_set, rsa_key
from tests.support.upstream import Upstream
from tests.support.wire import wait_for


@pytest.fixture(scope="module")
def world() -> World:
    return issuers.make_world()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, world: World) -> Iterator[Gateway]:
    one = issuers.start(tmp_path_factory.mktemp("auth-identities"), upstream.url, world)
    yield one
    one.check_ledger()
    one.stop()


SECRETS = (API_KEY, PARTNER_KEY, issuers.HS_SECRET.decode(), issuers.DEV_SECRET.decode())


def test_the_consumer_is_in_the_log(live: Gateway, world: World) -> None:
    for fields, consumer in (
        (bearer(world.rs.token(sub="bob")), "rs:bob"),
        (bearer(world.rs.token(sub="app-7731")), "mobile-app"),
        (key(API_KEY), "mobile-app"),
    ):
        answer = ask(live, "/either/log", *fields)
        assert live.journal.of(answer.get("X-Request-Id"))["consumer"] == consumer
    answer = ask(live, "/open/log", *key(API_KEY), *bearer(world.rs.token()))
    assert not live.journal.of(answer.get("X-Request-Id"))["consumer"], "no route asked"


def test_a_declared_subject_is_the_consumer(live: Gateway, world: World, upstream: Upstream) -> None:
    got = told(live, upstream, "/rs/subject", *bearer(world.rs.token(sub="app-7731")))
    assert got.all("X-Consumer") == ["mobile-app"]
    assert set(got.all("X-Consumer-Scopes")[0].split()) >= {"orders:read", "orders:write"}
    with live.client() as client:
        assert client.get("/scoped/subject", fields=bearer(world.rs.token(sub="app-7731"))).status == 200
        assert client.get("/scoped/subject", fields=bearer(world.rs.token(sub="bob"))).status == 403


def third_answer(live: Gateway, *fields: str) -> int:
    """The bucket of `tiers` holds two; who is gold has another one as soon as the third is asked."""
    with live.client() as client:
        for _ in range(2):
            assert client.get("/tiers/x", fields=fields).status == 200
        return client.get("/tiers/x", fields=fields).status


def test_a_tier_is_the_consumers(live: Gateway, world: World) -> None:
    assert third_answer(live, *key(API_KEY)) == 200
    assert third_answer(live, *bearer(world.rs.token(sub="app-7731"))) == 200
    assert third_answer(live, *key(PARTNER_KEY)) == 429


@pytest.mark.parametrize(
    ("who", "claims"),
    [
        ("es", {"sub": "app-7731"}),
        ("dev", {"sub": "app-7731", "iss": issuers.RS}),
        ("rs", {"sub": "mobile-app"}),
        ("rs", {"sub": "APP-7731"}),
        ("rs", {"sub": "app-7731 "}),
        ("rs", {"sub": "app-77310"}),
        ("rs", {"sub": "app-7731\u200b"}),
        ("rs", {"sub": "eve", "tier": "gold", "consumer": "mobile-app", "client_id": "app-7731"}),
        ("rs", {"sub": "rs:app-7731"}),
    ],
)
def test_a_token_cannot_name_itself_into_a_tier(
    who: str, claims: dict[str, str], live: Gateway, world: World
) -> None:
    signer: Signer = getattr(world, who)
    assert third_answer(live, *bearer(signer.token(**claims))) == 429


# --- what a client may not say ---

FORGED = [
    "X-Consumer: admin",
    "x-consumer: admin",
    "X-CONSUMER-SCOPES: root",
    "X-Consumer-Scopes: root",
    "x-Consumer-tier: gold",
    "X-Consumer-Anything: root",
    "X-ConsumerId: root",
    "X_Consumer: admin",
    "x_consumer_scopes: root",
    "X-Consumer_Scopes: root",
    "X_Consumer-Scopes: root",
]


def test_a_client_cannot_say_who_it_is(live: Gateway, world: World, upstream: Upstream) -> None:
    got = told(live, upstream, "/open/forged", *FORGED)
    assert not [name for name in got.names() if "consumer" in name.lower()]
    got = told(live, upstream, "/rs/forged", *FORGED, *bearer(world.rs.token(scope="one two")))
    assert [name for name in got.names() if "consumer" in name.lower()] == ["X-Consumer", "X-Consumer-Scopes"]
    assert got.all("X-Consumer") == ["rs:alice"]
    assert sorted(got.all("X-Consumer-Scopes")[0].split()) == ["one", "two"]
    assert b"admin" not in got.raw_head
    assert b"root" not in got.raw_head
    got = told(live, upstream, "/rs/forged-no-scope", *FORGED, *bearer(world.rs.token()))
    assert not got.all("X-Consumer-Scopes"), "no scope of the token, hence none at all"


@pytest.mark.parametrize(
    "value", ["X-Consumer", "close, x-consumer,X-CONSUMER-SCOPES", "keep-alive, x-consumer"]
)
def test_nor_have_removed_what_the_gateway_says(
    value: str, live: Gateway, world: World, upstream: Upstream
) -> None:
    """`Connection: X-Consumer` would take the gateway's own field from the upstream, if it were obeyed."""
    path = f"/rs/connection-{len(value)}"
    fields = [f"Connection: {value}", *FORGED, *bearer(world.rs.token(scope="one"))]
    assert ask(live, path, *fields).status in {200, 400}
    for got in upstream.find(path):
        assert got.all("X-Consumer") == ["rs:alice"]
        assert got.all("X-Consumer-Scopes") == ["one"]


@pytest.mark.parametrize("value", ["Authorization", "X-API-Key", "close, authorization"])
def test_a_credential_that_is_hop_by_hop_is_one_or_none(
    value: str, live: Gateway, world: World, upstream: Upstream
) -> None:
    path = f"/either/hop-{len(value)}"
    assert ask(live, path, f"Connection: {value}", "X-API-Key: wrong").status in {400, 401}
    assert ask(live, path, f"Connection: {value}", *bearer("a.b.c")).status in {400, 401}
    assert not upstream.find(path)


def test_nor_from_a_proxy_that_is_trusted_otherwise(live: Gateway, world: World, upstream: Upstream) -> None:
    with live.client(source=TRUSTED) as client:
        assert client.get("/open/proxy", fields=FORGED).status == 200
        forwarded = ["X-Forwarded-For: 203.0.113.7", *FORGED, *bearer(world.rs.token())]
        assert client.get("/rs/proxy", fields=forwarded).status == 200
        assert client.get("/rs/proxy-none", fields=forwarded[:-1]).status == 401
    assert not [name for name in upstream.one("/open/proxy").names() if "consumer" in name.lower()]
    assert upstream.one("/rs/proxy").all("X-Consumer") == ["rs:alice"]


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("b a", ["a", "b"]),
        (["b", "a"], ["a", "b"]),
        (["a", "\u00e9"], ["%C3%A9", "a"]),
        (["a", "x%20y"], ["a", "x%2520y"]),
        (["a", "x\r\nX-Admin: 1"], None),
        (["a", "orders:read admin"], None),
    ],
)
def test_scopes_are_told_one_by_one(
    scope: str | list[str], words: list[str] | None, live: Gateway, world: World, upstream: Upstream
) -> None:
    """An upstream that splits the field at spaces gets the scopes of the token, no other ones. (None: what no scope
    may look like (RFC 6749 section 3.3); it may be refused, escaped or left away.)"""
    path = f"/rs/scopes-{crc32(repr(scope).encode())}"
    answer = ask(live, path, *bearer(world.rs.token(scope=scope)))
    if words is None and answer.status == 401:
        return
    assert answer.status == 200
    got = upstream.one(path)
    told_words = sorted(got.all("X-Consumer-Scopes")[0].split(" "))
    assert not got.all("X-Admin")
    if words is None:
        assert not {"admin", "orders:read", "X-Admin:", "1"} & set(told_words), told_words
    else:
        assert told_words == words


def test_nor_in_a_trailer(live: Gateway, world: World, upstream: Upstream) -> None:
    """Many servers merge trailers into the head (RFC 9110 section 6.5.1 warns of it)."""
    body = scripts.chunked([b"abc"], ["X-Consumer: admin", "X-Consumer-Scopes: root", "X-Checksum: 1"])
    fields = ["Transfer-Encoding: chunked", *bearer(world.rs.token())]
    with live.client() as client:
        client.send(request("/rs/trailer", method="POST", fields=fields) + body)
        assert client.read().status in {200, 400}
    for got in upstream.find("/rs/trailer"):
        assert [name for name, _ in got.trailers if b"consumer" in name.lower()] == []
        assert got.all("X-Consumer") == ["rs:alice"]


def test_the_caller_of_one_request_is_not_that_of_the_next(
    live: Gateway, world: World, upstream: Upstream
) -> None:
    """On one connection, also pipelined, also with the same request line."""
    good, other = bearer(world.rs.token()), bearer(world.rs.token(sub="bob", scope="s"))
    sent = [
        ("/rs/leak", good, 200),
        ("/rs/leak", [], 401),
        ("/rs/leak", other, 200),
        ("/rs/leak", bearer("a.b.c"), 401),
        ("/open/leak", good, 200),
        ("/open/leak", [], 200),
        ("/rs/leak", good, 200),
    ]
    with live.client() as client:
        client.send(b"".join(request(path, fields=fields) for path, fields, _ in sent))
        assert [client.read().status for _ in sent] == [status for *_, status in sent]
    consumers = [got.all("X-Consumer") for got in upstream.find("/rs/leak")]
    assert consumers == [["rs:alice"], ["rs:bob"], ["rs:alice"]]
    assert [got.all("X-Consumer-Scopes") for got in upstream.find("/rs/leak")] == [[], ["s"], []]
    assert [got.all("X-Consumer") for got in upstream.find("/open/leak")] == [[], []]


# --- shadow ---


def test_a_shadow_refuses_nobody_and_believes_only_the_good(
    live: Gateway, world: World, upstream: Upstream
) -> None:
    own = Signer(rsa_key("rsa-1"), "RS256", issuers.RS)
    for number, fields in enumerate(([], bearer("a.b.c"), bearer(own.token(sub="admin")))):
        got = told(live, upstream, f"/shadow/{number}", *fields, "X-Consumer: admin")
        assert not got.all("X-Consumer")
    got = told(live, upstream, "/shadow/good", *bearer(world.rs.token()), "X-Consumer: admin")
    assert got.all("X-Consumer") == ["rs:alice"]


# --- reloads, and what is said where ---


def test_a_reload_takes_effect_at_once_also_for_what_is_cached(
    live: Gateway, world: World, upstream: Upstream
) -> None:
    """A key is revoked, an issuer loses its algorithms, a secret changes, a subject is nobody's any more."""
    before = issuers.config(upstream.url)
    after = copy.deepcopy(before)
    after["consumers"][0]["keys"] = []
    after["consumers"][0]["subjects"] = []
    after["consumers"][1]["scopes"] = ["orders:read"]
    after["issuers"]["hs"]["algorithms"] = ["HS512"]
    after["issuers"]["dev"]["secret"] = "another-secret-of-more-than-32-bytes"
    after["issuers"]["rs"]["audience"] = "web"
    app = bearer(world.rs.token(sub="app-7731", aud=["api", "web"]))
    was_good = {
        "/key/x": key(API_KEY),
        "/hs/x": bearer(world.hs.token()),
        "/dev/x": bearer(world.dev.token()),
        "/rs/x": bearer(world.rs.token()),
        "/scoped/x": app,
    }
    with live.client() as client:
        for path, fields in was_good.items():
            assert [client.get(path, fields=fields).status for _ in range(2)] == [200, 200], path
        live.reload(after)
        assert {path: client.get(path, fields=fields).status for path, fields in was_good.items()} == {
            **dict.fromkeys(was_good, 401),
            "/scoped/x": 403,
        }
        assert client.get("/rs/x", fields=app).status == 200
        assert client.get("/scoped/x", fields=key(PARTNER_KEY)).status == 200
        live.reload(before)
        assert {client.get(path, fields=fields).status for path, fields in was_good.items()} == {200}


def test_a_reload_reads_the_key_files_again(live: Gateway, world: World, upstream: Upstream) -> None:
    """The document itself is the same. A file that is broken changes nothing."""
    new = rsa_key("rsa-3")
    old_token, new_token = bearer(world.rs.token()), bearer(Signer(new, "RS256", issuers.RS).token())
    with live.client() as client:
        assert client.get("/rs/x", fields=new_token).status == 401
        (live.directory / "rs.json").write_bytes(key_set(new))
        live.reload()
        assert client.get("/rs/x", fields=new_token).status == 200
        assert client.get("/rs/x", fields=old_token).status == 401
        (live.directory / "rs.json").write_bytes(b"<html>")
        said = len(live.stderr())
        live.send_signal(signal.SIGHUP)
        wait_for(lambda: "jwks_file" in live.stderr()[said:], 5.0, "a line about the broken file")
        assert client.get("/rs/x", fields=new_token).status == 200
        issuers.write_keys(live.directory, world)
        live.reload()
        assert client.get("/rs/x", fields=old_token).status == 200
        assert client.get("/rs/x", fields=new_token).status == 401


def test_no_credential_is_ever_told(live: Gateway, world: World) -> None:
    """Neither good nor bad ones: not in the log, not on stderr, not at the admin address."""
    good, bad = world.rs.token(), world.rs.token(sub="eve-the-forger")[:-9] + "AAAAAAAAA"
    with live.client() as client:
        for fields in (bearer(good), bearer(bad), key(API_KEY), key("a-wrong-key-of-somebody")):
            client.get(f"/either/told?access_token={bad}", fields=fields)
    live.check_ledger()
    places = [live.log_path.read_text(), live.stderr()]
    for path in ("/metrics", "/api/status", "/api/config", "/api/config/versions"):
        places.append(live.admin(path)[1].decode())
    words = [*SECRETS, "a-wrong-key-of-somebody", "eve-the-forger", good[-40:], bad[-40:], bad.split(".")[1]]
    for text in places:
        assert [word for word in words if word in text] == []
    assert issuers.digest(API_KEY) not in "".join(places)

"""Which credential counts, what its owner may do, and what the upstream and the log are told of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration import issuers
from tests.integration.issuers import (
    API_KEY,
    PARTNER_KEY,
    World,
    ask,
    challenge,
    check_unauthorized,
    key,
    told,
)
from tests.integration.outcome import check_refusal, counted
from tests.support import scripts
from tests.support.client import request
from tests.support.gateway import Gateway
from tests.support.tokens import bearer
from tests.support.upstream import Upstream
from tests.support.wire import Cut


@pytest.fixture(scope="module")
def world() -> World:
    return issuers.make_world()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, world: World) -> Iterator[Gateway]:
    one = issuers.start(tmp_path_factory.mktemp("auth-callers"), upstream.url, world)
    yield one
    one.check_ledger()
    one.stop()


# --- no credential ---


@pytest.mark.parametrize(
    ("name", "fields"),
    {
        "nothing": [],
        "query": [],
        "basic": ["Authorization: Basic dXNlcjpwYXNz"],
        "cookie": ["Cookie: Authorization=Bearer {token}; access_token={token}"],
        "proxy": ["Proxy-Authorization: Bearer {token}"],
        "x-authorization": ["X-Authorization: Bearer {token}"],
        "underscore": ["X_Authorization: Bearer {token}", "AUTHORIZATION_: Bearer {token}"],
        "other-kind": ["X-API-Key: " + API_KEY],
    }.items(),
)
def test_without_a_credential(name: str, fields: list[str], live: Gateway, world: World) -> None:
    token = world.rs.token()
    path = f"/rs/missing?access_token={token}" if name == "query" else "/rs/missing"
    with live.client() as client:
        answer = client.get(path, fields=[line.format(token=token) for line in fields])
        problem = check_unauthorized(live, answer, "missing_credentials")
        assert client.get(path, fields=bearer(token)).status == 200
    assert "realm=" in challenge(answer)
    assert challenge(answer).startswith("Bearer ")
    assert "RS256" not in json.dumps(problem)


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Bearer   ", "", "Token {token}", "{token}", "Bearer: {token}"]
)
def test_a_field_without_a_token(value: str, live: Gateway, world: World) -> None:
    token = world.rs.token()
    with live.client() as client:
        answer = client.get("/rs/empty", fields=[f"Authorization: {value}".format(token=token)])
        assert answer.status == 401
        assert json.loads(answer.body)["reason"] in {"missing_credentials", "invalid_credentials"}
        assert client.get("/rs/empty", fields=bearer(token)).status == 200


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEARER", "Bearer  "])
def test_the_scheme_has_no_case(scheme: str, live: Gateway, world: World) -> None:
    assert ask(live, "/rs/scheme", f"authorization: {scheme} {world.rs.token()}").status == 200


@pytest.mark.parametrize("order", ["good-first", "bad-first", "twice"])
def test_two_fields_are_never_a_choice(order: str, live: Gateway, world: World, upstream: Upstream) -> None:
    """The upstream might take the other one."""
    good, bad = bearer(world.rs.token()), bearer(world.rs.token(sub="admin")[:-9] + "AAAAAAAAA")
    path = f"/rs/two-{order}"
    fields = {"good-first": good + bad, "bad-first": bad + good, "twice": good + good}[order]
    assert ask(live, path, *fields).status in {400, 401}
    assert not upstream.find(path)


def test_a_missing_credential_is_asked_for_by_all_that_would_do(live: Gateway) -> None:
    answer = ask(live, "/either/missing")
    check_unauthorized(live, answer, "missing_credentials")
    assert "Bearer " in challenge(answer)
    assert "ApiKey " in challenge(answer)
    assert challenge(ask(live, "/key/missing")).startswith("ApiKey ")


# --- API keys ---


def test_a_key_is_its_consumers(live: Gateway, upstream: Upstream) -> None:
    got = told(live, upstream, "/key/mobile", f"x-api-key: {API_KEY}")
    assert got.all("X-Consumer") == ["mobile-app"]
    assert got.all("X-Consumer-Scopes") == ["orders:read orders:write"]
    got = told(live, upstream, "/key/partner", *key(PARTNER_KEY))
    assert got.all("X-Consumer") == ["partner"]
    assert not got.all("X-Consumer-Scopes")


@pytest.mark.parametrize(
    "value",
    [
        API_KEY.upper(),
        API_KEY[:-1],
        API_KEY + "x",
        issuers.digest(API_KEY),
        issuers.digest(API_KEY).removeprefix("sha256:"),
        "mobile-app",
        f"{API_KEY}, {API_KEY}",
        f"{API_KEY},",
        f'"{API_KEY}"',
        f"Bearer {API_KEY}",
        "x" * 20_000,
        "\xff\xfe",
        "*",
    ],
)
def test_a_wrong_key(value: str, live: Gateway, upstream: Upstream) -> None:
    with live.client() as client:
        answer = client.get("/key/wrong", fields=key(value))
        check_unauthorized(live, answer)
        assert client.get("/key/right", fields=key(API_KEY)).status == 200
    assert not upstream.find("/key/wrong")


@pytest.mark.parametrize("second", [API_KEY, PARTNER_KEY, "x"])
def test_two_keys_are_never_a_choice(second: str, live: Gateway) -> None:
    assert ask(live, "/key/two", *key(API_KEY), *key(second)).status in {400, 401}
    assert ask(live, "/key/two", *key(second), *key(API_KEY)).status in {400, 401}


def test_a_key_passes_in_its_own_field_only(live: Gateway, world: World) -> None:
    with live.client() as client:
        for fields in (
            bearer(API_KEY),
            [f"Authorization: ApiKey {API_KEY}"],
            [f"X_API_KEY: {API_KEY}"],
            key(world.rs.token()),
            bearer(world.rs.token()),
        ):
            assert client.get(f"/key/elsewhere?X-API-Key={API_KEY}", fields=fields).status == 401
        assert client.get("/key/elsewhere", fields=key(API_KEY)).status == 200


# --- several ways in ---


def test_any_of_the_ways(live: Gateway, world: World, upstream: Upstream) -> None:
    assert told(live, upstream, "/either/1", *bearer(world.rs.token())).all("X-Consumer") == ["rs:alice"]
    assert told(live, upstream, "/either/2", *bearer(world.hs.token())).all("X-Consumer") == ["hs:alice"]
    assert told(live, upstream, "/either/3", *key(API_KEY)).all("X-Consumer") == ["mobile-app"]
    check_unauthorized(live, ask(live, "/either/4", *bearer(world.es.token())))


def test_the_first_way_that_is_tried_decides(live: Gateway, world: World, upstream: Upstream) -> None:
    """`any` has an order; the credential of the later method is not even looked at."""
    both = [*key(API_KEY), *bearer(world.rs.token())]
    assert told(live, upstream, "/either/both", *both).all("X-Consumer") == ["rs:alice"]
    assert told(live, upstream, "/key-first/both", *both).all("X-Consumer") == ["mobile-app"]
    check_unauthorized(live, ask(live, "/either/bad-token", *key(API_KEY), *bearer("a.b.c")))
    check_refusal(
        live,
        ask(live, "/key-first/bad-key", *key("x"), *bearer(world.rs.token())),
        401,
        "invalid_credentials",
    )


# --- scopes ---


@pytest.mark.parametrize(
    ("scope", "passes"),
    [
        ("orders:read", True),
        ("a orders:read b", True),
        (["orders:read"], True),
        (["a", "orders:read"], True),
        ("orders:reader", False),
        ("orders:rea", False),
        ("ORDERS:READ", False),
        ("orders:write", False),
        ("orders:read,orders:write", False),
        ("orders", False),
        ("*", False),
        ("", False),
        ([], False),
        (None, False),
        (["a orders:read"], False),
        ("a\torders:read", False),
        ("a\u00a0orders:read", False),
    ],
)
def test_scopes_of_a_token(scope: object, passes: bool, live: Gateway, world: World) -> None:
    answer = ask(live, "/scoped/x", *bearer(world.rs.token(scope=scope)))
    if passes:
        assert answer.status == 200, answer.body
        return
    check_refusal(live, answer, 403, "insufficient_scope")
    asked = challenge(answer)
    assert asked.startswith("Bearer ")
    assert 'error="insufficient_scope"' in asked
    assert 'scope="orders:read"' in asked


@pytest.mark.parametrize("scope", [7, True, {"orders:read": 1}, ["orders:read", 7], [["orders:read"]]])
def test_scopes_of_a_wrong_type_are_none(scope: object, live: Gateway, world: World) -> None:
    assert ask(live, "/scoped/type", *bearer(world.rs.token(scope=scope))).status in {401, 403}


def test_every_scope_is_needed(live: Gateway, world: World) -> None:
    with live.client() as client:
        for scope in ("orders:read", "orders:write"):
            answer = client.get("/both-scopes/x", fields=bearer(world.rs.token(scope=scope)))
            assert answer.status == 403
        both = bearer(world.rs.token(scope="orders:write orders:read"))
        assert client.get("/both-scopes/x", fields=both).status == 200


def test_a_token_that_passed_elsewhere_needs_the_scopes_here(live: Gateway, world: World) -> None:
    """What the cache knows of a token is who it is, not that it may do everything."""
    token = bearer(world.rs.token(scope="other"))
    with live.client() as client:
        for _ in range(2):
            assert client.get("/rs/x", fields=token).status == 200
            assert client.get("/scoped/x", fields=token).status == 403
            assert client.get("/both-scopes/x", fields=token).status == 403


def test_scopes_of_a_consumer(live: Gateway) -> None:
    assert ask(live, "/scoped/key", *key(API_KEY)).status == 200
    with counted(live, "insufficient_scope"):
        answer = ask(live, "/scoped/key", *key(PARTNER_KEY))
    assert check_refusal(live, answer, 403, "insufficient_scope")["consumer"] == "partner"


# --- refusals and bodies ---


@pytest.mark.parametrize("chunked", [False, True])
def test_the_body_of_a_refused_request_is_no_request(
    chunked: bool, live: Gateway, world: World, upstream: Upstream
) -> None:
    """The smuggled one would have good credentials."""
    hidden = request("/rs/smuggled", fields=bearer(world.rs.token()))
    with live.client() as client:
        if chunked:
            head = request("/rs/carrier", method="POST", fields=["Transfer-Encoding: chunked"])
            client.send(head + scripts.chunked([hidden]))
        else:
            client.send(request("/rs/carrier", method="POST", body=hidden))
        check_unauthorized(live, client.read(), "missing_credentials")
        try:
            client.try_send(request("/rs/behind", fields=bearer(world.rs.token())))
            assert client.read().status == 200
        except Cut as cut:
            assert cut.got == b""
    assert not upstream.find("/rs/smuggled")


def test_a_refusal_comes_before_the_body(live: Gateway) -> None:
    """Without 100: a client that asks first need not send it."""
    with live.client() as client:
        fields = ["Content-Length: 1000000", "Expect: 100-continue"]
        client.send(request("/rs/expect", method="POST", fields=fields))
        answer = client.read()
        check_unauthorized(live, answer, "missing_credentials")
        assert answer.interim == []


def test_head_and_options_are_asked_too(live: Gateway, world: World) -> None:
    preflight = ["Origin: https://shop.example.com", "Access-Control-Request-Method: GET"]
    with live.client() as client:
        assert client.get("/rs/x", method="HEAD").status == 401
        assert client.get("/rs/x", method="HEAD", fields=bearer(world.rs.token())).status == 200
        assert client.get("/rs/x", method="OPTIONS").status == 401
        assert client.get("/rs/x", method="OPTIONS", fields=preflight).status == 401, "the route has no cors"


def test_a_websocket_needs_a_caller_as_well(live: Gateway, world: World, upstream: Upstream) -> None:
    fields = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: x",
    ]
    answer = ask(live, "/rs/socket", *fields, "X-Consumer: admin")
    check_unauthorized(live, answer, "missing_credentials")
    assert not upstream.find("/rs/socket")
    with live.client() as client:
        client.send(request("/rs/socket", fields=[*fields, *bearer(world.rs.token()), "X-Consumer: admin"]))
        client.read()
    assert upstream.one("/rs/socket").all("X-Consumer") == ["rs:alice"]


@pytest.mark.parametrize(
    "target", ["/open/../rs/dots", "/open/%2e%2e/rs/dots", "http://test.example/rs/dots", "/%72s/dots"]
)
def test_no_spelling_of_a_path_walks_around(target: str, live: Gateway, upstream: Upstream) -> None:
    with live.client() as client:
        client.send(request(target))
        assert client.read().status in {400, 401}
    assert not upstream.find("/rs/dots")


def test_a_route_that_answers_itself_asks_too(live: Gateway, world: World) -> None:
    with live.client() as client:
        check_unauthorized(live, client.get("/own-reply/x"), "missing_credentials")
        assert client.get("/own-reply/x", fields=bearer(world.rs.token())).body == b"mine"
        check_unauthorized(live, client.get("/own-reply/x"), "missing_credentials")


def test_an_open_route_opens_no_other_with_the_same_line(
    live: Gateway, world: World, upstream: Upstream
) -> None:
    """One connection, one request line; the host, a field or the method decides whether anybody is asked."""
    good = bearer(world.rs.token())
    with live.client() as client:
        for _ in range(3):
            assert client.get("/hosted/x", host="open.example").status == 200
            assert client.get("/hosted/x", host="closed.example").status == 401
            assert client.get("/hosted/x", host="closed.example", fields=good).status == 200
            assert client.get("/hosted/x", host="CLOSED.example:80").status == 401
            assert client.get("/headed/x", fields=["X-Open: 1"]).status == 200
            assert client.get("/headed/x").status == 401
            assert client.get("/headed/x", fields=["X-Open: 2"]).status == 401
            assert client.get("/headed/x", fields=["X_Open: 1"]).status == 401
            assert client.get("/headed/x", fields=good).status == 200
            assert client.get("/written/x").status == 200
            assert client.get("/written/x", method="POST", body=b"").status == 401
            assert client.get("/written/x", method="HEAD").status == 200
    assert {got.all("X-Consumer")[0] for got in upstream.find("/headed/x") if got.all("X-Consumer")} == {
        "rs:alice"
    }

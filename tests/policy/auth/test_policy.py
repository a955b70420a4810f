"""Who may use a route: which credential decides, what the refusals say, and what waits."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from fastgw.clock import ManualClock
from fastgw.errors import Reason
from fastgw.model.exchange import Exchange
from fastgw.model.messages import WAIT, Reply, RequestHead
from fastgw.policy.auth.authenticator import PATIENCE, Authenticator
from fastgw.policy.auth.options import AuthOptions
from fastgw.policy.auth.policy import AuthPolicy, build
from fastgw.policy.runtime import Runtime
from tests.policy.auth.minting import CLAIMS, P256, P384, jwk, mint, options
from tests.policy.auth.test_authenticator import Base

URL = "https://id.example.com/jwks"
KEY = b"a key of the app"
OLD, NEW = jwk(P256, kid="old"), jwk(P384, kid="new")
NEW_TOKEN = mint({**CLAIMS, "iss": "main"}, algorithm="ES384", kid="new")
CONSUMER = {
    "name": "app",
    "scopes": ["read"],
    "keys": ["sha256:" + sha256(KEY).hexdigest()],
    "subjects": [{"issuer": "dev", "subject": "app"}],
}


class World:
    """A worker's authentication, and the pipeline's end of it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.auth = Authenticator(self.clock)
        main = options(jwks_url=URL, algorithms=["ES256", "ES384"], issuer="main")
        self.auth.adopt(Base({"dev": options(), "main": main}, CONSUMER))
        self.auth.set_keys(URL, [OLD], None)
        self.asked: list[str] = []
        self.auth.on_unknown_key = self.asked.append
        self.resumed: list[tuple[Exchange, Reply | None]] = []
        nothing: Any = None  # no limits here
        self.runtime = Runtime(nothing, self.auth, self.clock, self.resume)

    def resume(self, exchange: Exchange, reply: Reply | None) -> None:
        self.resumed.append((exchange, reply))


@pytest.fixture
def world() -> World:
    return World()


def policy(*methods: Any, header: str = "X-API-Key", **more: Any) -> AuthPolicy:
    made = build(AuthOptions.model_validate({"any": list(methods), **more}), header, "fastgw")
    assert made is not None
    return made


DEV, MAIN = {"jwt": "dev"}, {"jwt": "main"}


def asking(**fields: bytes) -> Exchange:
    head = RequestHead({name.replace("_", "-").encode(): value for name, value in fields.items()})
    return Exchange(head, b"GET", b"/", b"", False, 1.0, 0)


def with_token(token: bytes, scheme: bytes = b"Bearer ") -> Exchange:
    return asking(authorization=scheme + token)


def refused(reply: Reply | None, reason: Reason) -> Reply:
    assert reply is not None and reply is not WAIT
    assert reply.reason is reason, reply.detail
    assert reply.rule == "auth"
    return reply


def test_no_auth_is_no_policy() -> None:
    assert build(None, "x-api-key", "fastgw") is None


# --- which credential counts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER ", b"bEaReR ", b"Bearer   "])
def test_a_bearer_token_passes(world: World, scheme: bytes) -> None:
    exchange = with_token(mint(), scheme)
    assert policy(DEV).check(exchange, world.runtime) is None
    assert exchange.identity is not None and exchange.identity.consumer == "dev:alice"


def test_an_api_key_passes(world: World) -> None:
    for _ in range(2):
        exchange = asking(x_api_key=KEY)
        assert policy("api_key").check(exchange, world.runtime) is None
        assert exchange.identity is not None and exchange.identity.consumer == "app"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"authorization": b""},
        {"authorization": b"Basic dXNlcjpwYXNz"},
        {"authorization": b"Bearertoken"},
        {"authorization": mint()},
        {"authorization": b"Token " + mint()},
        {"x_api_key": b""},
        {"cookie": b"token=" + mint()},
        {"access_token": mint()},
    ],
)
def test_missing(world: World, fields: dict[str, bytes]) -> None:
    reply = refused(policy(DEV, "api_key").check(asking(**fields), world.runtime), Reason.MISSING_CREDENTIALS)
    assert reply.status == 401
    assert reply.headers == (
        b'WWW-Authenticate: Bearer realm="fastgw"\r\nWWW-Authenticate: ApiKey realm="fastgw"\r\n'
    )


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer", b"Bearer ", b"Bearer   ", b"Bearer a.b.c", b"Bearer " + mint() + b" x", b"Bearer x " + mint(),
        b"Bearer " + mint() + b", Bearer " + mint(), b"Bearer \t" + mint(), b"Bearer \xff", b"Bearer \x00",
        b'Bearer "' + mint() + b'"', b"Bearer " + mint()[:-1], b"Bearer " + mint().upper(),
    ],
)  # fmt: skip
def test_invalid(world: World, value: bytes) -> None:
    exchange = asking(authorization=value)
    reply = refused(policy(DEV, "api_key").check(exchange, world.runtime), Reason.INVALID_CREDENTIALS)
    assert reply.status == 401
    assert b'Bearer realm="fastgw", error="invalid_token"\r\n' in reply.headers
    assert exchange.identity is None


def test_expired(world: World) -> None:
    made = policy(DEV)
    assert made.check(with_token(mint()), world.runtime) is None
    world.clock.advance(65)
    for _ in range(2):
        reply = refused(made.check(with_token(mint()), world.runtime), Reason.EXPIRED_CREDENTIALS)
        assert b'error="invalid_token"' in reply.headers


@pytest.mark.parametrize("value", [b"x", KEY + b", " + KEY, b"Bearer " + KEY, b"\xff", b"x" * 5000])
def test_a_wrong_api_key(world: World, value: bytes) -> None:
    made = policy("api_key")
    reply = refused(made.check(asking(x_api_key=value), world.runtime), Reason.INVALID_CREDENTIALS)
    assert reply.headers == b'WWW-Authenticate: ApiKey realm="fastgw"\r\n'
    both = policy("api_key", DEV).check(asking(x_api_key=value), world.runtime)
    assert b"Bearer" not in refused(both, Reason.INVALID_CREDENTIALS).headers


def test_the_first_method_whose_credential_is_there_decides(world: World) -> None:
    def outcome(made: AuthPolicy, token: bytes, key: bytes) -> str:
        exchange = asking(authorization=b"Bearer " + token, x_api_key=key)
        reply = made.check(exchange, world.runtime)
        return reply.reason.value if reply else exchange.identity.consumer if exchange.identity else "nobody"

    token_first, key_first = policy(DEV, "api_key"), policy("api_key", DEV)
    for _ in range(2):  # the second time from memory
        assert outcome(token_first, mint(), KEY) == "dev:alice"
        assert outcome(key_first, mint(), KEY) == "app"
        assert outcome(token_first, b"bad", KEY) == "invalid_credentials"
        assert outcome(token_first, mint(), b"bad") == "dev:alice"
        assert outcome(key_first, mint(), b"bad") == "invalid_credentials"
        assert outcome(key_first, b"bad", KEY) == "app"


def test_a_method_that_the_route_lacks_is_not_looked_at(world: World) -> None:
    exchange = asking(authorization=b"Bearer bad", x_api_key=KEY)
    assert policy("api_key").check(exchange, world.runtime) is None
    exchange = asking(authorization=b"Bearer " + mint(), x_api_key=b"bad")
    assert policy(DEV).check(exchange, world.runtime) is None


def test_the_keys_header_can_be_another_or_authorization(world: World) -> None:
    assert policy("api_key", header="X-Key").check(asking(x_key=KEY), world.runtime) is None
    same = policy(DEV, "api_key", header="Authorization")
    for _ in range(2):
        assert same.check(asking(authorization=KEY), world.runtime) is None
        assert same.check(with_token(mint()), world.runtime) is None
        refused(same.check(asking(authorization=b"x"), world.runtime), Reason.INVALID_CREDENTIALS)
    key_first = policy("api_key", DEV, header="Authorization")
    assert key_first.check(with_token(mint()), world.runtime) is None


def test_a_token_of_one_issuer_is_none_on_anothers_route(world: World) -> None:
    assert policy(DEV).check(with_token(mint()), world.runtime) is None  # remembered now
    refused(policy(MAIN).check(with_token(mint()), world.runtime), Reason.INVALID_CREDENTIALS)
    assert policy(DEV).peek(with_token(mint()), world.runtime) is not None
    assert policy(MAIN).peek(with_token(mint()), world.runtime) is None


def test_several_issuers(world: World) -> None:
    made = policy(MAIN, DEV)
    token = mint({**CLAIMS, "iss": "main"}, algorithm="ES256", kid="old")
    for text, consumer in ((token, "main:alice"), (mint(), "dev:alice")):
        exchange = with_token(text)
        assert made.check(exchange, world.runtime) is None
        assert exchange.identity is not None and exchange.identity.consumer == consumer


# --- scopes -----------------------------------------------------------------------------------------------------------


def test_scopes(world: World) -> None:
    made = policy(DEV, "api_key", scopes=["read", "write"])
    for _ in range(2):
        exchange = with_token(mint({**CLAIMS, "scope": "read"}))
        reply = refused(made.check(exchange, world.runtime), Reason.INSUFFICIENT_SCOPE)
        assert reply.status == 403
        assert b'error="insufficient_scope", scope="read write"' in reply.headers
        assert exchange.identity is not None  # for the log: who was refused
        refused(made.check(asking(x_api_key=KEY), world.runtime), Reason.INSUFFICIENT_SCOPE)
        assert made.check(with_token(mint({**CLAIMS, "scope": "x write read"})), world.runtime) is None
        # app has `read` by configuration, the token brings the other
        assert made.check(with_token(mint({**CLAIMS, "sub": "app", "scope": "write"})), world.runtime) is None


def test_peek_knows_only_what_is_verified_and_enough(world: World) -> None:
    made, scoped = policy(DEV, "api_key"), policy(DEV, "api_key", scopes=["write"])
    for exchange in (with_token(mint()), asking(x_api_key=KEY)):
        assert made.peek(exchange, world.runtime) is None
        assert made.check(exchange, world.runtime) is None
        known = exchange.identity
        exchange.identity = None
        assert made.peek(exchange, world.runtime) is known
        assert exchange.identity is None
        assert scoped.peek(exchange, world.runtime) is None
    world.clock.advance(65)
    assert made.peek(with_token(mint()), world.runtime) is None
    assert made.peek(asking(), world.runtime) is None
    assert made.peek(Exchange(None, b"GET", b"/", b"", False, 1.0, 0), world.runtime) is None


# --- shadow -----------------------------------------------------------------------------------------------------------


def test_a_shadow_counts_and_never_refuses(world: World) -> None:
    made = policy(DEV, MAIN, mode="shadow", scopes=["read"])
    bad = [asking(), with_token(b"x"), with_token(mint()), with_token(NEW_TOKEN)]
    for number, exchange in enumerate(bad, 1):
        assert made.check(exchange, world.runtime) is None
        assert exchange.rule == "shadow:auth"
        assert sum(one.rule == "shadow:auth" for one in bad) == number  # what the ledger counts
    assert world.asked == []  # nor does it hold anybody up
    exchange = with_token(mint({**CLAIMS, "scope": "read"}))
    assert made.check(exchange, world.runtime) is None
    assert exchange.identity is not None and exchange.rule == ""
    assert sum(one.rule == "shadow:auth" for one in (*bad, exchange)) == len(bad)


# --- keys that are not known ------------------------------------------------------------------------------------------


def test_a_token_with_a_new_key_waits_and_passes(world: World) -> None:
    exchange = with_token(NEW_TOKEN)
    assert policy(MAIN).check(exchange, world.runtime) is WAIT
    assert world.asked == [URL] and world.resumed == []
    world.auth.set_keys(URL, [OLD, NEW], None)
    assert world.resumed == [(exchange, None)]
    assert exchange.identity is not None and exchange.identity.consumer == "main:alice"


Ending = Callable[[World], None]


def answered(world: World) -> None:
    world.auth.set_keys(URL, [OLD], None)


def unanswered(world: World) -> None:
    world.clock.advance(PATIENCE)
    world.auth.tick(world.clock.now())


@pytest.mark.parametrize("ending", [answered, unanswered])
def test_or_is_refused(world: World, ending: Ending) -> None:
    exchange = with_token(NEW_TOKEN)
    made = policy(MAIN)
    assert made.check(exchange, world.runtime) is WAIT
    ending(world)
    ((whose, reply),) = world.resumed
    assert whose is exchange
    refused(reply, Reason.INVALID_CREDENTIALS)
    # For a while nobody waits again.
    refused(made.check(with_token(NEW_TOKEN), world.runtime), Reason.INVALID_CREDENTIALS)


def test_who_left_is_not_resumed(world: World) -> None:
    exchange = with_token(NEW_TOKEN)
    assert policy(MAIN).check(exchange, world.runtime) is WAIT
    exchange.closed = True
    answered(world)
    assert world.resumed == []


def test_without_any_key_it_is_unavailable(world: World) -> None:
    world.auth.adopt(Base({"main": options(jwks_url="https://down/", algorithms=["ES384"], issuer="main")}))
    made = policy(MAIN)
    reply = refused(made.check(with_token(NEW_TOKEN), world.runtime), Reason.AUTH_UNAVAILABLE)
    assert (reply.status, reply.headers) == (503, b"")
    refused(made.check(asking(), world.runtime), Reason.MISSING_CREDENTIALS)
    refused(made.check(with_token(b"a.b.c"), world.runtime), Reason.INVALID_CREDENTIALS)

"""Claims under a true signature: what they may say, and what a token that says otherwise gets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration import issuers
from tests.integration.issuers import World, check_unauthorized
from tests.support.client import request
from tests.support.gateway import Gateway
from tests.support.tokens import ABSENT, Signer, b64, bearer, compact, dump
from tests.support.upstream import Upstream
from tests.support.wire import wait_for

LEEWAY = 5  # of the issuers here, by default


@pytest.fixture(scope="module")
def world() -> World:
    return issuers.make_world()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, world: World) -> Iterator[Gateway]:
    one = issuers.start(tmp_path_factory.mktemp("auth-claims"), upstream.url, world)
    yield one
    one.check_ledger()
    one.stop()


def now() -> int:
    return int(time.time())


def spelled(**claims: str) -> Callable[[Signer], bytes]:
    """Claims with members whose JSON is written out here."""

    def make(signer: Signer) -> bytes:
        rest = {name: value for name, value in signer.claims().items() if name not in claims}
        members = [dump({name: value})[1:-1] for name, value in rest.items()]
        return b"{" + b",".join(members + [f'"{n}":{v}'.encode() for n, v in claims.items()]) + b"}"

    return make


def changed(**claims: Any) -> Callable[[Signer], bytes]:
    return lambda signer: dump(signer.claims(**claims))


def behind(text: bytes) -> Callable[[Signer], bytes]:
    """More members behind those that are right."""
    return lambda signer: dump(signer.claims())[:-1] + b"," + text + b"}"


REFUSED: dict[str, Callable[[Signer], bytes]] = {
    # exp
    "exp-absent": changed(exp=ABSENT),
    "exp-string": changed(exp=str(2**31)),
    "exp-null": changed(exp=None),
    "exp-true": changed(exp=True),
    "exp-list": changed(exp=[2**31]),
    "exp-object": changed(exp={"a": 2**31}),
    "exp-empty": spelled(exp='""'),
    "exp-huge": changed(exp=10**30),
    "exp-2**63": changed(exp=2**63),
    "exp-1e18": spelled(exp="1e18"),
    "exp-1e308": spelled(exp="1e308"),
    "exp-1e400": spelled(exp="1e400"),
    "exp-nan": spelled(exp="NaN"),
    "exp-infinity": spelled(exp="Infinity"),
    "exp-hex": spelled(exp="0x7fffffff"),
    "exp-plus": spelled(exp="+2147483647"),
    "exp-octal": spelled(exp="02147483647"),
    "exp-digits": spelled(exp="9" * 5000),
    "exp-twice": behind(b'"exp":99999999999'),
    "exp-twice-escaped": behind(b'"\\u0065xp":4102444800'),
    # nbf, iat
    "nbf-future": lambda signer: dump(signer.claims(nbf=now() + 60)),
    "nbf-string": changed(nbf="0"),
    "nbf-true": changed(nbf=True),
    "nbf-null": changed(nbf=None),
    "nbf-list": changed(nbf=[]),
    "nbf-nan": spelled(nbf="NaN"),
    "nbf-huge": changed(nbf=10**30),
    "iat-string": changed(iat="now"),
    "iat-true": changed(iat=True),
    "iat-list": changed(iat=[0]),
    "iat-nan": spelled(iat="NaN"),
    # sub
    "sub-absent": changed(sub=ABSENT),
    "sub-empty": spelled(sub='""'),
    "sub-number": changed(sub=7),
    "sub-null": changed(sub=None),
    "sub-true": changed(sub=True),
    "sub-list": changed(sub=["alice"]),
    "sub-object": changed(sub={"alice": 1}),
    "sub-twice": behind(b'"sub":"admin"'),
    "sub-twice-escaped": behind(b'"s\\u0075b":"admin"'),
    "sub-surrogate": spelled(sub='"\\ud800"'),
    # iss
    "iss-absent": changed(iss=ABSENT),
    "iss-other": changed(iss=issuers.ES),
    "iss-no-slash": changed(iss=issuers.RS.rstrip("/")),
    "iss-longer": changed(iss=issuers.RS + "x"),
    "iss-case": changed(iss=issuers.RS.upper()),
    "iss-null": changed(iss=None),
    "iss-list": changed(iss=[issuers.RS]),
    "iss-number": changed(iss=1),
    "iss-empty": spelled(iss='""'),
    "iss-twice": behind(dump({"iss": issuers.RS})[1:-1]),
    # aud
    "aud-absent": changed(aud=ABSENT),
    "aud-other": changed(aud="web"),
    "aud-part": changed(aud="ap"),
    "aud-longer": changed(aud="apis"),
    "aud-case": changed(aud="API"),
    "aud-spaces": changed(aud="web api"),
    "aud-empty-list": changed(aud=[]),
    "aud-others": changed(aud=["web", "mobile"]),
    "aud-nested": changed(aud=[["api"]]),
    "aud-object": changed(aud={"api": 1}),
    "aud-number": changed(aud=1),
    "aud-null": changed(aud=None),
    "aud-mixed": changed(aud=["api", 7]),
    # the whole
    "claims-list": lambda signer: dump(signer.claims()).join((b"[", b"]")),
    "claims-string": lambda signer: b'"alice"',
    "claims-null": lambda signer: b"null",
    "claims-number": lambda signer: b"1",
    "claims-empty": lambda signer: b"{}",
    "claims-nothing": lambda signer: b" ",
    "claims-trailing": lambda signer: dump(signer.claims()) + b"{}",
    "claims-bom": lambda signer: b"\xef\xbb\xbf" + dump(signer.claims()),
    "claims-utf16": lambda signer: dump(signer.claims()).decode().encode("utf-16"),
    "claims-latin1": behind(b'"name":"\xff"'),
    "claims-control": behind(b'"name":"\n"'),
    "claims-deep": behind(b'"x":' + b"[" * 2500 + b"]" * 2500),
    "claims-long-number": behind(b'"x":' + b"1" * 5500),
    "claims-comma": lambda signer: dump(signer.claims())[:-1] + b",}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_claims_are_refused_beside_good_ones(
    name: str, live: Gateway, world: World, upstream: Upstream
) -> None:
    path = f"/rs/claims-{name.replace('*', '-')}"
    with live.client() as client:
        client.send(request(path, fields=bearer(world.rs.raw(claims=REFUSED[name](world.rs)))))
        answer = client.read()
        problem = check_unauthorized(live, answer)
        assert client.get(path, fields=bearer(world.rs.token())).status == 200
        plainly_wrong = client.get("/rs/plain", fields=bearer("a.b.c"))
    assert len(upstream.find(path)) == 1, "the refused one reached the upstream"
    assert problem["detail"] == json.loads(plainly_wrong.body)["detail"], "the answer says what was wrong"
    assert answer.all("WWW-Authenticate") == plainly_wrong.all("WWW-Authenticate")


ADMITTED: dict[str, Callable[[Signer], bytes]] = {
    "aud-list": changed(aud=["web", "api"]),
    "aud-of-one": changed(aud=["api"]),
    "exp-zero-fraction": spelled(exp="4102444800.0"),
    "exp-fraction": spelled(exp="4102444800.25"),
    "exp-just-over": lambda signer: dump(signer.claims(exp=now() - LEEWAY + 3)),
    "nbf-soon": lambda signer: dump(signer.claims(nbf=now() + LEEWAY - 2)),
    "nbf-past": lambda signer: dump(signer.claims(nbf=now() - 60)),
    "nbf-zero": changed(nbf=0),
    "iat-absent": changed(iat=ABSENT),
    "nested": changed(realm={"roles": ["a", {"b": None}]}),
    "unicode": changed(name="Zoë 漢 🙂"),
    "spaced": lambda signer: json.dumps(signer.claims(), indent=4).encode(),
    "nulls": changed(email=None),
    "deep-but-sane": changed(x=[[[[[[[[[["x"]]]]]]]]]]),
}


@pytest.mark.parametrize("name", ADMITTED)
def test_what_rfc_7519_allows_passes(name: str, live: Gateway, world: World) -> None:
    with live.client() as client:
        answer = client.get(f"/rs/fine-{name}", fields=bearer(world.rs.raw(claims=ADMITTED[name](world.rs))))
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("exp", [-1, 0, 1, "minute", "fraction", -(10**30)])
def test_an_expired_token_is_refused_as_expired(exp: object, live: Gateway, world: World) -> None:
    """A client may read that it must ask for another one; for a number without sense `invalid` will do."""
    claim = {"minute": now() - 60, "fraction": now() - 60.5}.get(exp, exp)  # type: ignore[call-overload]
    with live.client() as client:
        answer = client.get("/rs/expired", fields=bearer(world.rs.token(exp=claim)))
        reason = json.loads(answer.body)["reason"]
        if isinstance(exp, str):
            assert reason == "expired_credentials"
        check_unauthorized(live, answer, reason)
        assert client.get("/rs/expired", fields=bearer(world.rs.token())).status == 200


def test_expired_is_said_only_of_a_token_that_was_good_once(live: Gateway, world: World) -> None:
    """Else it would be an oracle: a forged token that is also expired is invalid."""
    expired = world.rs.token(exp=now() - 60)
    forged = expired.rpartition(".")[0] + "." + b64(bytes(256))
    with live.client() as client:
        check_unauthorized(live, client.get("/rs/oracle", fields=bearer(forged)))


def test_a_token_of_one_issuer_on_the_route_of_another(live: Gateway, world: World) -> None:
    """Also where the token cache knows it: a hit counts only where that issuer may be used."""
    with live.client() as client:
        for name in ("rs", "pem", "es", "hs", "dev"):
            token = getattr(world, name).token()
            for warm in range(2):
                for other in {"rs", "pem", "es", "hs", "dev"} - {name}:
                    answer = client.get(f"/{other}/foreign", fields=bearer(token))
                    assert answer.status == 401, f"{name}'s token on {other}'s route, round {warm}"
                    check_unauthorized(live, answer)
                assert client.get(f"/{name}/own", fields=bearer(token)).status == 200
                assert client.get("/all/own", fields=bearer(token)).status == 200


def test_a_token_that_names_another_issuer_is_not_believed(
    live: Gateway, world: World, upstream: Upstream
) -> None:
    """`dev` says nothing about `iss`: what it signs is dev's all the same, whoever is named there."""
    with live.client() as client:
        fake = world.dev.token(iss=issuers.RS, sub="app-7731")
        assert client.get("/all/fake", fields=bearer(fake)).status in {200, 401}
        for got in upstream.find("/all/fake"):
            assert got.all("X-Consumer") == ["dev:app-7731"]
            assert not got.all("X-Consumer-Scopes")
        crossed = compact(world.hs.head(), world.rs.claims(sub="app-7731"), world.hs.sign)
        check_unauthorized(live, client.get("/all/crossed", fields=bearer(crossed)))
        check_unauthorized(live, client.get("/either/crossed", fields=bearer(crossed)))
        check_unauthorized(live, client.get("/hs/crossed", fields=bearer(crossed)))


SUBJECTS = [
    "mobile-app",
    "rs:mobile-app",
    "a b",
    "x\r\nX-Admin: 1",
    "x\nX-Admin: 1",
    "\0",
    "Zoë 漢",
    "%0d%0a",
    'quo"te\\',
    "../..",
    " padded ",
    "s" * 4000,
]


@pytest.mark.parametrize("number", range(len(SUBJECTS)))
def test_a_subject_is_a_name_and_nothing_more(
    number: int, live: Gateway, world: World, upstream: Upstream
) -> None:
    """It breaks no field line, no log line, and takes nobody's place: 200 with a harmless field, or 401."""
    subject, path = SUBJECTS[number], f"/rs/subject-{number}"
    with live.client() as client:
        answer = client.get(path, fields=bearer(world.rs.token(sub=subject)))
        assert answer.status in {200, 401}, answer.body
        entry = live.journal.of(answer.get("X-Request-Id"))
    for got in upstream.find(path):
        told = got.all("X-Consumer")
        assert len(told) == 1
        assert told[0].startswith("rs:")
        assert told[0].isascii()
        assert told[0].isprintable()
        assert not got.all("X-Admin")
        assert not got.all("X-Consumer-Scopes")
        assert entry["consumer"].startswith("rs:")


def test_two_subjects_are_never_told_as_one(live: Gateway, world: World, upstream: Upstream) -> None:
    """An escape that also stands for itself would let one caller pass for another at the upstream."""
    told = []
    with live.client() as client:
        for number, subject in enumerate(("é", "%C3%A9", "%25C3%25A9", "é ")):
            answer = client.get(f"/rs/twin-{number}", fields=bearer(world.rs.token(sub=subject)))
            if answer.status == 200:
                told += upstream.one(f"/rs/twin-{number}").all("X-Consumer")
    assert len(told) == len(set(told)), told


def test_an_expiry_holds_on_a_hit_of_the_cache(live: Gateway, world: World) -> None:
    """`dev` has no leeway: the same token on the same connection passes until its second, and not after."""
    end = now() + 2
    token = world.dev.token(exp=end)
    refused = []

    def over() -> bool:
        sent = time.time()
        answer = client.get("/dev/hit", fields=bearer(token))
        if answer.status == 200:
            assert sent < end + 0.1, "passes after its end"
            return False
        assert time.time() >= end - 0.1, "refused before its end"
        refused.append(answer)
        return True

    with live.client() as client:
        assert client.get("/dev/hit", fields=bearer(token)).status == 200
        wait_for(over, 4.0, "the token's end", every=0.02)
        check_unauthorized(live, refused[0], "expired_credentials")
        check_unauthorized(live, client.get("/all/hit", fields=bearer(token)), "expired_credentials")


def test_a_token_that_is_not_valid_yet_is_not_remembered_as_a_bad_one(live: Gateway, world: World) -> None:
    begins = now() + 2
    token = bearer(world.dev.token(nbf=begins))
    with live.client() as client:
        check_unauthorized(live, client.get("/dev/soon", fields=token))

        def passes() -> bool:
            code = client.get("/dev/soon", fields=token).status
            assert code == 401 or time.time() >= begins - 0.1, "passes before its time"
            return code == 200

        wait_for(passes, 4.0, "the token's beginning", every=0.02)

"""A gateway that asks who calls: issuers of every family of algorithms, API keys, a route for each of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.conftest import TRUSTED
from tests.integration.outcome import check_refusal
from tests.support.config import route, service
from tests.support.gateway import Gateway
from tests.support.tokens import Key, Signer, ec_key, ed_key, key_set, rsa_key
from tests.support.upstream import Upstream
from tests.support.wire import Request, Response

HS_SECRET = b"0123456789abcdef" * 4
DEV_SECRET = b"fedcba9876543210" * 4
API_KEY = "key-of-the-mobile-app-7f3a9c"
PARTNER_KEY = "key-of-the-partner-51d0e2"
RS, ES, HS, PEM = (f"https://{name}.example/" for name in ("rs", "es", "hs", "pem"))


@dataclass(frozen=True)
class World:
    """The keys of all issuers. `hs`, `rs`, ... make tokens that their routes `/hs/*`, `/rs/*`, ... accept."""

    rs: Signer
    pem: Signer
    es: Signer
    hs: Signer
    dev: Signer
    ed: Key
    p384: Key
    p521: Key
    second_rsa: Key
    rs_only: Key
    for_encryption: Key


def make_world() -> World:
    return World(
        rs=Signer(rsa_key("rsa-1"), "RS256", RS),
        pem=Signer(rsa_key(""), "RS256", PEM),
        es=Signer(ec_key("p256"), "ES256", ES),
        hs=Signer(Key(HS_SECRET, ""), "HS256", HS),
        dev=Signer(Key(DEV_SECRET, ""), "HS256", audience=""),
        ed=ed_key("ed"),
        p384=ec_key("p384", "P-384"),
        p521=ec_key("p521", "P-521"),
        second_rsa=rsa_key("rsa-2"),
        rs_only=rsa_key("rsa-rs256-only"),
        for_encryption=rsa_key("rsa-enc"),
    )


def write_keys(directory: Path, world: World) -> None:
    """What the configuration names as files beside it."""
    (directory / "pem.pem").write_bytes(world.pem.key.pem())
    (directory / "rs.json").write_bytes(
        key_set(
            world.rs.key,
            world.second_rsa,
            world.rs_only.jwk(alg="RS256"),
            world.for_encryption.jwk(use="enc"),
        )
    )
    (directory / "es.json").write_bytes(key_set(world.es.key, world.p384, world.p521, world.ed))


def digest(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def asks(name: str, *methods: str, scopes: list[str] | None = None, **options: Any) -> dict[str, Any]:
    """A route /name/* with authentication by these, each an issuer or `api_key`."""
    found: list[Any] = [one if one == "api_key" else {"jwt": one} for one in methods]
    auth: dict[str, Any] = {"any": found}
    if scopes:
        auth["scopes"] = scopes
    return route(name, f"/{name}/*", auth={**auth, **options.pop("auth", {})}, **options)


def config(url: str) -> dict[str, Any]:
    audience = {"audience": "api"}
    rsa_family = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
    return {
        "trusted_proxies": [f"{TRUSTED}/32"],
        "upstreams": {"main": service(url, timeouts={"connect": "10s"})},
        "issuers": {
            "rs": {"issuer": RS, **audience, "algorithms": rsa_family, "jwks_file": "rs.json"},
            "pem": {"issuer": PEM, **audience, "algorithms": ["RS256"], "public_key": "pem.pem"},
            "es": {
                "issuer": ES,
                **audience,
                "algorithms": ["ES256", "ES384", "ES512", "EdDSA"],
                "jwks_file": "es.json",
            },
            "hs": {
                "issuer": HS,
                **audience,
                "algorithms": ["HS256", "HS384", "HS512"],
                "secret": HS_SECRET.decode(),
            },
            "dev": {"algorithms": ["HS256"], "secret": DEV_SECRET.decode(), "leeway": "0s"},
        },
        "consumers": [
            {
                "name": "mobile-app",
                "tier": "gold",
                "scopes": ["orders:write", "orders:read"],
                "keys": [digest(API_KEY)],
                "subjects": [{"issuer": "rs", "subject": "app-7731"}],
            },
            {"name": "partner", "keys": [digest(PARTNER_KEY)]},
        ],
        "routes": routes(),
    }


def routes() -> list[dict[str, Any]]:
    return [
        route("open", "/open/*"),
        *(asks(name, name) for name in ("rs", "pem", "es", "hs", "dev")),
        asks("all", "rs", "pem", "es", "hs", "dev"),
        asks("key", "api_key"),
        asks("either", "rs", "hs", "api_key"),
        asks("key-first", "api_key", "rs"),
        asks("scoped", "rs", "hs", "api_key", scopes=["orders:read"]),
        asks("both-scopes", "rs", "api_key", scopes=["orders:read", "orders:write"]),
        asks("shadow", "rs", auth={"mode": "shadow"}),
        asks("own-reply", "rs", reply={"status": 200, "body": "mine"}),
        route("hosted-open", match={"hosts": ["open.example"], "path": "/hosted/*"}),
        asks("hosted", "rs", match={"hosts": ["closed.example"], "path": "/hosted/*"}),
        route("headed-open", match={"path": "/headed/*", "headers": {"x-open": "1"}}),
        asks("headed", "rs"),
        route("written-open", match={"path": "/written/*", "methods": ["GET"]}),
        asks("written", "rs", match={"path": "/written/*", "methods": ["POST"]}),
        asks(
            "tiers",
            "rs",
            "es",
            "dev",
            "api_key",
            limits=[
                {
                    "name": "t",
                    "key": "consumer",
                    "rate": "1/h",
                    "burst": 2,
                    "tiers": {"gold": "6000000/m"},
                }
            ],
        ),
    ]


def start(directory: Path, url: str, world: World) -> Gateway:
    write_keys(directory, world)
    return Gateway(directory, config(url)).start()


def challenge(answer: Response) -> str:
    """All of WWW-Authenticate; several field lines are one list."""
    return ", ".join(answer.all("WWW-Authenticate"))


def check_unauthorized(
    gateway: Gateway, answer: Response, reason: str = "invalid_credentials"
) -> dict[str, Any]:
    """401, the same as for every other wrong credential: nothing says which part of it was wrong."""
    entry = check_refusal(gateway, answer, 401, reason)
    asked = challenge(answer)
    assert asked, "401 without WWW-Authenticate"
    missing = reason == "missing_credentials"
    assert ("error=" in asked) is (not missing and "Bearer" in asked), asked
    if not missing and "Bearer" in asked:
        assert 'error="invalid_token"' in asked
    assert not entry.get("consumer"), "the log believes a credential that was refused"
    return dict(json.loads(answer.body))


def key(value: str) -> list[str]:
    return [f"X-API-Key: {value}"]


def ask(live: Gateway, path: str, *fields: str) -> Response:
    with live.client() as client:
        return client.get(path, fields=fields)


def told(live: Gateway, upstream: Upstream, path: str, *fields: str) -> Request:
    """What the upstream got of a request that passed."""
    answer = ask(live, path, *fields)
    assert answer.status == 200, answer.body
    return upstream.one(path)

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from fastgw.policy.auth.options import ApiKeysOptions, AuthMethod, AuthOptions, ConsumerOptions, IssuerOptions
from tests.policy.auth.minting import ED25519, P256, RSA, jwk, pem

SECRET = "0123456789abcdef0123456789abcdef"


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


def hint_of(model: type[BaseModel], options: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(options)
    return str(caught.value.errors()[0]["msg"])


def test_methods() -> None:
    options = AuthOptions.model_validate({"any": [{"jwt": "main"}, "api_key"]})
    assert options.any == (AuthMethod("jwt", "main"), AuthMethod("api_key"))


@pytest.mark.parametrize("method", ["jwt", {"jwt": "a", "x": 1}, {"api_key": 1}, {}, 3, None])
def test_methods_are_refused(method: object) -> None:
    assert "write api_key or jwt: <issuer>" in hint_of(AuthOptions, {"any": [method]})


def test_an_issuer_has_one_key() -> None:
    assert IssuerOptions.model_validate({"algorithms": ["HS256"], "secret": SECRET}).secret == SECRET
    assert "no key is given" in hint_of(IssuerOptions, {"algorithms": ["HS256"]})
    both = {"algorithms": ["HS256"], "secret": SECRET, "jwks_url": "https://x"}
    assert "jwks_url and secret is given" in hint_of(IssuerOptions, both)


def test_short_secrets_are_refused_and_not_repeated() -> None:
    message = hint_of(IssuerOptions, {"algorithms": ["HS256"], "secret": SECRET[:31]})
    assert "less than 32 bytes" in message
    assert SECRET[:31] not in message


@pytest.mark.parametrize("algorithm", ["none", "hs256", "", None, "HS1"])
def test_algorithms(algorithm: object) -> None:
    assert "write HS256" in hint_of(IssuerOptions, {"algorithms": [algorithm], "secret": SECRET})


@pytest.mark.parametrize(
    "key", ["secret", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 64 + "\n"]
)
def test_keys_are_digests_and_what_is_none_is_not_repeated(key: str) -> None:
    message = hint_of(ConsumerOptions, {"name": "a", "keys": [key]})
    assert "sha256: and the 64 hex digits" in message
    assert "secret" not in message


ISSUER: dict[str, Any] = {"algorithms": ["RS256"]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"algorithms": ["RS256"], "secret": SECRET}, "RS256 does not fit a secret"),
        ({"algorithms": ["HS256", "ES256"], "secret": SECRET}, "ES256 does not fit a secret"),
        ({"algorithms": ["HS256"], "public_key": pem(RSA)}, "HS256 does not fit public keys"),
        ({"algorithms": ["RS256", "HS256"], "jwks_url": "https://id/jwks"}, "HS256 does not fit public keys"),
        ({"algorithms": ["ES256"], "public_key": pem(RSA)}, "ES256 does not fit the key; write PS256 or"),
        ({"algorithms": ["ES384"], "public_key": pem(P256)}, "ES384 does not fit the key; write ES256"),
        ({"algorithms": ["ES256", "RS256"], "jwks_file": jwks(jwk(P256))}, "RS256 does not fit the key"),
        ({"algorithms": ["PS256"], "jwks_file": jwks(jwk(RSA, alg="RS256"))}, "PS256 does not fit the key"),
        ({"algorithms": [], "secret": SECRET}, "algorithms is empty"),
        ({**ISSUER, "public_key": "keys/main.pem"}, "no public key; write the path of a PEM file"),
        ({**ISSUER, "public_key": "-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----"}, "no public key"),
        ({**ISSUER, "jwks_file": "keys.json"}, "no JWKS; write the path"),
        ({**ISSUER, "jwks_file": '{"keys": []}'}, "no usable key"),
        ({**ISSUER, "jwks_file": jwks(jwk(RSA, d="AAAA"))}, "private or secret key"),
        ({**ISSUER, "jwks_file": jwks(jwk(RSA), {"kty": "oct", "k": "AAAA"})}, "private or secret key"),
        ({**ISSUER, "jwks_url": "id.example.com/jwks"}, "no address of a JWKS"),
        ({**ISSUER, "jwks_url": "file:///etc/passwd"}, "no address of a JWKS"),
        ({**ISSUER, "jwks_url": "https:///jwks"}, "no address of a JWKS"),
        ({**ISSUER, "jwks_url": "https://id:port/"}, "no address of a JWKS"),
        ({**ISSUER, "jwks_url": "https://id/jwks", "jwks_refresh": "100ms"}, "jwks_refresh is too short"),
    ],
)
def test_keys_and_algorithms_fit(options: dict[str, Any], words: str) -> None:
    message = hint_of(IssuerOptions, options)
    assert words in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "options",
    [
        {"algorithms": ["HS256", "HS384", "HS512"], "secret": SECRET},
        {"algorithms": ["RS256", "PS512"], "public_key": pem(RSA)},
        {"algorithms": ["ES256", "EdDSA"], "jwks_file": jwks(jwk(P256), jwk(ED25519))},
        {"algorithms": ["RS256", "ES256"], "jwks_url": "http://127.0.0.1:8000/jwks?a=b", "jwks_refresh": "1s"},
    ],
)
def test_beside_them_twins_pass(options: dict[str, Any]) -> None:
    assert IssuerOptions.model_validate(options).algorithms == tuple(options["algorithms"])


@pytest.mark.parametrize("scope", ["", "two words", 'quo"te', "back\\slash", "é", "new\nline", 3, None])
def test_a_scope_is_one_word(scope: object) -> None:
    assert "is no scope" in hint_of(AuthOptions, {"any": ["api_key"], "scopes": [scope]})
    assert "is no scope" in hint_of(ConsumerOptions, {"name": "a", "scopes": [scope]})
    assert AuthOptions.model_validate({"any": ["api_key"], "scopes": ["orders:read"]}).scopes == ("orders:read",)


def test_some_way_in_is_needed() -> None:
    assert "any is empty" in hint_of(AuthOptions, {"any": []})


@pytest.mark.parametrize("header", ["X-API-Key", "authorization", "x-key", "Api-Token"])
def test_a_key_may_come_in_a_field_of_its_own(header: str) -> None:
    assert ApiKeysOptions.model_validate({"header": header}).header == header.lower()


@pytest.mark.parametrize(
    "header",
    ["Host", "Connection", "Cookie", "X-Consumer", "X-Consumer-Scopes", "X-Forwarded-For", "Via", "TE", "x_api_key"],
)
def test_but_not_in_one_that_says_something_else(header: str) -> None:
    with pytest.raises(ValidationError, match="write"):
        ApiKeysOptions.model_validate({"header": header})

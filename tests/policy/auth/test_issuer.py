"""One issuer: the algorithm is pinned, the key is the issuer's own, and only a true signature changes the answer."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from typing import Any

import pytest

from fastgw.model.identity import Identity
from fastgw.policy.auth.compact import parse
from fastgw.policy.auth.directory import Directory
from fastgw.policy.auth.issuer import MAX_TRIED, Failure, Issuer
from tests.policy.auth.minting import (
    CLAIMS,
    ED25519,
    KEYS,
    NOW,
    P256,
    P384,
    RSA,
    SECRET,
    b64,
    jwk,
    mint,
    options,
    pem,
)

NOBODY = Directory(())
URL = "https://id.example.com/jwks"


def outcome(issuer: Issuer, token: bytes) -> Identity | Failure | None:
    """None: it does not take the token at all."""
    parsed = parse(token)
    return issuer.verify(parsed, NOBODY, NOW) if issuer.takes(parsed) else None


def issuer(**more: Any) -> Issuer:
    return Issuer("main", options(**more))


def fetched(*keys: dict[str, Any], **more: Any) -> Issuer:
    one = issuer(jwks_url=URL, **more)
    one.set_keys(list(keys))
    return one


def jwks_file(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": list(keys)})


def good(found: Any) -> bool:
    return isinstance(found, Identity) and found.consumer == "main:alice"


@pytest.mark.parametrize("algorithm", KEYS)
def test_every_algorithm(algorithm: str) -> None:
    if algorithm.startswith("HS"):
        one = issuer(algorithms=[algorithm])
    else:
        one = issuer(algorithms=[algorithm], public_key=pem(KEYS[algorithm]))
    token = mint(algorithm=algorithm)
    assert good(outcome(one, token))
    head, body, signature = token.split(b".")
    for forged in (
        head + b"." + b64(json.dumps({**CLAIMS, "sub": "bob"}).encode()) + b"." + signature,
        b64(json.dumps({"alg": algorithm}).encode()) + b"." + body + b"." + signature,
        head + b"." + body + b"." + b64(b"\0" * 64),
        head + b"." + body + b"." + b64(b"\0"),
    ):
        assert outcome(one, forged) is Failure.INVALID


@pytest.mark.parametrize(
    "name", ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS512", "RS256", "ES256", "dir", "A128KW"]
)
def test_only_pinned_algorithms_are_looked_at(name: str) -> None:
    token = mint(header={"alg": name}, algorithm="HS256")
    assert outcome(issuer(), token) is None


def hmac_with(key: bytes, **header: Any) -> bytes:
    signed = b64(json.dumps({"alg": "HS256", **header}).encode()) + b"." + b64(json.dumps(CLAIMS).encode())
    return signed + b"." + b64(hmac.new(key, signed, sha256).digest())


def test_a_public_key_is_no_secret() -> None:
    """RFC 8725 section 2.1: the attacker signs by HMAC with what everybody can read."""
    text = pem(RSA)
    one = issuer(algorithms=["RS256"], public_key=text)
    assert good(outcome(one, mint(algorithm="RS256")))
    for key in (text, text.strip(), text + "\n", json.dumps(jwk(RSA)), jwk(RSA)["n"]):
        assert outcome(one, hmac_with(key.encode())) is None


def test_keys_of_another_kind_are_not_tried() -> None:
    one = fetched(jwk(RSA, kid="a"), jwk(P256, kid="b"), jwk(ED25519, kid="c"), algorithms=["RS256", "ES256", "EdDSA"])
    assert good(outcome(one, mint(algorithm="RS256", kid="a")))
    assert good(outcome(one, mint(algorithm="ES256", kid="b")))
    assert good(outcome(one, mint(algorithm="EdDSA", kid="c")))
    for algorithm, kid in (("RS256", "b"), ("RS256", "c"), ("ES256", "a"), ("EdDSA", "a")):
        assert outcome(one, mint(algorithm=algorithm, kid=kid)) is Failure.INVALID
    assert outcome(one, mint(algorithm="PS256", kid="a")) is None  # fits the key, but is not pinned


@pytest.mark.parametrize(
    "kid", ["", "../../dev/null", "/etc/passwd", "b' OR '1'='1", "a\0", "a ", "A", "http://127.0.0.1/key", "*", "x" * 999]
)
def test_a_kid_chooses_among_our_keys_and_nothing_else(kid: str) -> None:
    one = issuer(algorithms=["ES256"], jwks_file=jwks_file(jwk(P256, kid="a")))
    assert outcome(one, mint(algorithm="ES256", kid=kid)) is Failure.INVALID
    assert good(outcome(one, mint(algorithm="ES256", kid="a")))
    assert good(outcome(one, mint(algorithm="ES256")))  # a token without a name is tried


def test_the_hint_says_nothing_about_a_key_without_a_name() -> None:
    assert good(outcome(issuer(), mint(kid="whatever")))
    one = fetched(jwk(P256), jwk(P384, kid="other"), algorithms=["ES256"])
    assert good(outcome(one, mint(algorithm="ES256", kid="whatever")))


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_keys_that_a_token_brings_are_not_looked_at(name: str) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    own = ec.generate_private_key(ec.SECP256R1())
    value = {"jwk": jwk(own), "jku": "http://127.0.0.1/jwks", "x5u": "http://127.0.0.1/x", "x5c": [pem(own)]}[name]
    one = issuer(algorithms=["ES256"], public_key=pem(P256))
    assert outcome(one, mint(algorithm="ES256", key=own, **{name: value})) is Failure.INVALID
    assert good(outcome(one, mint(algorithm="ES256", **{name: value})))


def test_an_unknown_kid_is_asked_for_only_where_keys_come_from_a_url() -> None:
    token = mint(algorithm="ES256", kid="new")
    assert outcome(fetched(jwk(P256, kid="old"), algorithms=["ES256"]), token) is Failure.UNKNOWN_KEY
    one = issuer(algorithms=["ES256"], jwks_file=jwks_file(jwk(P256, kid="old")))
    assert outcome(one, token) is Failure.INVALID


def test_claims_come_first_so_that_no_key_is_fetched_for_nothing() -> None:
    one = fetched(jwk(P256, kid="old"), algorithms=["ES256"])
    assert outcome(one, mint({"sub": "alice"}, algorithm="ES256", kid="new")) is Failure.INVALID


def test_without_keys_nothing_can_be_said() -> None:
    one = issuer(jwks_url=URL, algorithms=["ES256"])
    assert outcome(one, mint(algorithm="ES256", kid="a")) is Failure.UNAVAILABLE
    assert outcome(one, mint(algorithm="RS256", kid="a")) is None
    one.set_keys([jwk(P256, kid="a")])
    assert good(outcome(one, mint(algorithm="ES256", kid="a")))
    one.set_keys([jwk(P256, kid="b")])  # rotation: the old name is gone
    assert outcome(one, mint(algorithm="ES256", kid="a")) is Failure.UNKNOWN_KEY


def test_a_token_without_a_name_is_tried_with_a_few_keys() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    others = [jwk(ec.generate_private_key(ec.SECP256R1()), kid=str(number)) for number in range(MAX_TRIED)]
    one = fetched(*others[1:], jwk(P256, kid="last"), algorithms=["ES256"])
    assert good(outcome(one, mint(algorithm="ES256")))
    one = fetched(*others, jwk(P256, kid="last"), algorithms=["ES256"])
    assert outcome(one, mint(algorithm="ES256")) is Failure.INVALID


@pytest.mark.parametrize(
    ("exp", "passes"), [(NOW - 5, False), (NOW - 4.99, True), (NOW, True), (NOW - 3600, False), (0, False)]
)
def test_expiry_is_on_or_after_with_leeway(exp: float, passes: bool) -> None:
    found = outcome(issuer(), mint({**CLAIMS, "exp": exp}))
    assert good(found) if passes else found is Failure.EXPIRED


def test_expired_is_said_of_a_true_signature_only() -> None:
    other = b"another secret of thirty-two bytes!!"
    assert outcome(issuer(), mint({**CLAIMS, "exp": 1}, key=other)) is Failure.INVALID


def test_the_issuer_of_the_token_decides_who_takes_it() -> None:
    one = issuer(issuer="https://id.example.com/")
    assert good(outcome(one, mint({**CLAIMS, "iss": "https://id.example.com/"})))
    assert outcome(one, mint({**CLAIMS, "iss": "https://other/"})) is None
    assert outcome(one, mint()) is None
    assert good(outcome(issuer(), mint({**CLAIMS, "iss": "anybody"})))


def test_identity() -> None:
    found = outcome(issuer(), mint({**CLAIMS, "scope": "a b", "org": "x", "n": 3}))
    assert isinstance(found, Identity)
    assert (found.consumer, found.issuer, found.tier, found.scopes) == ("main:alice", "main", "", {"a", "b"})
    assert found.claims["org"] == "x" and found.claims["n"] == "3"
    assert found.expires == NOW + 60 + 5
    assert SECRET not in repr(found.claims)

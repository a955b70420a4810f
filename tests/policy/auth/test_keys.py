"""Keys are typed when they are loaded; a signature is right or it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from fastgw.policy.auth.keys import (
    HS,
    MAX_KEYS,
    BadKey,
    from_jwk,
    from_jwks,
    from_pem,
    from_secret,
    public_half,
    read_jwks,
)
from tests.policy.auth.minting import ED448, ED25519, KEYS, P256, P384, P521, RSA, SECRET, b64, jwk, pem, sign

MESSAGE = b"header.claims"
RSAS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
KINDS = [
    (RSA, RSAS), (P256, {"ES256"}), (P384, {"ES384"}), (P521, {"ES512"}), (ED25519, {"EdDSA"}), (ED448, {"EdDSA"}),
]  # fmt: skip
ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": int("F" * 48 + "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16),
    "ES512": int("1FF" + "F" * 62 + "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16),
}


@pytest.mark.parametrize(("key", "algorithms"), KINDS)
def test_the_kind_of_a_key_decides_what_it_checks(key: Any, algorithms: set[str]) -> None:
    assert from_pem(pem(key)).algorithms == algorithms
    assert from_jwk(jwk(key)).algorithms == algorithms


def test_a_secret_checks_hmacs_only() -> None:
    assert from_secret(SECRET).algorithms == HS


@pytest.mark.parametrize("algorithm", KEYS)
def test_signatures(algorithm: str) -> None:
    key = KEYS[algorithm]
    ours = from_secret(SECRET) if algorithm in HS else from_jwk(jwk(key))
    good = sign(algorithm, key, MESSAGE)
    assert ours.verifies(algorithm, MESSAGE, good)
    assert not ours.verifies(algorithm, MESSAGE + b"x", good)
    for bad in (b"", b"\0", good[:-1], good + b"\0", b"\0" + good, bytes(len(good)), good[::-1], good * 2):
        assert not ours.verifies(algorithm, MESSAGE, bad), bad
    for at in (0, len(good) // 2, len(good) - 1):
        assert not ours.verifies(algorithm, MESSAGE, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])


@pytest.mark.parametrize(("algorithm", "size"), [("ES256", 32), ("ES384", 48), ("ES512", 66)])
def test_halves_of_an_ec_signature_are_within_the_order(algorithm: str, size: int) -> None:
    key = from_jwk(jwk(KEYS[algorithm]))
    good = sign(algorithm, KEYS[algorithm], MESSAGE)
    order = ORDERS[algorithm]
    zero, one = bytes(size), (1).to_bytes(size, "big")
    n = order.to_bytes(size, "big")
    for bad in (zero + zero, zero + good[size:], good[:size] + zero, n + n, n + good[size:], good[:size] + n,
                zero + one, one + zero, b"\xff" * 2 * size, good[size:] + good[:size]):  # fmt: skip
        assert not key.verifies(algorithm, MESSAGE, bad)
    assert key.verifies(algorithm, MESSAGE, good)


def test_an_ec_signature_in_der_is_none() -> None:
    from cryptography.hazmat.primitives.hashes import SHA256

    der = P256.sign(MESSAGE, ec.ECDSA(SHA256()))
    assert not from_jwk(jwk(P256)).verifies("ES256", MESSAGE, der)


def small(bits: int) -> Any:
    return rsa.generate_private_key(65537, bits)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (pem(small(1024)), "1024 bits"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "curve secp256k1"),
        (pem(dsa.generate_private_key(2048)), "keys of this type"),
        (pem(x25519.X25519PrivateKey.generate()), "keys of this type"),
        (RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), "private key"),
        (RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode(), "private key"),
        ("", "no public key"),
        ("ssh-rsa AAAA", "no public key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no public key"),
    ],
)
def test_pems_that_are_refused(text: str, words: str) -> None:
    with pytest.raises(BadKey, match=words):
        from_pem(text)


def test_a_public_key_of_pkcs1() -> None:
    text = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
    assert from_pem(text).algorithms == RSAS


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"kty": None},
        {"kty": "oct", "k": b64(SECRET.encode()).decode()},
        {"kty": ["RSA"]},
        jwk(RSA, use="enc"),
        jwk(RSA, use=None),
        jwk(RSA, key_ops=["encrypt"]),
        jwk(RSA, key_ops="verify"),
        jwk(RSA, alg="ES256"),
        jwk(RSA, alg="HS256"),
        jwk(RSA, alg="RSA-OAEP"),
        jwk(RSA, alg=None),
        jwk(RSA, kid=3),
        jwk(RSA, n=3),
        jwk(RSA, n=""),
        jwk(RSA, n="AQAB"),
        jwk(RSA, e="AQ"),
        jwk(RSA, e="Ag"),
        jwk(RSA, e=""),
        jwk(small(1024)),
        jwk(P256, crv="P-384"),
        jwk(P256, crv="secp256k1"),
        jwk(P256, crv=None),
        jwk(P256, x="AAAA"),
        jwk(P256, y=b64(bytes(32)).decode()),  # not on the curve
        jwk(ED25519, x="AAAA"),
        jwk(ED25519, crv="X25519"),
        {key: value for key, value in jwk(RSA).items() if key != "e"},
        {key: value for key, value in jwk(P256).items() if key != "y"},
    ],
)
def test_jwks_that_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BadKey):
        from_jwk(bad)
    assert from_jwks([bad, jwk(P384)])[0].algorithms == {"ES384"}  # and do not spoil the set


def test_the_alg_of_a_jwk_narrows_it() -> None:
    assert from_jwk(jwk(RSA, alg="PS256")).algorithms == {"PS256"}
    assert from_jwk(jwk(RSA, use="sig", key_ops=["verify"])).algorithms == RSAS


def test_only_the_public_half_is_kept() -> None:
    from jwt.algorithms import RSAAlgorithm

    private = {**RSAAlgorithm.to_jwk(RSA, as_dict=True), "key_ops": ["sign", "verify"], "kid": "a", "x5u": "https://x"}
    assert public_half(private) == {**jwk(RSA), "kid": "a"}


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "null", "{}", '{"keys": {}}', '{"keys": []}', '{"keys": [1, null]}', "[" * 100_000, b"\xff"]
)
def test_documents_that_are_no_jwks(text: str | bytes) -> None:
    with pytest.raises(BadKey):
        read_jwks(text)


def test_a_jwks_is_bounded() -> None:
    many = [jwk(P256, kid=str(number)) for number in range(MAX_KEYS + 5)]
    assert len(read_jwks(json.dumps({"keys": many}))) == MAX_KEYS
    assert len(from_jwks(many)) == MAX_KEYS

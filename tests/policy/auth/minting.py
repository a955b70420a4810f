"""Tokens by hand: any header, any claims, any bytes; and keys of every kind. Nothing here refuses anything."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms

from fastgw.policy.auth.options import IssuerOptions

SECRET = "0123456789abcdef0123456789abcdef"
NOW = 1_700_000_000  # the wall clock of ManualClock

RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
P521 = ec.generate_private_key(ec.SECP521R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
ED448 = ed448.Ed448PrivateKey.generate()

# Every algorithm, and a key for it.
KEYS: dict[str, Any] = {
    **dict.fromkeys(("HS256", "HS384", "HS512"), SECRET.encode()),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSA),
    "ES256": P256, "ES384": P384, "ES512": P521, "EdDSA": ED25519,
}  # fmt: skip

CLAIMS: dict[str, Any] = {"sub": "alice", "exp": NOW + 60}


def b64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def as_json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def sign(algorithm: str, key: Any, signed: bytes) -> bytes:
    return get_default_algorithms()[algorithm].sign(signed, key)


def mint(
    claims: Any = None, algorithm: str = "HS256", key: Any = None, header: Any = None, **more: Any
) -> bytes:
    """`header` replaces the whole header, `more` adds to it; dicts, or the JSON as bytes."""
    head = {"alg": algorithm, "typ": "JWT", **more} if header is None else header
    signed = b64(as_json(head)) + b"." + b64(as_json(CLAIMS if claims is None else claims))
    return signed + b"." + b64(sign(algorithm, KEYS[algorithm] if key is None else key, signed))


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    """The public half."""
    public = key.public_key()
    reader = {"RSAPublicKey": RSAAlgorithm}.get(type(public).__name__)
    if reader is None:
        reader = ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else OKPAlgorithm
    made = reader.to_jwk(public, as_dict=True)
    made.pop("key_ops", None)
    return {**made, **more}


def pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def options(**more: Any) -> IssuerOptions:
    """An issuer with the secret, unless another key is given."""
    given = {"jwks_url", "jwks_file", "public_key", "secret"} & more.keys()
    plain = {"algorithms": ["HS256"], **({} if given else {"secret": SECRET}), **more}
    return IssuerOptions.model_validate(plain)

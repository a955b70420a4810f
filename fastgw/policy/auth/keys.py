"""Keys that signatures are checked with: typed when they are loaded, so that a key can never serve an algorithm of
another kind (RFC 8725 section 3.1: HS with a public key as the secret).

Read from a secret, a PEM or a JWKS (RFC 7517). Where they come from is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import (
    Algorithm,
    ECAlgorithm,
    HMACAlgorithm,
    OKPAlgorithm,
    RSAAlgorithm,
    RSAPSSAlgorithm,
)
from jwt.exceptions import PyJWTError

Jwk = dict[str, Any]

MAX_KEYS: Final = 64  # of one issuer; providers publish two or three
MAX_RSA_BITS: Final = 8192  # checking a signature of 16,384 bits takes a millisecond
MIN_RSA_BITS: Final = 2048  # RFC 7518 section 3.3

HS: Final = frozenset({"HS256", "HS384", "HS512"})
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_ED: Final = frozenset({"EdDSA"})
# RFC 7518 section 3.4: the curve, the bytes of each half of a signature, and the order, below which both halves are.
_CURVES: Final[dict[str, tuple[str, int, int]]] = {
    "ES256": ("secp256r1", 32, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    "ES384": ("secp384r1", 48, int("F" * 48 + "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16)),
    "ES512": (
        "secp521r1",
        66,
        int("01FF" + "F" * 62 + "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16),
    ),
}
_ALGORITHMS: Final[dict[str, Algorithm]] = {
    "HS256": HMACAlgorithm(HMACAlgorithm.SHA256),
    "HS384": HMACAlgorithm(HMACAlgorithm.SHA384),
    "HS512": HMACAlgorithm(HMACAlgorithm.SHA512),
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "RS384": RSAAlgorithm(RSAAlgorithm.SHA384),
    "RS512": RSAAlgorithm(RSAAlgorithm.SHA512),
    "PS256": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256),
    "PS384": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA384),
    "PS512": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA512),
    "ES256": ECAlgorithm(ECAlgorithm.SHA256),
    "ES384": ECAlgorithm(ECAlgorithm.SHA384),
    "ES512": ECAlgorithm(ECAlgorithm.SHA512),
    "EdDSA": OKPAlgorithm(),
}
# What is public of a JWK, by its type: the rest never leaves the file or the answer that it stood in.
_PUBLIC: Final[dict[str, tuple[str, ...]]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_READERS: Final[dict[str, Any]] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}


class BadKey(Exception):
    """A key that cannot be used; the text says why, without the key."""


class Key:
    """A key, its name if it has one, and the algorithms that it may check."""

    __slots__ = ("algorithms", "kid", "material")

    def __init__(self, material: Any, algorithms: frozenset[str], kid: str | None = None) -> None:
        self.material = material
        self.algorithms = algorithms
        self.kid = kid

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's. The caller has checked that the algorithm is one of the key's."""
        if algorithm in _CURVES and not _in_range(algorithm, signature):
            return False
        good: bool = _ALGORITHMS[algorithm].verify(signed, self.material, signature)
        return good


def _in_range(algorithm: str, signature: bytes) -> bool:
    """RFC 7518 section 3.4: two halves of a fixed length; zeros or halves beyond the order sign nothing."""
    _, size, order = _CURVES[algorithm]
    if len(signature) != 2 * size:
        return False
    r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    return 0 < r < order and 0 < s < order


def from_secret(secret: str) -> Key:
    return Key(secret.encode(), HS)


def from_pem(text: str) -> Key:
    """A public key or a certificate. Raises BadKey."""
    if "PRIVATE KEY-----" in text:
        raise BadKey("this is a private key; give its public half")
    try:
        if "-----BEGIN CERTIFICATE-----" in text:
            material: Any = load_pem_x509_certificate(text.encode()).public_key()
        else:
            material = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey("this is no public key; write it as PEM: -----BEGIN PUBLIC KEY----- ...") from None
    return from_public(material)


def from_public(material: Any) -> Key:
    """A public key as cryptography has it. Raises BadKey."""
    return Key(material, _fitting(material))


def from_jwk(jwk: Mapping[str, Any]) -> Key:
    """A public key out of a JWKS (RFC 7517 section 4). Raises BadKey."""
    reduced = public_half(jwk)
    try:
        material = _READERS[reduced["kty"]].from_jwk(reduced)
        algorithms = _fitting(material)
    except (PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        raise BadKey("the key cannot be read") from None
    if "alg" in reduced:
        algorithms &= {reduced["alg"]}
        if not algorithms:
            raise BadKey("its alg does not fit it")
    return Key(material, algorithms, reduced.get("kid"))


def public_half(jwk: Mapping[str, Any]) -> Jwk:
    """What is needed of a key to check signatures; BadKey where it is for something else."""
    kind = jwk.get("kty")
    if type(kind) is not str or kind not in _PUBLIC:
        raise BadKey("it is neither an RSA, an EC nor an OKP key")
    if jwk.get("use", "sig") != "sig":
        raise BadKey("it is not for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if type(operations) is not list or "verify" not in operations:
        raise BadKey("it is not for checking signatures")
    made: Jwk = {"kty": kind}
    for name in (*_PUBLIC[kind], "kid", "alg"):
        if name in jwk:
            if type(jwk[name]) is not str:
                raise BadKey(f"its {name} is no string")
            made[name] = jwk[name]
        elif name not in ("kid", "alg"):
            raise BadKey(f"it has no {name}")
    return made


def from_jwks(jwks: Iterable[Mapping[str, Any]]) -> tuple[Key, ...]:
    """The usable keys of a set; the others are for other purposes (RFC 7517 section 5 says to ignore them)."""
    made: list[Key] = []
    for jwk in jwks:
        try:
            made.append(from_jwk(jwk))
        except BadKey:
            continue
    return tuple(made[:MAX_KEYS])


def read_jwks(text: str | bytes) -> list[Jwk]:
    """The public halves of the usable keys of a JWKS document. Raises BadKey where it is none, or has none."""
    try:
        value = json.loads(text.decode() if isinstance(text, bytes) else text)
    except (ValueError, RecursionError):
        raise BadKey("this is not JSON") from None
    keys = value.get("keys") if type(value) is dict else None
    if type(keys) is not list:
        raise BadKey('this is no JWKS; it is an object with a list "keys"')
    usable: list[Jwk] = []
    why = "the list is empty"
    for jwk in keys:
        try:
            if type(jwk) is not dict:
                raise BadKey("an entry is no object")
            from_jwk(jwk)
            usable.append(public_half(jwk))
        except BadKey as error:
            why = str(error)
    if not usable:
        raise BadKey(f"there is no usable key: {why}")
    return usable[:MAX_KEYS]


def _fitting(material: Any) -> frozenset[str]:
    """The algorithms of a public key. Raises BadKey."""
    if isinstance(material, RSAPublicKey):
        if not MIN_RSA_BITS <= material.key_size <= MAX_RSA_BITS:
            raise BadKey(f"the RSA key has {material.key_size} bits; use one of {MIN_RSA_BITS} to {MAX_RSA_BITS}")
        numbers = material.public_numbers()
        if numbers.e < 3 or not numbers.e & 1 or not numbers.n & 1:
            raise BadKey("the RSA key is degenerate")
        return _RSA
    if isinstance(material, EllipticCurvePublicKey):
        for algorithm, (curve, _, _) in _CURVES.items():
            if material.curve.name == curve:
                return frozenset({algorithm})
        raise BadKey(f"the curve {material.curve.name} is not one of P-256, P-384 and P-521")
    if isinstance(material, Ed25519PublicKey | Ed448PublicKey):
        return _ED
    raise BadKey("keys of this type sign no JWTs here; use RSA, EC or Ed25519")

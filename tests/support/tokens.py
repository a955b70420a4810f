"""JWTs made by hand, good ones and forged ones, of keys of every family.

Written apart from the gateway's own parsing, and from any JWT library: a forger needs every byte."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
DIGESTS = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}
CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
LIFE = 600

ABSENT = object()  # a claim or a header member that is left away

Sign = Callable[[bytes], bytes]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, length: int = 0) -> str:
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def dump(value: dict[str, Any] | bytes) -> bytes:
    """Bytes stay as they are: a forger writes JSON that no encoder would."""
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def compact(header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes, sign: Sign) -> str:
    signed = f"{b64(dump(header))}.{b64(dump(claims))}"
    return f"{signed}.{b64(sign(signed.encode()))}"


def hmac_with(secret: bytes, algorithm: str = "HS256") -> Sign:
    return lambda data: hmac.new(secret, data, DIGESTS[algorithm[2:]]).digest()


@dataclass(frozen=True)
class Key:
    """One private key; `private` is the secret itself for HS."""

    private: Any
    kid: str

    def signer(self, algorithm: str) -> Sign:
        return lambda data: self.sign(algorithm, data)

    def sign(self, algorithm: str, data: bytes) -> bytes:
        if algorithm == "EdDSA":
            return bytes(self.private.sign(data))
        if algorithm.startswith("HS"):
            return hmac_with(self.private, algorithm)(data)
        digest = HASHES[algorithm[2:]]()
        if algorithm.startswith("RS"):
            return bytes(self.private.sign(data, padding.PKCS1v15(), digest))
        if algorithm.startswith("PS"):
            salted = padding.PSS(padding.MGF1(digest), salt_length=digest.digest_size)
            return bytes(self.private.sign(data, salted, digest))
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(digest)))
        length = (self.private.curve.key_size + 7) // 8
        return r.to_bytes(length, "big") + s.to_bytes(length, "big")

    def pem(self) -> bytes:
        return bytes(
            self.private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def jwk(self, **more: Any) -> dict[str, Any]:
        """The public key as a member of a key set."""
        base: dict[str, Any] = {"kid": self.kid, "use": "sig"}
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            base |= {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        elif isinstance(public, ed25519.Ed25519PublicKey):
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            base |= {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
        else:
            numbers, length = public.public_numbers(), (public.curve.key_size + 7) // 8
            name = next(name for name, curve in CURVES.items() if isinstance(public.curve, curve))
            base |= {"kty": "EC", "crv": name, "x": number(numbers.x, length), "y": number(numbers.y, length)}
        return base | more


def rsa_key(kid: str, bits: int = 2048) -> Key:
    return Key(rsa.generate_private_key(public_exponent=65537, key_size=bits), kid)


def ec_key(kid: str, curve: str = "P-256") -> Key:
    return Key(ec.generate_private_key(CURVES[curve]()), kid)


def ed_key(kid: str) -> Key:
    return Key(ed25519.Ed25519PrivateKey.generate(), kid)


def key_set(*keys: Key | dict[str, Any]) -> bytes:
    return json.dumps({"keys": [one.jwk() if isinstance(one, Key) else one for one in keys]}).encode()


@dataclass(frozen=True)
class Signer:
    """An issuer as its clients know it: what `token()` makes is good, each change makes it something else."""

    key: Key
    algorithm: str
    issuer: str = ""
    audience: str = "api"
    header: dict[str, Any] = field(default_factory=dict)

    def head(self, **changes: Any) -> dict[str, Any]:
        base = {"alg": self.algorithm, "typ": "JWT", "kid": self.key.kid, **self.header, **changes}
        return {name: value for name, value in base.items() if value is not ABSENT and value != ""}

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        base = {"sub": "alice", "aud": self.audience, "iat": now, "exp": now + LIFE, "iss": self.issuer}
        base |= changes
        return {name: value for name, value in base.items() if value is not ABSENT and value != ""}

    @property
    def sign(self) -> Sign:
        return self.key.signer(self.algorithm)

    def token(self, **claims: Any) -> str:
        return compact(self.head(), self.claims(**claims), self.sign)

    def with_header(self, **header: Any) -> str:
        return compact(self.head(**header), self.claims(), self.sign)

    def raw(
        self, *, header: bytes | None = None, claims: bytes | None = None, signature: bytes | None = None
    ) -> str:
        """With one of the three parts given, and a true signature unless that is what is given."""
        sign = self.sign if signature is None else (lambda _: signature)
        return compact(header or self.head(), claims or self.claims(), sign)


def bearer(token: str) -> list[str]:
    return [f"Authorization: Bearer {token}"]

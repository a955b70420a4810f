"""Forged tokens of every kind that is known, by name: which route they try, and what they look like.

Each is a function of the issuers' keys; what it may know of them is what an attacker can: the public halves, and
tokens that were signed for somebody else (or, of a legal signer, what no signer should have put into a header)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.integration import issuers
from tests.integration.issuers import World
from tests.support.tokens import (
    ABSENT,
    Key,
    Signer,
    b64,
    compact,
    dump,
    ec_key,
    hmac_with,
    number,
    rsa_key,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED_ORDER = 2**252 + 27742317777372353535851937790883648493

# The issuer whose route is asked, and the token.
Forgery = Callable[[World], tuple[str, str]]


def none_of(spelling: object, *, signed: bool) -> Forgery:
    def forge(world: World) -> tuple[str, str]:
        claims = world.rs.claims(sub="admin")
        sign = world.rs.sign if signed else (lambda _: b"")
        return "rs", compact(world.rs.head(alg=spelling), claims, sign)

    return forge


def hs_with(secret: Callable[[World], bytes], route: str = "rs", **header: object) -> Forgery:
    """The public key taken for a shared secret."""

    def forge(world: World) -> tuple[str, str]:
        signer: Signer = getattr(world, route)
        claims = signer.claims(sub="admin")
        return route, compact(signer.head(alg="HS256", **header), claims, hmac_with(secret(world)))

    return forge


def der(key: Key) -> bytes:
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.private.public_key().public_bytes(serialization.Encoding.DER, info))


def header_of(route: str, **header: object) -> Forgery:
    """A true signature under a header that may not pass."""

    def forge(world: World) -> tuple[str, str]:
        return route, getattr(world, route).with_header(**header)

    return forge


def raw_header(text: bytes, route: str = "rs") -> Forgery:
    return lambda world: (route, getattr(world, route).raw(header=text))


def signature(make: Callable[[bytes, World], bytes], route: str = "es", **header: object) -> Forgery:
    """Another signature in place of the true one."""

    def forge(world: World) -> tuple[str, str]:
        signer: Signer = getattr(world, route)
        sign = signer.key.signer(str(header.get("alg", signer.algorithm)))
        return route, compact(signer.head(**header), signer.claims(), lambda data: make(sign(data), world))

    return forge


def scalars(raw: bytes) -> tuple[int, int]:
    half = len(raw) // 2
    return int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")


def joined(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def ed_forged(make: Callable[[bytes], bytes]) -> Forgery:
    def forge(world: World) -> tuple[str, str]:
        head = world.es.head(alg="EdDSA", kid="ed")
        return "es", compact(head, world.es.claims(), lambda data: make(world.ed.sign("EdDSA", data)))

    return forge


def attackers(signer_header: Callable[[Key, World], dict[str, object]]) -> Forgery:
    """Signed with a key of the attacker's that the header brings along or points to."""

    def forge(world: World) -> tuple[str, str]:
        own = rsa_key("attacker")
        head = world.rs.head(**signer_header(own, world))
        return "rs", compact(head, world.rs.claims(sub="admin"), own.signer("RS256"))

    return forge


def reshaped(change: Callable[[list[str]], str], route: str = "rs") -> Forgery:
    """A good token whose text is changed."""
    return lambda world: (route, change(getattr(world, route).token().split(".")))


def other_key(key: Callable[[World], Key], algorithm: str, route: str = "rs", **header: object) -> Forgery:
    def forge(world: World) -> tuple[str, str]:
        signer: Signer = getattr(world, route)
        head = signer.head(alg=algorithm, **{"kid": key(world).kid, **header})
        return route, compact(head, signer.claims(), key(world).signer(algorithm))

    return forge


def loose_bits(parts: list[str]) -> str:
    """The last character of the signature with other unused bits: the same bytes, another text."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = parts[2][-1]
    return ".".join([*parts[:2], parts[2][:-1] + alphabet[alphabet.index(last) ^ 1]])


def standard(parts: list[str]) -> str:
    """In the alphabet of plain base64; the signature is long enough to have one of its two characters."""
    return ".".join(part.replace("-", "+").replace("_", "/") for part in parts)


DEEP = b'{"alg":"RS256","kid":"rsa-1","x":' + b"[" * 3000 + b"]" * 3000 + b"}"
LONG_NUMBER = b'{"alg":"RS256","kid":"rsa-1","x":' + b"1" * 5500 + b"}"

FORGED: dict[str, Forgery] = {
    # none
    **{f"none-{word}": none_of(word, signed=False) for word in ("none", "None", "NONE", "nOnE", "none ", "\tnone")},
    **{f"none-signed-{word}": none_of(word, signed=True) for word in ("none", "NONE")},
    "alg-empty": lambda world: ("rs", world.rs.raw(header=b'{"alg":"","kid":"rsa-1"}')),
    "alg-absent": none_of(ABSENT, signed=True),
    "alg-null": none_of(None, signed=True),
    "alg-true": none_of(True, signed=True),
    "alg-number": none_of(256, signed=True),
    "alg-list": none_of(["RS256"], signed=True),
    "alg-object": none_of({"RS256": 1}, signed=True),
    "alg-lower": none_of("rs256", signed=True),
    "alg-nul": none_of("RS256\0", signed=True),
    "alg-space": none_of(" RS256", signed=True),
    "alg-jwe": none_of("RSA-OAEP", signed=True),
    "alg-unknown": none_of("RS1", signed=True),
    "alg-twice-none-first": raw_header(b'{"alg":"none","alg":"RS256","kid":"rsa-1"}'),
    "alg-twice-none-last": raw_header(b'{"alg":"RS256","kid":"rsa-1","alg":"none"}'),
    "alg-twice-escaped": raw_header(b'{"alg":"RS256","kid":"rsa-1","\\u0061lg":"HS256"}'),
    "no-signature": reshaped(lambda parts: f"{parts[0]}.{parts[1]}."),
    # pinned algorithms
    "hs-of-pem": hs_with(lambda world: world.rs.key.pem()),
    "hs-of-pem-stripped": hs_with(lambda world: world.rs.key.pem().strip()),
    "hs-of-pem-file": hs_with(lambda world: world.pem.key.pem(), "pem"),
    "hs-of-der": hs_with(lambda world: der(world.pem.key), "pem"),
    "hs-of-jwk": hs_with(lambda world: json.dumps(world.rs.key.jwk()).encode()),
    "hs-of-modulus": hs_with(lambda world: number(world.rs.key.private.public_key().public_numbers().n).encode()),
    "hs-of-nothing": hs_with(lambda world: b""),
    "hs-of-kid": hs_with(lambda world: b"rsa-1"),
    "hs-of-ec-point": hs_with(lambda world: der(world.es.key), "es"),
    "hs-of-hs-secret": hs_with(lambda world: issuers.HS_SECRET),
    "ps-where-rs-is-pinned": other_key(lambda world: world.pem.key, "PS256", "pem", kid=ABSENT),
    "rs512-where-rs256-is-pinned": other_key(lambda world: world.pem.key, "RS512", "pem", kid=ABSENT),
    "hs512-where-hs256-is-pinned": other_key(lambda world: world.dev.key, "HS512", "dev", kid=ABSENT),
    "ps-of-a-key-for-rs": other_key(lambda world: world.rs_only, "PS256"),
    "rs512-of-a-key-for-rs256": other_key(lambda world: world.rs_only, "RS512"),
    "a-key-for-encryption": other_key(lambda world: world.for_encryption, "RS256"),
    "rs-says-ps": signature(lambda raw, world: raw, "rs", alg="RS256", kid="rsa-2"),
    "es384-of-p256": header_of("es", alg="ES384"),
    "es256-under-p384": header_of("es", kid="p384"),
    "es256-under-ed": header_of("es", kid="ed"),
    "es256-says-eddsa": header_of("es", alg="EdDSA"),
    "es256-says-rs256": header_of("es", alg="RS256"),
    # kid
    "kid-of-another-key": header_of("rs", kid="rsa-2"),
    "kid-unknown": header_of("rs", kid="nobody"),
    "kid-path": hs_with(lambda world: b"", kid="../../../../dev/null"),
    "kid-query": hs_with(lambda world: b"x", kid="x' UNION SELECT 'x"),
    "kid-nul": header_of("rs", kid="rsa-1\0"),
    "kid-case": header_of("rs", kid="RSA-1"),
    "kid-number": header_of("rs", kid=1),
    "kid-null": header_of("rs", kid=None),
    "kid-list": header_of("rs", kid=["rsa-1"]),
    "kid-object": header_of("rs", kid={"rsa-1": 1}),
    "kid-true": header_of("rs", kid=True),
    "kid-long": header_of("rs", kid="k" * 4000),
    "kid-surrogate": raw_header(b'{"alg":"RS256","kid":"\\ud800"}'),
    "kid-twice": raw_header(b'{"alg":"RS256","kid":"rsa-2","kid":"rsa-1"}'),
    # keys that the token brings along
    "jwk": attackers(lambda own, world: {"jwk": own.jwk()}),
    "jwk-without-kid": attackers(lambda own, world: {"jwk": own.jwk(), "kid": ABSENT}),
    "jwk-as-hs": hs_with(
        lambda world: b"attacker", jwk={"kty": "oct", "k": b64(b"attacker")}, kid="rsa-1"
    ),
    "x5c": attackers(lambda own, world: {"x5c": [base64.b64encode(der(own)).decode()]}),
    # signatures
    "es-zeros": signature(lambda raw, world: bytes(64)),
    "es-zero-r": signature(lambda raw, world: joined(0, scalars(raw)[1])),
    "es-zero-s": signature(lambda raw, world: joined(scalars(raw)[0], 0)),
    "es-order": signature(lambda raw, world: joined(P256_ORDER, P256_ORDER)),
    "es-one": signature(lambda raw, world: joined(1, 1)),
    "es-all-ones": signature(lambda raw, world: b"\xff" * 64),
    "es-short": signature(lambda raw, world: raw[:-1]),
    "es-long": signature(lambda raw, world: raw + b"\0"),
    "es-leading-zero": signature(lambda raw, world: b"\0" + raw),
    "es-widened": signature(lambda raw, world: bytes(2) + raw[:32] + bytes(2) + raw[32:]),
    "es-empty": signature(lambda raw, world: b""),
    "es-twice": signature(lambda raw, world: raw + raw),
    "es-der": signature(lambda raw, world: encode_dss_signature(*scalars(raw))),
    "es384-of-zeros": signature(lambda raw, world: bytes(96), alg="ES256", kid="p384"),
    "rs-zeros": signature(lambda raw, world: bytes(256), "rs"),
    "rs-one": signature(lambda raw, world: bytes(255) + b"\1", "rs"),
    "rs-short": signature(lambda raw, world: raw[:-1], "rs"),
    "rs-leading-zero": signature(lambda raw, world: b"\0" + raw, "rs"),
    "rs-flipped": signature(lambda raw, world: raw[:-1] + bytes([raw[-1] ^ 1]), "rs"),
    "rs-plus-modulus": signature(
        lambda raw, world: (
            int.from_bytes(raw, "big") + world.rs.key.private.public_key().public_numbers().n
        ).to_bytes(257, "big"),
        "rs",
    ),
    "hs-short": signature(lambda raw, world: raw[:16], "hs"),
    "hs-empty": signature(lambda raw, world: b"", "hs"),
    "hs-long": signature(lambda raw, world: raw + b"\0", "hs"),
    "hs-zeros": signature(lambda raw, world: bytes(32), "hs"),
    "hs-of-another-secret": hs_with(lambda world: issuers.DEV_SECRET, "hs"),
    "ed-zeros": ed_forged(lambda raw: bytes(64)),
    "ed-short": ed_forged(lambda raw: raw[:-1]),
    "ed-long": ed_forged(lambda raw: raw + b"\0"),
    "ed-malleable": ed_forged(
        lambda raw: raw[:32] + (int.from_bytes(raw[32:], "little") + ED_ORDER).to_bytes(32, "little")
    ),
    "own-ec-key": lambda world: (
        "es",
        compact(world.es.head(), world.es.claims(), ec_key("p256").signer("ES256")),
    ),
    # critical extensions
    "crit-exp": header_of("rs", crit=["exp"], exp=1),
    "crit-unknown": header_of("rs", crit=["x"], x=1),
    "crit-empty": header_of("rs", crit=[]),
    "crit-string": header_of("rs", crit="x"),
    "crit-null": header_of("rs", crit=None),
    "crit-b64": header_of("rs", crit=["b64"], b64=False),
    # parts and spelling
    "two-parts": reshaped(lambda parts: ".".join(parts[:2])),
    "one-part": reshaped(lambda parts: parts[0]),
    "four-parts": reshaped(lambda parts: ".".join([*parts, parts[2]])),
    "four-parts-empty": reshaped(lambda parts: ".".join(parts) + "."),
    "five-parts": reshaped(lambda parts: ".".join([*parts, "e30", "e30"])),
    "leading-dot": reshaped(lambda parts: "." + ".".join(parts)),
    "dots": lambda world: ("rs", ".."),
    "empty-header": reshaped(lambda parts: f".{parts[1]}.{parts[2]}"),
    "empty-claims": reshaped(lambda parts: f"{parts[0]}..{parts[2]}"),
    "space-inside": reshaped(lambda parts: f"{parts[0]} .{parts[1]}.{parts[2]}"),
    "tab-inside": reshaped(lambda parts: f"{parts[0]}.\t{parts[1]}.{parts[2]}"),
    "space-in-signature": reshaped(lambda parts: f"{parts[0]}.{parts[1]}.{parts[2][:9]} {parts[2][9:]}"),
    "two-tokens": reshaped(lambda parts: ".".join(parts) + ", " + ".".join(parts)),
    "quoted": reshaped(lambda parts: '"' + ".".join(parts) + '"'),
    "padded-header": lambda world: ("rs", _padded(world, 0)),
    "padded-claims": lambda world: ("rs", _padded(world, 1)),
    "padded-signature": reshaped(lambda parts: f"{parts[0]}.{parts[1]}.{parts[2]}=="),
    "overpadded-signature": reshaped(lambda parts: f"{parts[0]}.{parts[1]}.{parts[2]}===="),
    "standard-alphabet": reshaped(standard),
    "loose-bits": reshaped(loose_bits),
    "junk-in-signature": reshaped(lambda parts: f"{parts[0]}.{parts[1]}.{parts[2][:9]}!{parts[2][9:]}"),
    "junk-behind": reshaped(lambda parts: ".".join(parts) + "!"),
    "percent": reshaped("%2e".join),
    "beyond-ascii": reshaped(lambda parts: f"{parts[0]}.{parts[1]}.{parts[2][:9]}\xff{parts[2][9:]}"),
    "one-character-left": reshaped(lambda parts: f"{parts[0]}.{parts[1]}.{parts[2]}AAA"),
    # headers that are no objects, or no JSON
    "header-list": raw_header(b'["RS256"]'),
    "header-string": raw_header(b'"RS256"'),
    "header-null": raw_header(b"null"),
    "header-empty": raw_header(b"{}"),
    "header-text": raw_header(b"RS256"),
    "header-trailing": raw_header(b'{"alg":"RS256","kid":"rsa-1"}x'),
    "header-two": raw_header(b'{"alg":"RS256","kid":"rsa-1"}{"alg":"RS256"}'),
    "header-bom": raw_header(b'\xef\xbb\xbf{"alg":"RS256","kid":"rsa-1"}'),
    "header-utf16": raw_header('{"alg":"RS256","kid":"rsa-1"}'.encode("utf-16")),
    "header-latin1": raw_header(b'{"alg":"RS256","kid":"rsa-1","x":"\xff"}'),
    "header-comment": raw_header(b'{"alg":"RS256",/**/"kid":"rsa-1"}'),
    "header-nan": raw_header(b'{"alg":"RS256","kid":"rsa-1","x":NaN}'),
    "header-deep": raw_header(DEEP),
    "header-deep-open": raw_header(b"[" * 5000),
    "header-deep-objects": raw_header(b'{"a":' * 1100),
    "header-long-number": raw_header(LONG_NUMBER),
}  # fmt: skip


def _padded(world: World, part: int) -> str:
    """A part with the padding that it lacks, signed as it stands there."""
    texts = [b64(dump(world.rs.head(x="y"))), b64(dump(world.rs.claims(x="yz")))]
    texts[part] += "=" * (-len(texts[part]) % 4) or "===="
    signed = ".".join(texts)
    return f"{signed}.{b64(world.rs.sign(signed.encode('ascii')))}"

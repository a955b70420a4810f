"""The compact form of a JWT, read strictly (RFC 7515 sections 3 and 7.1, RFC 7519 section 7.2, RFC 8725 section 3).

Only what the bytes say. What they are worth (keys, claims, issuers) is not known here.
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from typing import Any, Final, NoReturn

MAX_TOKEN: Final = 8192  # bytes: as long as a request's target may be, and no token of an API is longer
_PARTS: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
# By the characters in the last group of four: those that a canonical spelling can end with. One alone is no byte.
_LAST: Final = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
# RFC 8725 section 3.11: signed by the same keys for another purpose. Any other type passes: issuers write all sorts.
_OTHER_TYPES: Final = frozenset(
    {"logout+jwt", "dpop+jwt", "secevent+jwt", "oauth-authz-req+jwt", "token-introspection+jwt"}
)


class BadToken(Exception):
    """Not a JWT that anybody should believe. The text is for tests: a client never sees it."""


class Token:
    """The parts of a token, decoded and not verified."""

    __slots__ = ("algorithm", "claims", "kid", "signature", "signed")

    def __init__(
        self, algorithm: str, kid: str | None, claims: dict[str, Any], signed: bytes, signature: bytes
    ) -> None:
        self.algorithm = algorithm  # as the token says: believed only where an issuer pins it
        self.kid = kid
        self.claims = claims
        self.signed = signed  # the bytes that the signature is over
        self.signature = signature


def parse(token: bytes) -> Token:
    """Raises BadToken. Keys that the header brings along (jwk, jku, x5u, x5c) are not looked at."""
    if len(token) > MAX_TOKEN:
        raise BadToken("too long")
    match = _PARTS.fullmatch(token)
    if match is None:
        raise BadToken("not three parts of base64url")
    head, body, signature = match.groups()
    header = _object(decoded(head))
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if type(algorithm) is not str:
        raise BadToken("alg is no string")
    if "kid" in header and type(kid) is not str:
        raise BadToken("kid is no string")
    if "crit" in header or "b64" in header:
        # We understand no extension, so each that must be understood refuses the token (RFC 7515 4.1.11); `b64`
        # must be listed in `crit` (RFC 7797 section 6).
        raise BadToken("an extension")
    if type(kind) is not str or kind.lower().removeprefix("application/") in _OTHER_TYPES:
        raise BadToken("another type of token")
    signed = token[: match.end(2)]
    return Token(algorithm, kid, _object(decoded(body)), signed, decoded(signature))


def decoded(part: bytes) -> bytes:
    """base64url without padding (RFC 7515 section 2), in its one canonical spelling: bits left over are zero.
    `part` holds nothing but the alphabet."""
    left = len(part) & 3
    if not left:
        return a2b_base64(part.translate(_STANDARD))
    if part[-1] not in _LAST[left]:
        raise BadToken("not canonical base64url")
    return a2b_base64(part.translate(_STANDARD) + b"=="[left - 2 :])


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(data.decode())
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()  # refuses halves of surrogate pairs
    except (ValueError, RecursionError):
        raise BadToken("not JSON, or a member twice") from None
    if type(value) is not dict:
        raise BadToken("not a JSON object")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7519 section 4: a repeated name is refused, else two readers could see two claims."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a member twice")
    return made


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# Made once: json.loads makes one for each text, at 2 us.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)

"""JWTs of 300 bytes: as long as the credential of the plain case, so that the policies are all that differs.

Made by hand (RFC 7515): the bench shares no code with the gateway that checks them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable

from bench.errors import BenchError
from bench.load import traffic

SECRET = "a-secret-of-the-bench-that-is-longer-than-32-bytes"
ISSUER = "https://id.example.com/"
AUDIENCE = "api"
SCOPE = "items:read"
LIFETIME = 86_400  # longer than any run
# 300 = 36 (header) + 219 (164 bytes of claims) + 43 (HMAC-SHA256) + two dots
CLAIM_BYTES = 164


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _claims(index: int, expires: int) -> bytes:
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": f"app-{index:04}",
        "scope": SCOPE,
        "exp": expires,
        "jti": "",
    }
    missing = CLAIM_BYTES - len(json.dumps(claims, separators=(",", ":")))
    claims["jti"] = hashlib.sha256(b"%d" % index).hexdigest()[:missing]
    data = json.dumps(claims, separators=(",", ":")).encode()
    if len(data) != CLAIM_BYTES:
        raise BenchError(f"the claims of a token have {len(data)} bytes, not {CLAIM_BYTES}")
    return data


def mint(index: int, expires: int, secret: str = SECRET) -> str:
    signed = _encoded(b'{"alg":"HS256","typ":"JWT"}') + b"." + _encoded(_claims(index, expires))
    signature = hmac.digest(secret.encode(), signed, "sha256")
    return (signed + b"." + _encoded(signature)).decode()


def _all(secret: str) -> Callable[[int], str]:
    expires = int(time.time()) + LIFETIME
    return [mint(index, expires, secret) for index in range(traffic.CREDENTIALS)].__getitem__


def good() -> Callable[[int], str]:
    """A token for each of the clients."""
    return _all(SECRET)


def forged() -> Callable[[int], str]:
    """The same claims, signed by somebody else."""
    return _all(SECRET[::-1])


def none(index: int) -> str:
    """No credential at all."""
    return ""

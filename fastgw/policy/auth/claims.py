"""What the claims of a token must be, and what they say (RFC 7519 section 4.1). Types are strict: nothing is converted.

No signature is checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, Protocol

from fastgw.policy.auth.compact import BadToken

LATEST: Final = 253_402_300_800  # the year 10000: a date beyond it is in milliseconds, or a trick
NEVER: Final = float("inf")

Claims = Mapping[str, Any]


class Rules(Protocol):
    """The part of an issuer's options that is about claims."""

    @property
    def issuer(self) -> str | None: ...

    @property
    def audience(self) -> str | None: ...

    @property
    def required_claims(self) -> tuple[str, ...]: ...

    @property
    def leeway(self) -> float: ...

    @property
    def consumer_claim(self) -> str: ...

    @property
    def scope_claim(self) -> str: ...


class Accepted:
    """What the claims say, once a signature proves them."""

    __slots__ = ("expires", "scopes", "subject")

    def __init__(self, subject: str, scopes: frozenset[str], expires: float) -> None:
        self.subject = subject
        self.scopes = scopes
        self.expires = expires  # wall seconds, with the leeway; NEVER without exp


def accept(claims: Claims, rules: Rules, wall: float) -> Accepted:
    """Raises BadToken for everything but an `exp` that has passed: whether that is said depends on the signature."""
    for name in rules.required_claims:
        if claims.get(name) is None:
            raise BadToken("a required claim is missing")
    expires = _date(claims, "exp")
    begins = _date(claims, "nbf")
    issued = _date(claims, "iat")
    if begins is not None and wall < begins - rules.leeway:
        raise BadToken("not valid yet")
    if issued is not None and wall < issued - rules.leeway:
        # RFC 7519 asks for no check; but who signs for the future has a wrong clock, or keeps tokens for later.
        raise BadToken("issued in the future")
    if rules.issuer is not None and claims.get("iss") != rules.issuer:
        raise BadToken("another issuer")
    for name in ("iss", "sub", "jti"):
        if name in claims and type(claims[name]) is not str:
            raise BadToken("a claim of the wrong type")
    if not _is_for(claims, rules.audience):
        raise BadToken("another audience")
    subject = claims.get(rules.consumer_claim)
    if type(subject) is not str or not subject:
        raise BadToken("no consumer")
    scopes = _scopes(claims.get(rules.scope_claim))
    return Accepted(subject, scopes, NEVER if expires is None else expires + rules.leeway)


def scalars(claims: Claims) -> dict[str, str]:
    """Scalar claims as text, for limits that are keyed by one."""
    made: dict[str, str] = {}
    for name, value in claims.items():
        if type(value) is str:
            made[name] = value
        elif type(value) is bool:
            made[name] = "true" if value else "false"
        elif type(value) in (int, float):
            made[name] = repr(value)
    return made


def _date(claims: Claims, name: str) -> float | None:
    """RFC 7519 section 2, NumericDate: a number of seconds, which may have a fraction; never text, true or null."""
    if name not in claims:
        return None
    value = claims[name]
    if type(value) is int:
        if 0 <= value <= LATEST:
            return float(value)
    elif type(value) is float and isfinite(value) and 0 <= value <= LATEST:
        return value
    raise BadToken("a date that is none")


def _is_for(claims: Claims, audience: str | None) -> bool:
    """RFC 7519 section 4.1.3: who is not named must refuse, also who has no name: without `audience` a token that is
    meant for somebody is not meant for us."""
    if "aud" not in claims:
        return audience is None
    value = claims["aud"]
    if type(value) is str:
        return value == audience
    if type(value) is list and all(type(each) is str for each in value):
        return audience in value
    return False


def _scopes(value: Any) -> frozenset[str]:
    """RFC 6749 section 3.3: separated by spaces; some issuers write a list.

    What is no single word is left away: an upstream that splits the list again would read another scope out of it."""
    if value is None:
        return frozenset()
    words = value.split(" ") if type(value) is str else value
    if type(words) is not list or not all(type(each) is str for each in words):
        raise BadToken("scopes that are none")
    return frozenset(each for each in words if each and each.isprintable() and " " not in each)

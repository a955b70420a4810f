"""Who sent a request, as far as a credential proved it. Shared by every exchange that shows the same credential."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import orjson

NEVER_EXPIRES = float("inf")


class Identity:
    """Immutable. Made by policy/auth once per credential, remembered with it."""

    __slots__ = ("claims", "consumer", "expires", "issuer", "key", "lines", "log", "scopes", "tail", "texts", "tier")

    def __init__(
        self, consumer: str, issuer: str, tier: str, scopes: frozenset[str], claims: Mapping[str, str], expires: float
    ) -> None:  # fmt: skip
        self.consumer = consumer  # a configured name, or `issuer:subject`
        self.issuer = issuer  # its name in the configuration; empty for an API key
        self.tier = tier  # empty for none
        self.scopes = scopes
        self.claims = claims  # scalar claims as text, for limits keyed by `claim:<name>`
        self.expires = expires  # wall seconds
        name = consumer.encode("utf-8", "replace")
        self.key = bounded(name)  # for limits keyed by consumer
        self.texts: dict[bytes, bytes] = {}  # parts of log lines with the name in them; written by `account`
        self.log = b'"consumer":' + orjson.dumps(name.decode())  # as in a line of the access log
        # Towards the upstream. What could break a header line is percent-encoded.
        self.lines = b"X-Consumer: %s\r\n" % _field_value(consumer)
        if scopes:
            told = b" ".join(_field_value(scope) for scope in sorted(scopes))
            self.lines += b"X-Consumer-Scopes: %s\r\n" % told
        self.tail = b"-01\r\n" + self.lines + b"\r\n"  # the end of the usual head: traceparent's flags, these lines


# What may stand as it is in a key of the store: no braces (they mark the part that is hashed to a slot), no blanks.
_SAFE: Final = re.compile(rb"[A-Za-z0-9._:@/+=|-]{1,64}")


def bounded(value: bytes) -> bytes:
    """A value of a client's as part of a key: as it is where that is short and harmless, else its digest.

    Different values stay different: a digest begins with `#`, which nothing harmless does."""
    return value if _SAFE.fullmatch(value) else b"#" + blake2b(value, digest_size=16).hexdigest().encode()


def _field_value(text: str) -> bytes:
    """Visible ASCII and inner spaces as they are, everything else and `%` as %XX of its UTF-8 bytes."""
    plain = text.isascii() and text.isprintable() and "%" not in text and text == text.strip()
    if plain:
        return text.encode("ascii")
    return b"".join(
        bytes((byte,)) if 0x21 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte
        for byte in text.encode("utf-8", "replace")
    )

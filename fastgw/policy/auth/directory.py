"""Who is who: API keys by digest, and JWT subjects by (issuer, subject). From the consumers of the configuration.

A token cannot name itself into a consumer: only a pair that a consumer declares makes it one (design section 9).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from fastgw.model.identity import NEVER_EXPIRES, Identity
from fastgw.policy.auth.options import ConsumerOptions

MAX_API_KEY: Final = 1024  # bytes


class Directory:
    """Immutable."""

    __slots__ = ("_by_digest", "_by_subject")

    def __init__(self, consumers: Iterable[ConsumerOptions]) -> None:
        self._by_digest: dict[bytes, Identity] = {}
        self._by_subject: dict[tuple[str, str], ConsumerOptions] = {}
        for consumer in consumers:
            identity = Identity(
                consumer.name, "", consumer.tier or "", frozenset(consumer.scopes), {}, NEVER_EXPIRES
            )
            for key in consumer.keys:
                self._by_digest[bytes.fromhex(key.removeprefix("sha256:"))] = identity
            for pair in consumer.subjects:
                self._by_subject[pair.issuer, pair.subject] = consumer

    def by_key(self, key: bytes) -> Identity | None:
        """Looked up by digest: how long it takes says nothing about a key that is nearly right."""
        return self._by_digest.get(sha256(key).digest()) if len(key) <= MAX_API_KEY else None

    def identity(
        self, issuer: str, subject: str, scopes: frozenset[str], claims: Mapping[str, str], expires: float
    ) -> Identity:
        """Of a token's subject. A configured consumer has its own scopes as well as the token's."""
        consumer = self._by_subject.get((issuer, subject))
        if consumer is None:
            return Identity(f"{issuer}:{subject}", issuer, "", scopes, claims, expires)
        return Identity(
            consumer.name, issuer, consumer.tier or "", scopes.union(consumer.scopes), claims, expires
        )

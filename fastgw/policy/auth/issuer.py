"""One issuer of the configuration: which tokens it takes, and with which keys it checks them.

The order is cheap first: a token that no claim of which could be accepted costs no signature check. Only a signature
that is right makes a difference to the answer (`expired` instead of `invalid`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from fastgw.model.identity import Identity
from fastgw.policy.auth.claims import accept, scalars
from fastgw.policy.auth.compact import BadToken, Token
from fastgw.policy.auth.directory import Directory
from fastgw.policy.auth.keys import Key, from_jwks, from_pem, from_secret, read_jwks
from fastgw.policy.auth.options import IssuerOptions

# Keys that a token without a `kid` is tried with: each costs a signature check.
MAX_TRIED: Final = 8


class Failure(Enum):
    """Why a credential does not count, by rising weight: with several issuers the heaviest is what is answered."""

    INVALID = 0
    EXPIRED = 1
    UNKNOWN_KEY = 2  # its key may exist meanwhile: control is asked
    UNAVAILABLE = 3  # there is no key at all yet


class Issuer:
    """Immutable but for its keys."""

    __slots__ = ("_algorithms", "_by_name", "_unnamed", "known", "name", "options", "source")

    def __init__(self, name: str, options: IssuerOptions) -> None:
        self.name = name
        self.options = options
        self.source = options.jwks_url  # where control fetches the keys; None: they are in the configuration
        self.known = False  # whether there are keys
        self._algorithms = frozenset(options.algorithms)
        self._by_name: dict[str, tuple[Key, ...]] = {}
        self._unnamed: tuple[Key, ...] = ()
        if options.secret is not None:
            self._set((from_secret(options.secret),))
        elif options.public_key is not None:
            self._set((from_pem(options.public_key),))
        elif options.jwks_file is not None:
            self._set(from_jwks(read_jwks(options.jwks_file)))

    def set_keys(self, jwks: Sequence[Mapping[str, Any]]) -> None:
        """What its source says now."""
        self._set(from_jwks(jwks))

    def takes(self, token: Token) -> bool:
        """Whether the token could be this issuer's: the algorithm is pinned before anything else is looked at."""
        named = self.options.issuer
        return token.algorithm in self._algorithms and (named is None or token.claims.get("iss") == named)

    def verify(self, token: Token, directory: Directory, wall: float) -> Identity | Failure:
        """For a token that it takes."""
        if not self.known:
            return Failure.UNAVAILABLE if self.source is not None else Failure.INVALID
        try:
            accepted = accept(token.claims, self.options, wall)
        except BadToken:
            return Failure.INVALID
        unknown = True
        for key in self._candidates(token):
            unknown = False
            if token.algorithm in key.algorithms and key.verifies(token.algorithm, token.signed, token.signature):
                break
        else:
            return Failure.UNKNOWN_KEY if unknown and self.source is not None else Failure.INVALID
        if wall >= accepted.expires:  # RFC 7519 section 4.1.4: on or after
            return Failure.EXPIRED
        return directory.identity(
            self.name, accepted.subject, accepted.scopes, scalars(token.claims), accepted.expires
        )

    def _candidates(self, token: Token) -> Iterator[Key]:
        """A key's name is a hint of the sender's (RFC 7515 section 4.1.4): it chooses among our keys, nothing else.
        A single key of the configuration has no name, so the hint says nothing about it."""
        if token.kid is None:
            every = [*self._unnamed, *(key for keys in self._by_name.values() for key in keys)]
            fitting = [key for key in every if token.algorithm in key.algorithms]
            yield from fitting[:MAX_TRIED]
        elif token.kid in self._by_name:
            yield from self._by_name[token.kid][:MAX_TRIED]
        else:
            yield from self._unnamed[:MAX_TRIED]

    def _set(self, keys: tuple[Key, ...]) -> None:
        self._unnamed = tuple(key for key in keys if key.kid is None)
        self._by_name = {}
        for key in keys:
            if key.kid is not None:
                self._by_name[key.kid] = (*self._by_name.get(key.kid, ()), key)
        self.known = bool(keys)

"""Who may use a route (design section 9): the credential that counts, what its owner may do, and the refusals.

`any` is a list in order: the first of its methods whose credential the request brings decides. So a bad token is 401
also where a good API key stands beside it in a later method, and a route that prefers keys names api_key first. All
JWT issuers of a list read the same field: they count where the first of them stands, and the token itself says (by
`iss`, algorithm and key) which of them are asked, in order. Another scheme than Bearer is no credential here.
"""

from __future__ import annotations

import re
from typing import Final

from fastgw.errors import STATUS, Reason
from fastgw.model.exchange import WOULD_REFUSE, Exchange
from fastgw.model.identity import Identity
from fastgw.model.messages import WAIT, Reply
from fastgw.policy.auth.authenticator import Authenticator, UnknownKey
from fastgw.policy.auth.issuer import Failure
from fastgw.policy.auth.options import AuthOptions
from fastgw.policy.mode import SHADOW
from fastgw.policy.runtime import Runtime

RULE: Final = "auth"
_AUTHORIZATION: Final = b"authorization"
_BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr](?: +([^ ].*)?)?", re.DOTALL)  # RFC 6750 section 2.1


class AuthPolicy:
    """One route's. Immutable."""

    __slots__ = ("_enforced", "_header", "_issuers", "_keys_first", "_names", "_replies", "_scopes")

    def __init__(self, options: AuthOptions, header: bytes, realm: str) -> None:
        kinds = [method.kind for method in options.any]
        self._names = tuple(dict.fromkeys(method.issuer for method in options.any if method.kind == "jwt"))
        self._issuers = frozenset(self._names)
        self._header = header if "api_key" in kinds else None
        self._keys_first = bool(kinds) and kinds[0] == "api_key"
        self._scopes = frozenset(options.scopes)
        self._enforced = options.mode != SHADOW
        self._replies = Replies(bool(self._names), self._header, options.scopes, realm)

    def check(self, exchange: Exchange, runtime: Runtime) -> Reply | None:
        """Hot: a credential that is known costs two look-ups. WAIT where a token's key is not known yet."""
        identity = self.peek(exchange, runtime)
        if identity is not None:
            exchange.identity = identity
            return None
        return self._decide(exchange, runtime, final=False)

    def peek(self, exchange: Exchange, runtime: Runtime) -> Identity | None:
        """Who it is, where that is known without work and is enough for this route. Changes nothing."""
        head = exchange.head
        if head is None:
            return None
        fields = head.fields
        auth = runtime.auth
        value = fields.get(_AUTHORIZATION)
        header = self._header
        if header is not None and (value is None or self._keys_first) and header in fields:
            identity = auth.keys.get(fields[header])
            return identity if identity is not None and self._scopes <= identity.scopes else None
        if value is None:
            return None
        identity = auth.tokens.young.get(value)
        if (
            identity is not None
            and identity.issuer in self._issuers
            and self._scopes <= identity.scopes
            and auth.clock.wall() < identity.expires
        ):
            return identity
        return None

    def decide_finally(self, exchange: Exchange, runtime: Runtime) -> Reply | None:
        """After a wait: a key that is still unknown does not exist."""
        return self._decide(exchange, runtime, final=True)

    def _decide(self, exchange: Exchange, runtime: Runtime, final: bool) -> Reply | None:
        outcome, by_key = self._identify(exchange, runtime.auth)
        if isinstance(outcome, Identity):
            exchange.identity = outcome
            if self._scopes <= outcome.scopes:
                return None
            return self._refused(self._replies.scope, exchange, runtime)
        if isinstance(outcome, UnknownKey):
            # A shadow never holds a request up.
            if not final and self._enforced and runtime.auth.park(outcome.source, Pending(exchange, self, runtime)):
                return WAIT
            outcome = Failure.INVALID
        return self._refused(self._replies.of(outcome, by_key), exchange, runtime)

    def _identify(
        self, exchange: Exchange, auth: Authenticator
    ) -> tuple[Identity | Failure | UnknownKey | None, bool]:
        """Who it is or why not (None: no credential), and whether an API key said so."""
        fields = exchange.head.fields if exchange.head is not None else {}
        key = fields.get(self._header) if self._header is not None else None
        value = fields.get(_AUTHORIZATION, b"")
        bearer = _BEARER.fullmatch(value) if self._names else None
        if key is value and bearer is not None:
            key = None  # keys are sent in Authorization too: what says Bearer is a token
        if key and (self._keys_first or bearer is None):
            return auth.by_key(key), True
        if bearer is not None:
            return auth.by_token(value, bearer[1] or b"", self._names), False
        return None, False

    def _refused(self, reply: Reply, exchange: Exchange, runtime: Runtime) -> Reply | None:
        if self._enforced:
            return reply
        exchange.rule = exchange.rule or WOULD_REFUSE + RULE
        return None


class Pending:
    """An exchange that waits for a key."""

    __slots__ = ("_exchange", "_policy", "_runtime")

    def __init__(self, exchange: Exchange, policy: AuthPolicy, runtime: Runtime) -> None:
        self._exchange = exchange
        self._policy = policy
        self._runtime = runtime

    @property
    def closed(self) -> bool:
        return self._exchange.closed

    def settle(self) -> None:
        outcome = self._policy.decide_finally(self._exchange, self._runtime)
        self._runtime.resume(self._exchange, outcome)


class Replies:
    """The refusals of a route, made once. None of them says more than missing, invalid or expired."""

    __slots__ = ("_expired", "_invalid", "_invalid_key", "_missing", "_unavailable", "scope")

    def __init__(self, tokens: bool, header: bytes | None, scopes: tuple[str, ...], realm: str) -> None:
        bearer = f'Bearer realm="{realm}"' if tokens else ""
        key = f'ApiKey realm="{realm}"' if header is not None else ""
        # RFC 6750 section 3.1: no error code where there is no credential.
        self._missing = _reply(
            Reason.MISSING_CREDENTIALS, f"the credential is missing; send {_asked_for(tokens, header)}", bearer, key
        )
        bad = bearer and bearer + ', error="invalid_token"'
        self._invalid = _reply(Reason.INVALID_CREDENTIALS, "the token is invalid", bad, key)
        self._expired = _reply(Reason.EXPIRED_CREDENTIALS, "the token is expired", bad, key)
        # Without the other challenge: a Bearer one without its error code would say that no credential came.
        self._invalid_key = _reply(Reason.INVALID_CREDENTIALS, "the API key is invalid", key)
        wanted = bearer and f'{bearer}, error="insufficient_scope", scope="{" ".join(scopes)}"'
        self.scope = _reply(Reason.INSUFFICIENT_SCOPE, "the credential does not allow this", wanted)
        self._unavailable = _reply(Reason.AUTH_UNAVAILABLE, "tokens cannot be checked now; try again shortly")

    def of(self, failure: Failure | None, by_key: bool) -> Reply:
        if failure is None:
            return self._missing
        if failure is Failure.UNAVAILABLE:
            return self._unavailable
        if failure is Failure.EXPIRED:
            return self._expired
        return self._invalid_key if by_key else self._invalid


def _asked_for(tokens: bool, header: bytes | None) -> str:
    ways = ["a bearer token"] if tokens else []
    if header is not None:
        ways.append(f"an API key in {header.decode()}")
    return " or ".join(ways)


def _reply(reason: Reason, detail: str, *challenges: str) -> Reply:
    lines = "".join(f"WWW-Authenticate: {challenge}\r\n" for challenge in challenges if challenge)
    return Reply(reason, STATUS[reason], detail, rule=RULE, headers=lines.encode())


def build(options: AuthOptions | None, header: str, realm: str) -> AuthPolicy | None:
    return None if options is None else AuthPolicy(options, header.lower().encode(), realm)

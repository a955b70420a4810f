"""What one worker knows about credentials: issuers and their keys, consumers, and what was verified before.

Run-time state: it outlives snapshots, and a reload or a change of keys empties what depends on it. Which routes take
what is not known here (policy.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from fastgw.clock import Clock
from fastgw.model.identity import Identity
from fastgw.policy.auth.compact import BadToken, parse
from fastgw.policy.auth.directory import Directory
from fastgw.policy.auth.issuer import Failure, Issuer
from fastgw.policy.auth.options import ConsumerOptions, IssuerOptions
from fastgw.policy.auth.remembered import Remembered

MAX_PARKED: Final = 256  # requests that wait for a key; beyond it they are refused at once
PATIENCE: Final = 1.0  # seconds that a request waits for a key
MAX_REFUSED: Final = 256 * 1024  # bytes of tokens that were refused, for the next time that they come
REFUSED_FOR: Final = 1.0  # seconds, at most: a token that was too early is not refused for long
QUIET: Final = 1.0  # seconds after an answer in which control is not asked again: names of keys are cheap to invent

# Spellings of the scheme that are remembered: else one good token could fill the memory, in all its spellings.
_REMEMBERED_SCHEMES: Final = (b"Bearer ", b"bearer ")


class Base(Protocol):
    """The part of a document that this depends on."""

    @property
    def issuers(self) -> Mapping[str, IssuerOptions]: ...

    @property
    def consumers(self) -> Sequence[ConsumerOptions]: ...


class Pending(Protocol):
    """A request that waits for a key."""

    @property
    def closed(self) -> bool: ...

    def settle(self) -> None:
        """Decide again, and this time finally."""


class UnknownKey:
    """The outcome for a token whose key may exist by now: its issuer's source says."""

    __slots__ = ("source",)

    def __init__(self, source: str) -> None:
        self.source = source


class Authenticator:
    __slots__ = (
        "_asked", "_consumers", "_directory", "_fetched", "_issuers", "_options", "_parked", "_quiet",
        "_refusals_until", "_refused", "_refused_bytes", "clock", "keys", "on_unknown_key", "tokens",
    )  # fmt: skip

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.on_unknown_key: Callable[[str], None] | None = None  # gets the URL of the source
        self.tokens = Remembered()  # by the whole value of Authorization
        self.keys: dict[bytes, Identity] = {}  # API keys that were right, so at most as many as there are
        self._options: Mapping[str, IssuerOptions] = {}
        self._consumers: Sequence[ConsumerOptions] = ()
        self._issuers: dict[str, Issuer] = {}
        self._directory = Directory(())
        self._fetched: dict[str, list[dict[str, Any]]] = {}  # by source
        self._asked: set[str] = set()
        self._quiet: dict[str, float] = {}
        self._refused: dict[tuple[bytes, tuple[str, ...]], Failure] = {}  # by Authorization and the issuers asked
        self._refused_bytes = 0
        self._refusals_until = 0.0
        self._parked: deque[tuple[float, str, Pending]] = deque()  # all wait equally long, so in order of deadlines

    # --- what is known ------------------------------------------------------------------------------------------------

    def adopt(self, base: Base) -> None:
        """A snapshot begins to be served. Nothing happens where issuers and consumers are the same."""
        if base.issuers == self._options and base.consumers == self._consumers:
            return
        known, before = self._issuers, self._options
        self._issuers = {
            name: known[name] if before.get(name) == options else Issuer(name, options)
            for name, options in base.issuers.items()
        }
        sources = {issuer.source for issuer in self._issuers.values()}
        self._fetched = {source: keys for source, keys in self._fetched.items() if source in sources}
        for issuer in self._issuers.values():
            if issuer.source in self._fetched and not issuer.known:
                issuer.set_keys(self._fetched[issuer.source])
        self._directory = Directory(base.consumers)
        self._options, self._consumers = base.issuers, base.consumers
        self.tokens.forget_all()
        self._forget_refusals()
        self.keys.clear()

    def set_keys(self, source: str, jwks: list[dict[str, Any]], error: str | None) -> None:
        """What control knows of a source (a jwks_url). With an error they are the last good keys, or none."""
        if self._fetched.get(source) != jwks and (jwks or error is None):
            self._fetched[source] = jwks
            for issuer in self._issuers.values():
                if issuer.source == source:
                    issuer.set_keys(jwks)
                    self.tokens.forget_all(issuer.name)
            self._forget_refusals()
        self._answered(source)

    # --- who sent it --------------------------------------------------------------------------------------------------

    def by_key(self, key: bytes) -> Identity | Failure:
        found = self.keys.get(key)
        if found is None:
            found = self._directory.by_key(key)
            if found is None:
                return Failure.INVALID
            self.keys[key] = found
        return found

    def by_token(
        self, field: bytes, token: bytes, names: tuple[str, ...]
    ) -> Identity | Failure | UnknownKey:
        """`field` is the whole value of Authorization, `names` the issuers that count, in order."""
        found = self.tokens.find(field)
        wall = self.clock.wall()
        if found is not None:
            if found.issuer in names and wall < found.expires:
                return found
            if wall >= found.expires:
                self.tokens.forget(field)
        refused = self._refused.get((field, names))
        if refused is not None:
            return refused
        outcome = self._verify(token, names, wall)
        if outcome is Failure.INVALID or outcome is Failure.EXPIRED:
            self._remember_refusal(field, names, outcome)
        plainly_spelt = len(field) == len(token) + 7 and field.startswith(_REMEMBERED_SCHEMES)
        if plainly_spelt and isinstance(outcome, Identity):
            self.tokens.add(field, outcome)
        return outcome

    def _remember_refusal(self, field: bytes, names: tuple[str, ...], failure: Failure) -> None:
        """A client that has not noticed that its token is over sends it again and again: a second check is saved."""
        self._refused_bytes += len(field)
        if self._refused_bytes > MAX_REFUSED:
            self._forget_refusals()
            self._refused_bytes = len(field)
        self._refused[(field, names)] = failure

    def _forget_refusals(self) -> None:
        self._refused.clear()
        self._refused_bytes = 0

    def _verify(self, text: bytes, names: Sequence[str], wall: float) -> Identity | Failure | UnknownKey:
        try:
            token = parse(text)
        except BadToken:
            return Failure.INVALID
        failure: Failure | UnknownKey = Failure.INVALID
        for name in names:
            issuer = self._issuers.get(name)
            if issuer is None or not issuer.takes(token):
                continue
            outcome = issuer.verify(token, self._directory, wall)
            if isinstance(outcome, Identity) or outcome is Failure.EXPIRED:
                return outcome  # the signature is right: it is this issuer's
            if outcome is Failure.UNKNOWN_KEY and issuer.source is not None:
                failure = UnknownKey(issuer.source)
            elif outcome is Failure.UNAVAILABLE and failure is Failure.INVALID:
                failure = outcome
        return failure

    # --- keys that are not known yet ----------------------------------------------------------------------------------

    def park(self, source: str, pending: Pending) -> bool:
        """Have the request wait until control has looked for new keys, or for a second. False: it is not worth it."""
        now = self.clock.now()
        ask = self.on_unknown_key
        if ask is None or len(self._parked) >= MAX_PARKED or now < self._quiet.get(source, 0.0):
            return False
        self._parked.append((now + PATIENCE, source, pending))
        if source not in self._asked:
            self._asked.add(source)
            ask(source)
        return True

    def tick(self, now: float) -> None:
        """Ten times a second."""
        self.tokens.sweep()
        if now >= self._refusals_until:
            self._refusals_until = now + REFUSED_FOR
            self._forget_refusals()
        while self._parked and self._parked[0][0] <= now:
            _, source, pending = self._parked.popleft()
            self._asked.discard(source)
            self._quiet[source] = now + QUIET
            if not pending.closed:
                pending.settle()

    def parked(self) -> int:
        return len(self._parked)

    def _answered(self, source: str) -> None:
        if source in self._asked:
            self._asked.discard(source)
            self._quiet[source] = self.clock.now() + QUIET
        waiting = [pending for _, of, pending in self._parked if of == source]
        if waiting:
            self._parked = deque(entry for entry in self._parked if entry[1] != source)
            for pending in waiting:
                if not pending.closed:
                    pending.settle()

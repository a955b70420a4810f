"""What a worker remembers of credentials, and what makes it forget; requests that wait for keys."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from fastgw.clock import ManualClock
from fastgw.model.identity import Identity
from fastgw.policy.auth.authenticator import (
    MAX_PARKED,
    MAX_REFUSED,
    PATIENCE,
    QUIET,
    Authenticator,
    UnknownKey,
)
from fastgw.policy.auth.issuer import Failure
from fastgw.policy.auth.options import ConsumerOptions, IssuerOptions
from tests.policy.auth.minting import CLAIMS, P256, P384, jwk, mint, options

URL = "https://id.example.com/jwks"
OLD, NEW = jwk(P256, kid="old"), jwk(P384, kid="new")


class Base:
    def __init__(self, issuers: dict[str, IssuerOptions], *consumers: dict[str, Any]) -> None:
        self.issuers = issuers
        self.consumers = [ConsumerOptions.model_validate(each) for each in consumers]


def url_issuer(**more: Any) -> IssuerOptions:
    return options(jwks_url=URL, algorithms=["ES256", "ES384"], **more)


class Waiting:
    """A parked request."""

    def __init__(self) -> None:
        self.closed = False
        self.settled = 0

    def settle(self) -> None:
        self.settled += 1


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def auth(clock: ManualClock) -> Authenticator:
    one = Authenticator(clock)
    one.adopt(Base({"dev": options(), "main": url_issuer()}))
    one.set_keys(URL, [OLD], None)
    return one


def ask(auth: Authenticator, token: bytes, *names: str, scheme: bytes = b"Bearer ") -> Any:
    return auth.by_token(scheme + token, token, names or ("main", "dev"))


OLD_TOKEN, NEW_TOKEN = mint(algorithm="ES256", kid="old"), mint(algorithm="ES384", kid="new")


def test_a_verified_token_is_remembered_until_it_expires(auth: Authenticator, clock: ManualClock) -> None:
    first = ask(auth, mint())
    assert isinstance(first, Identity)
    assert ask(auth, mint()) is first
    clock.advance(64.9)
    assert ask(auth, mint()) is first
    clock.advance(0.1)
    assert ask(auth, mint()) is Failure.EXPIRED
    assert len(auth.tokens) == 0


def test_a_hit_counts_only_for_the_issuers_of_the_route(auth: Authenticator) -> None:
    assert isinstance(ask(auth, mint()), Identity)
    assert ask(auth, mint(), "main") is Failure.INVALID
    assert isinstance(ask(auth, mint(), "dev"), Identity)
    assert ask(auth, mint(), "nobody") is Failure.INVALID


def test_what_is_invalid_is_not_remembered(auth: Authenticator) -> None:
    for number in range(100):
        assert ask(auth, mint(key=b"x" * 32 + b"%d" % number)) is Failure.INVALID
    assert len(auth.tokens) == 0


def test_spellings_of_the_scheme_do_not_fill_the_memory(auth: Authenticator) -> None:
    for scheme in (b"BEARER ", b"Bearer  ", b"beareR "):
        assert isinstance(ask(auth, mint(), scheme=scheme), Identity)
    assert len(auth.tokens) == 0
    for scheme in (b"Bearer ", b"bearer "):
        assert isinstance(ask(auth, mint(), scheme=scheme), Identity)
    assert len(auth.tokens) == 2


def test_a_change_of_keys_empties_that_issuers_tokens(auth: Authenticator) -> None:
    dev, old = ask(auth, mint()), ask(auth, OLD_TOKEN)
    auth.set_keys(URL, [OLD], None)
    assert ask(auth, OLD_TOKEN) is old  # the same keys change nothing
    auth.set_keys(URL, [OLD], "the source is down")
    assert ask(auth, OLD_TOKEN) is old
    auth.set_keys(URL, [NEW], None)
    assert ask(auth, mint()) is dev
    found = ask(auth, OLD_TOKEN)
    assert isinstance(found, UnknownKey) and found.source == URL
    assert isinstance(ask(auth, NEW_TOKEN), Identity)


def test_a_failing_source_takes_no_key_away(auth: Authenticator) -> None:
    auth.set_keys(URL, [], "the source is down")
    assert isinstance(ask(auth, OLD_TOKEN), Identity)


def test_before_any_key_has_come(clock: ManualClock) -> None:
    auth = Authenticator(clock)
    auth.adopt(Base({"dev": options(), "main": url_issuer()}))
    auth.set_keys(URL, [], "cannot connect")
    assert ask(auth, OLD_TOKEN) is Failure.UNAVAILABLE
    assert isinstance(ask(auth, mint()), Identity)
    assert ask(auth, mint(key=b"x" * 32)) is Failure.INVALID
    assert ask(auth, b"a.b.c") is Failure.INVALID
    auth.set_keys(URL, [OLD], None)
    assert isinstance(ask(auth, OLD_TOKEN), Identity)


def test_a_reload_without_a_change_keeps_everything(auth: Authenticator) -> None:
    first = ask(auth, mint())
    auth.adopt(Base({"dev": options(), "main": url_issuer()}))
    assert ask(auth, mint()) is first


def test_a_reload_that_changes_who_may_come_forgets(auth: Authenticator) -> None:
    before = ask(auth, mint())
    consumer = {"name": "app", "tier": "gold", "subjects": [{"issuer": "dev", "subject": "alice"}]}
    auth.adopt(Base({"dev": options(), "main": url_issuer()}, consumer))
    after = ask(auth, mint())
    assert (before.consumer, after.consumer, after.tier) == ("dev:alice", "app", "gold")
    assert isinstance(ask(auth, OLD_TOKEN), Identity)  # the fetched keys stay
    auth.adopt(Base({"main": url_issuer()}, consumer))
    assert ask(auth, mint()) is Failure.INVALID


def test_keys_belong_to_their_source(auth: Authenticator) -> None:
    elsewhere = options(jwks_url="https://other.example.com/", algorithms=["ES256", "ES384"])
    auth.adopt(Base({"main": elsewhere}))
    assert ask(auth, OLD_TOKEN) is Failure.UNAVAILABLE
    auth.set_keys("https://other.example.com/", [NEW], None)
    assert isinstance(ask(auth, NEW_TOKEN), Identity)


def test_keys_that_come_before_their_document_wait_for_it(auth: Authenticator) -> None:
    auth.set_keys("https://other.example.com/", [NEW], None)
    auth.adopt(Base({"main": options(jwks_url="https://other.example.com/", algorithms=["ES384"])}))
    assert isinstance(ask(auth, NEW_TOKEN), Identity)


def test_api_keys_are_remembered_and_revoked(auth: Authenticator) -> None:
    consumer = {"name": "app", "keys": ["sha256:" + sha256(b"key").hexdigest()]}
    auth.adopt(Base({}, consumer))
    found = auth.by_key(b"key")
    assert isinstance(found, Identity) and auth.by_key(b"key") is found
    for number in range(100):
        assert auth.by_key(b"key %d" % number) is Failure.INVALID
    assert len(auth.keys) == 1
    auth.adopt(Base({}))
    assert auth.by_key(b"key") is Failure.INVALID
    assert len(auth.keys) == 0


# --- waiting for keys -------------------------------------------------------------------------------------------------


def test_control_is_asked_once_and_its_answer_settles_all(auth: Authenticator) -> None:
    asked: list[str] = []
    auth.on_unknown_key = asked.append
    waiting = [Waiting() for _ in range(3)]
    assert all(auth.park(URL, each) for each in waiting)
    assert asked == [URL]
    waiting[1].closed = True
    auth.set_keys(URL, [OLD, NEW], None)
    assert [each.settled for each in waiting] == [1, 0, 1]
    assert auth.parked() == 0
    auth.set_keys(URL, [OLD], None)
    assert [each.settled for each in waiting] == [1, 0, 1]


def test_nobody_waits_longer_than_a_second(auth: Authenticator, clock: ManualClock) -> None:
    auth.on_unknown_key = [].append
    first, second = Waiting(), Waiting()
    auth.park(URL, first)
    clock.advance(0.5)
    auth.park(URL, second)
    clock.advance(PATIENCE - 0.6)
    auth.tick(clock.now())
    assert (first.settled, second.settled) == (0, 0)
    clock.advance(0.1)
    auth.tick(clock.now())
    assert (first.settled, second.settled) == (1, 0)
    clock.advance(0.5)
    auth.tick(clock.now())
    assert (first.settled, second.settled) == (1, 1)


def test_who_left_is_not_settled(auth: Authenticator, clock: ManualClock) -> None:
    auth.on_unknown_key = [].append
    one = Waiting()
    auth.park(URL, one)
    one.closed = True
    clock.advance(PATIENCE)
    auth.tick(clock.now())
    assert one.settled == 0 and auth.parked() == 0


def test_the_crowd_is_bounded(auth: Authenticator) -> None:
    auth.on_unknown_key = [].append
    assert [auth.park(URL, Waiting()) for _ in range(MAX_PARKED + 1)] == [True] * MAX_PARKED + [False]


@pytest.mark.parametrize("answered", [True, False])
def test_after_an_answer_or_none_control_is_left_alone_for_a_while(
    auth: Authenticator, clock: ManualClock, answered: bool
) -> None:
    asked: list[str] = []
    auth.on_unknown_key = asked.append
    auth.park(URL, Waiting())
    if answered:
        auth.set_keys(URL, [OLD], None)
    else:
        clock.advance(PATIENCE)
        auth.tick(clock.now())
    assert not auth.park(URL, Waiting())
    clock.advance(QUIET)
    assert auth.park(URL, Waiting())
    assert asked == [URL, URL]


def test_a_worker_without_control_refuses_at_once(auth: Authenticator) -> None:
    assert not auth.park(URL, Waiting())


def test_keys_of_another_source_settle_nobody(auth: Authenticator) -> None:
    auth.on_unknown_key = [].append
    one = Waiting()
    auth.park(URL, one)
    auth.set_keys("https://other.example.com/", [NEW], None)
    assert one.settled == 0


def test_a_flood_of_good_tokens_does_not_grow_without_end(clock: ManualClock) -> None:
    auth = Authenticator(clock)
    auth.adopt(Base({"dev": options()}))
    auth.tokens._max_entries = 50
    for number in range(300):
        assert isinstance(ask(auth, mint({**CLAIMS, "jti": str(number)})), Identity)
    assert len(auth.tokens) <= 100


def refused(auth: Authenticator) -> int:
    return len(auth._refused)


def test_a_refusal_is_remembered_for_a_second_and_no_longer(auth: Authenticator, clock: ManualClock) -> None:
    early = mint({**CLAIMS, "nbf": clock.wall() + 10.0})
    auth.tick(clock.now())
    assert ask(auth, early) is Failure.INVALID
    assert refused(auth) == 1
    clock.advance(20.0)
    auth.tick(clock.now())
    assert refused(auth) == 0
    assert isinstance(ask(auth, early), Identity)


def test_a_refusal_counts_only_for_the_issuers_that_were_asked(auth: Authenticator) -> None:
    assert ask(auth, mint(), "main") is Failure.INVALID
    assert isinstance(ask(auth, mint(), "dev"), Identity)


def test_new_keys_or_issuers_give_a_refused_token_another_chance(auth: Authenticator) -> None:
    assert ask(auth, OLD_TOKEN[:-8] + b"AAAAAAAA") is Failure.INVALID
    assert refused(auth) == 1
    auth.set_keys(URL, [NEW], None)
    assert refused(auth) == 0
    assert ask(auth, mint(key=b"y" * 32)) is Failure.INVALID
    auth.adopt(Base({"dev": options(secret="y" * 32), "main": url_issuer()}))
    assert isinstance(ask(auth, mint(key=b"y" * 32)), Identity)


def test_what_may_change_by_itself_is_not_remembered(auth: Authenticator) -> None:
    assert isinstance(ask(auth, NEW_TOKEN), UnknownKey)
    assert refused(auth) == 0


def test_a_flood_of_bad_tokens_is_held_to_its_bytes(auth: Authenticator) -> None:
    longest = 0
    for number in range(3 * MAX_REFUSED // 4000):
        ask(auth, b"a.%b.%d" % (b"b" * 4000, number))
        longest = max(longest, sum(len(field) for field, _ in auth._refused))
    assert 0 < longest <= MAX_REFUSED

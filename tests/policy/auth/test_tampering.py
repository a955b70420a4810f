"""Of all texts near a good token only the token itself is one; and nothing that is sent raises."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.clock import ManualClock
from fastgw.model.identity import Identity
from fastgw.policy.auth.authenticator import Authenticator
from tests.policy.auth.minting import P256, RSA, jwk, mint, options
from tests.policy.auth.test_authenticator import Base

NAMES = ("dev", "main")
TOKENS = [mint(), mint(algorithm="ES256", kid="a"), mint(algorithm="RS256", kid="b")]


def authenticator() -> Authenticator:
    one = Authenticator(ManualClock())
    main = options(algorithms=["ES256", "RS256"], jwks_url="https://id/jwks")
    one.adopt(Base({"dev": options(), "main": main}))
    one.set_keys("https://id/jwks", [jwk(P256, kid="a"), jwk(RSA, kid="b")], None)
    return one


AUTHENTICATOR = authenticator()  # it keeps nothing but what is good


def passes(text: bytes) -> bool:
    return isinstance(AUTHENTICATOR.by_token(b"Bearer " + text, text, NAMES), Identity)


def test_the_tokens_are_good() -> None:
    assert all(map(passes, TOKENS))


@given(st.sampled_from(TOKENS), st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_token_is_none(token: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(token)))
    width = data.draw(st.integers(0, 3))
    put = data.draw(st.one_of(st.binary(max_size=3), st.text("AQgw-_.=+/ ", max_size=3).map(str.encode)))
    changed = token[:at] + put + token[at + width :]
    assert passes(changed) == (changed == token)


_scalars: st.SearchStrategy[Any] = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
_json = st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
_names = st.sampled_from(["sub", "exp", "nbf", "iat", "iss", "aud", "scope", "jti", "client"])


@given(
    st.dictionaries(_names, _json),
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "b64"]), _json),
)
@settings(max_examples=150, deadline=None)
def test_whatever_claims_a_signer_writes_nothing_raises(claims: dict[str, Any], header: dict[str, Any]) -> None:
    passes(mint(claims))
    passes(mint({"sub": "alice", "exp": 2_000_000_000, **claims}))
    passes(mint(claims, header={"alg": "HS256", **header}))


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_no_bytes_raise(text: bytes) -> None:
    assert not passes(text)
    assert not passes(b".".join([text, text, text]))

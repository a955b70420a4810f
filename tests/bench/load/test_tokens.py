from __future__ import annotations

import jwt
import pytest

from bench.errors import BenchError
from bench.load import tokens, traffic


def test_as_long_as_the_credential_of_the_plain_case() -> None:
    assert {len(tokens.good()(index)) for index in range(traffic.CREDENTIALS)} == {traffic.CREDENTIAL_BYTES}
    assert len(tokens.forged()(0)) == traffic.CREDENTIAL_BYTES


def test_another_implementation_accepts_the_good_and_refuses_the_forged() -> None:
    options = {"audience": tokens.AUDIENCE, "issuer": tokens.ISSUER, "algorithms": ["HS256"]}
    claims = jwt.decode(tokens.good()(7), tokens.SECRET, **options)
    assert (claims["sub"], claims["scope"]) == ("app-0007", tokens.SCOPE)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(tokens.forged()(7), tokens.SECRET, **options)


def test_each_client_is_a_consumer_of_its_own() -> None:
    assert len({tokens.good()(index) for index in range(traffic.CREDENTIALS)}) == traffic.CREDENTIALS


def test_claims_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(BenchError, match="claims of a token"):
        tokens.mint(10**60, 1_800_000_000)


def test_none_is_none() -> None:
    assert tokens.none(3) == ""

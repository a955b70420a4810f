"""What the claims must be, each rule with what it refuses and a twin that passes."""

from __future__ import annotations

from typing import Any

import pytest

from fastgw.policy.auth.claims import LATEST, NEVER, accept, scalars
from fastgw.policy.auth.compact import BadToken
from tests.policy.auth.minting import CLAIMS, NOW, options

LEEWAY = 5.0  # the default


def accepted(claims: dict[str, Any], **more: Any) -> Any:
    return accept({**CLAIMS, **claims}, options(**more), NOW)


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [
        str(NOW), "", "tomorrow", True, False, None, [NOW], {"at": NOW}, -1, -0.5, LATEST + 1, 10**18, 10**400,
        1e300, float("inf"), float("nan"), NOW * 1000,
    ],
)  # fmt: skip
def test_dates_are_numbers_within_reason(name: str, value: object) -> None:
    with pytest.raises(BadToken):
        accepted({name: value})


def test_dates_may_have_a_fraction() -> None:
    assert accepted({"exp": NOW + 0.5}).expires == NOW + 0.5 + LEEWAY
    assert accepted({"exp": 1e9}).expires == 1e9 + LEEWAY  # expired: the signature decides whether that is said
    assert accepted({"exp": LATEST}).expires == LATEST + LEEWAY
    assert accepted({"exp": 0}).expires == LEEWAY


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_what_begins_later_is_refused(name: str) -> None:
    accepted({name: NOW})
    accepted({name: NOW + LEEWAY})
    for value in (NOW + LEEWAY + 0.01, NOW + 3600):
        with pytest.raises(BadToken):
            accepted({name: value})
    accepted({name: NOW + 60}, leeway="60s")


def test_required_claims() -> None:
    for missing in ({"exp": NOW + 60}, {"sub": "alice"}, {"sub": None, "exp": NOW + 60}):
        with pytest.raises(BadToken):
            accept(missing, options(), NOW)
    with pytest.raises(BadToken):
        accepted({}, required_claims=["jti"])
    accepted({"jti": "1"}, required_claims=["jti"])
    assert accept({"sub": "alice"}, options(required_claims=[]), NOW).expires == NEVER


@pytest.mark.parametrize(
    "value", [None, "", "https://id.example.com", "https://ID.example.com/", 3, True, ["https://id.example.com/"]]
)
def test_the_issuer_is_exactly_the_one(value: object) -> None:
    with pytest.raises(BadToken):
        accepted({"iss": value}, issuer="https://id.example.com/")


def test_the_issuer() -> None:
    accepted({"iss": "https://id.example.com/"}, issuer="https://id.example.com/")
    with pytest.raises(BadToken):
        accepted({}, issuer="https://id.example.com/")
    accepted({"iss": "anybody"})


@pytest.mark.parametrize("name", ["iss", "sub", "jti"])
@pytest.mark.parametrize("value", [1, 1.5, True, None, [], ["alice"], {}, {"a": "b"}])
def test_names_are_text(name: str, value: object) -> None:
    with pytest.raises(BadToken):
        accepted({name: value}, required_claims=["exp"])


@pytest.mark.parametrize(
    "value",
    [None, "", "API", "api ", "other", 3, True, {}, {"api": True}, [], ["other"], [None], ["api", 3], [["api"]]],
)
def test_the_audience_names_us(value: object) -> None:
    with pytest.raises(BadToken):
        accepted({"aud": value}, audience="api")


def test_the_audience() -> None:
    accepted({"aud": "api"}, audience="api")
    accepted({"aud": ["other", "api"]}, audience="api")
    with pytest.raises(BadToken):
        accepted({}, audience="api")


@pytest.mark.parametrize("value", ["api", [], ["api"], None])
def test_a_token_for_somebody_is_not_for_an_issuer_without_audience(value: object) -> None:
    with pytest.raises(BadToken):
        accepted({"aud": value})


@pytest.mark.parametrize("value", [None, "", 7, True, ["a"]])
def test_the_consumer_claim_names_somebody(value: object) -> None:
    with pytest.raises(BadToken):
        accepted({"client_id": value}, consumer_claim="client_id")
    assert accepted({"client_id": "app"}, consumer_claim="client_id").subject == "app"
    with pytest.raises(BadToken):
        accepted({}, consumer_claim="client_id")


@pytest.mark.parametrize(
    ("value", "scopes"),
    [("", set()), ("a", {"a"}), (" a  b ", {"a", "b"}), ([], set()), (None, set()),
     (["a", "b c", "", "d\r\nX: y", "e\tf", "g\u00a0h", "\u00e9"], {"a", "\u00e9"}), ("a\tb c", {"c"})],
)
def test_scopes(value: object, scopes: set[str]) -> None:
    assert accepted({"scope": value}).scopes == scopes
    assert accepted({"scp": value}, scope_claim="scp").scopes == scopes
    assert accepted({"scope": value}, scope_claim="scp").scopes == set()


@pytest.mark.parametrize("value", [1, True, {}, {"a": True}, ["a", 1], [["a"]], [None]])
def test_scopes_of_another_type_are_refused(value: object) -> None:
    with pytest.raises(BadToken):
        accepted({"scope": value})


def test_scalars_are_for_limits() -> None:
    claims = {"a": "x", "b": 1, "c": True, "d": 1.5, "e": None, "f": [1], "g": {}}
    assert scalars(claims) == {"a": "x", "b": "1", "c": "true", "d": "1.5"}

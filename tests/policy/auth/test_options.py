from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from fastgw.policy.auth.options import AuthMethod, AuthOptions, ConsumerOptions, IssuerOptions

SECRET = "0123456789abcdef0123456789abcdef"


def hint_of(model: type[BaseModel], options: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(options)
    return str(caught.value.errors()[0]["msg"])


def test_methods() -> None:
    options = AuthOptions.model_validate({"any": [{"jwt": "main"}, "api_key"]})
    assert options.any == (AuthMethod("jwt", "main"), AuthMethod("api_key"))


@pytest.mark.parametrize("method", ["jwt", {"jwt": "a", "x": 1}, {"api_key": 1}, {}, 3, None])
def test_methods_are_refused(method: object) -> None:
    assert "write api_key or jwt: <issuer>" in hint_of(AuthOptions, {"any": [method]})


def test_an_issuer_has_one_key() -> None:
    assert IssuerOptions.model_validate({"algorithms": ["HS256"], "secret": SECRET}).secret == SECRET
    assert "no key is given" in hint_of(IssuerOptions, {"algorithms": ["HS256"]})
    both = {"algorithms": ["HS256"], "secret": SECRET, "jwks_url": "https://x"}
    assert "jwks_url and secret is given" in hint_of(IssuerOptions, both)


def test_short_secrets_are_refused_and_not_repeated() -> None:
    message = hint_of(IssuerOptions, {"algorithms": ["HS256"], "secret": SECRET[:31]})
    assert "less than 32 bytes" in message
    assert SECRET[:31] not in message


@pytest.mark.parametrize("algorithm", ["none", "hs256", "", None, "HS1"])
def test_algorithms(algorithm: object) -> None:
    assert "write HS256" in hint_of(IssuerOptions, {"algorithms": [algorithm], "secret": SECRET})


@pytest.mark.parametrize(
    "key", ["secret", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 64 + "\n"]
)
def test_keys_are_digests_and_what_is_none_is_not_repeated(key: str) -> None:
    message = hint_of(ConsumerOptions, {"name": "a", "keys": [key]})
    assert "sha256: and the 64 hex digits" in message
    assert "secret" not in message

from __future__ import annotations

import copy

import orjson
import pytest

from fastgw.gateway.document.masking import MASK, masked


def test_secrets_are_replaced_and_the_rest_stays() -> None:
    plain = {
        "admin": {"address": "127.0.0.1:9901", "token": "hush"},
        "redis": {"url": "redis://user:hush@host:6379/0"},
        "issuers": {"a": {"secret": "hush", "issuer": "x"}, "b": {"jwks_url": "https://x"}},
        "routes": [
            {
                "name": "r",
                "rewrite": {"request_headers": {"set": {"Authorization": "Basic hush", "x-a": "open"}}},
            },
            {
                "name": "s",
                "rewrite": {"response_headers": {"set": {"set-cookie": "hush", "X-Api-Key": "hush"}}},
            },
        ],
        "tests": [{"request": "GET /", "headers": {"authorization": "hush", "x-b": "open"}}],
    }
    before = copy.deepcopy(plain)
    result = masked(plain)
    assert plain == before
    text = orjson.dumps(result)
    assert b"hush" not in text
    assert text.count(b"open") == 2
    assert result["redis"] == {"url": f"redis://{MASK}@host:6379/0"}
    assert result["issuers"]["a"] == {"secret": MASK, "issuer": "x"}


def test_no_secret_is_shown_as_none() -> None:
    assert masked({"admin": {"token": ""}}) == {"admin": {"token": ""}}


@pytest.mark.parametrize("url", ["embedded", "redis://host:6379", "unix:///run/redis.sock"])
def test_addresses_without_a_password_stay(url: str) -> None:
    assert masked({"redis": {"url": url}}) == {"redis": {"url": url}}


def test_a_password_without_a_user() -> None:
    assert masked({"redis": {"url": "rediss://:hush@h"}}) == {"redis": {"url": f"rediss://{MASK}@h"}}

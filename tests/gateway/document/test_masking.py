from __future__ import annotations

import copy

import orjson
import pytest

from fastgw.gateway.document.masking import MASK, masked, without_password


def test_secrets_are_replaced_and_the_rest_stays() -> None:
    plain = {
        "admin": {"address": "127.0.0.1:9901", "token": "hush"},
        "redis": {"url": "redis://user:hush@host:6379/0"},
        "issuers": {"a": {"secret": "hush", "issuer": "x"}, "b": {"jwks_url": "https://u:hush@x/keys"}},
        "upstreams": {"a": {"tls": {"key": "hush", "certificate": "public"}}},
        "consumers": [{"name": "a", "keys": ["sha256:hush", "sha256:hush"], "scopes": ["open"]}, {"name": "b"}],
        "routes": [
            {
                "name": "r",
                "match": {"headers": {"x-api-key": "hush", "x-version": "open"}},
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
    assert text.count(b"open") == 4
    assert result["redis"] == {"url": f"redis://{MASK}@host:6379/0"}
    assert result["issuers"] == {"a": {"secret": MASK, "issuer": "x"}, "b": {"jwks_url": f"https://{MASK}@x/keys"}}
    assert result["consumers"][0]["keys"] == [f"sha256:{MASK}#1", f"sha256:{MASK}#2"]


def test_no_secret_is_shown_as_none() -> None:
    assert masked({"admin": {"token": ""}}) == {"admin": {"token": ""}}


@pytest.mark.parametrize(
    "url", ["embedded", "redis://host:6379", "unix:///run/redis.sock", "unix:///run/redis@1.sock?db=2"]
)
def test_addresses_without_a_password_stay(url: str) -> None:
    assert masked({"redis": {"url": url}}) == {"redis": {"url": url}}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rediss://:hush@h", f"rediss://{MASK}@h"),
        ("redis://hush@h:1/0", f"redis://{MASK}@h:1/0"),
        ("redis://u:hu@sh@h", f"redis://{MASK}@h"),
        ("redis://u:hu/sh@h", f"redis://{MASK}@h"),
        ("unix://u:hush@/run/redis.sock?db=1", f"unix://{MASK}@/run/redis.sock?db=1"),
        ("redis://h/0?password=hush", f"redis://h/0?password={MASK}"),
        ("unix:///run/x.sock?db=1&password=hush&x=1", f"unix:///run/x.sock?db=1&password={MASK}&x=1"),
    ],
)
def test_passwords_wherever_they_stand(url: str, shown: str) -> None:
    assert masked({"redis": {"url": url}}) == {"redis": {"url": shown}}
    assert without_password(url) == shown


def test_whatever_stands_there_it_is_no_traceback() -> None:
    for value in (3, "x", [3], {"a": 3}, [[3]], None, [{"keys": 3}], {"url": 3}):
        masked(dict.fromkeys(("consumers", "redis", "issuers", "routes", "tests", "admin"), value))

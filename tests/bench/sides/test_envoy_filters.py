from __future__ import annotations

import base64
import json

from bench.load import tokens
from bench.sides import envoy_filters
from bench.sides.side import Policies


def names(policies: Policies) -> list[object]:
    return [found["name"] for found in envoy_filters.render(policies)]


def test_order_is_that_of_the_gateway() -> None:
    limit, jwt = "envoy.filters.http.local_ratelimit", "envoy.filters.http.jwt_authn"
    assert names(Policies(address=1, jwt=True, consumer=1)) == [limit, jwt, limit]
    assert names(Policies(jwt=True)) == [jwt]
    assert names(Policies()) == []


def test_a_bucket_fills_at_its_rate_and_not_more_often_than_envoy_can() -> None:
    assert envoy_filters._bucket(100_000) == {
        "max_tokens": 100_000,
        "tokens_per_fill": 5000,
        "fill_interval": "0.050000s",
    }
    assert envoy_filters._bucket(1) == {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "1.000000s"}


def test_the_key_is_that_of_the_tokens() -> None:
    key = json.loads(envoy_filters._jwks())["keys"][0]["k"]
    assert base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)).decode() == tokens.SECRET


def test_more_buckets_than_there_are_consumers() -> None:
    text = json.dumps(envoy_filters.render(Policies(address=1, consumer=1)))
    assert text.count(f'"max_dynamic_descriptors": {envoy_filters.MAX_VALUES}') == 2

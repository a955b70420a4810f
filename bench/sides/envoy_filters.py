"""Envoy's own words for the policies: jwt_authn with its cache, local_ratelimit by address and by subject, a JSON log.

Its buckets live in the process: nothing is asked over a wire, which is less than the gateway does with a store.
"""

from __future__ import annotations

import base64
import json

from bench.load import tokens
from bench.sides.side import Policies

TYPE = "type.googleapis.com/envoy.extensions"
_JWT = "envoy.filters.http.jwt_authn"
_TICK = 0.05  # seconds between two refills: the least that Envoy takes

MAX_VALUES = 10_000  # buckets; beyond its default of 20 it forgets the oldest, which starts full again

# As much as our own line says, as far as Envoy knows it.
LOG_FIELDS = {
    "ts": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%REQ(:PATH)%",
    "route": "%ROUTE_NAME%",
    "consumer": f"%DYNAMIC_METADATA({_JWT}:jwt:sub)%",
    "status": "%RESPONSE_CODE%",
    "reason": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "upstream_ms": "%RESPONSE_DURATION%",
    "upstream": "%UPSTREAM_CLUSTER%",
    "target": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
}


def _jwks() -> str:
    key = base64.urlsafe_b64encode(tokens.SECRET.encode()).rstrip(b"=").decode()
    return json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "k": key}]})


def _jwt() -> dict[str, object]:
    provider = {
        "issuer": tokens.ISSUER,
        "audiences": [tokens.AUDIENCE],
        "local_jwks": {"inline_string": _jwks()},
        "jwt_cache_config": {"jwt_cache_size": 1000},
        "forward": True,
        "payload_in_metadata": "jwt",
    }
    rule = {"match": {"prefix": "/"}, "requires": {"provider_name": "main"}}
    return {
        "name": _JWT,
        "typed_config": {
            "@type": f"{TYPE}.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"main": provider},
            "rules": [rule],
        },
    }


def _bucket(rate: int) -> dict[str, object]:
    fill = max(1, round(rate * _TICK))
    return {"max_tokens": rate, "tokens_per_fill": fill, "fill_interval": f"{fill / rate:.6f}s"}


def _limit(name: str, rate: int, key: str, action: dict[str, object]) -> dict[str, object]:
    """A bucket for each value of the key (an entry without a value matches all, and each gets its own)."""
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": f"{TYPE}.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": name,
            "token_bucket": _bucket(1_000_000),  # what matches no descriptor: nothing
            "filter_enabled": always,
            "filter_enforced": always,
            "rate_limits": [{"actions": [action]}],
            "max_dynamic_descriptors": MAX_VALUES,
            "descriptors": [{"entries": [{"key": key}], "token_bucket": _bucket(rate)}],
        },
    }


def render(policies: Policies) -> list[dict[str, object]]:
    """Filters before the router, in the gateway's order."""
    filters: list[dict[str, object]] = []
    if policies.address:
        filters.append(_limit("address", policies.address, "remote_address", {"remote_address": {}}))
    if policies.jwt:
        filters.append(_jwt())
    if policies.consumer:
        subject = {
            "descriptor_key": "subject",
            "metadata_key": {"key": _JWT, "path": [{"key": "jwt"}, {"key": "sub"}]},
            "source": "DYNAMIC",
        }
        filters.append(_limit("consumer", policies.consumer, "subject", {"metadata": subject}))
    return filters

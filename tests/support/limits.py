"""What tests of limits share: documents, credentials, and the fields and store modes that a gateway shows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.gateway import Gateway
from tests.support.metrics import Metrics
from tests.support.wire import Response

Config = dict[str, Any]

SECRET = "a-secret-of-this-test-with-more-than-32-bytes"
OTHER_SECRET = "another-secret-of-this-test-of-over-32-bytes"
ISSUERS: Config = {"dev": {"algorithms": ["HS256"], "secret": SECRET}}
# As one list member of draft-ietf-httpapi-ratelimit-headers in the form that the gateway promises.
REMAINING = re.compile(r'"([A-Za-z0-9_.-]+)";r=(0|[1-9][0-9]*);t=(0|[1-9][0-9]*)')
POLICY = re.compile(r'"([A-Za-z0-9_.-]+)";q=([1-9][0-9]*);w=([1-9][0-9]*)')


@contextmanager
def running(directory: Path, config: Config, workers: int = 1, *, ledger: bool = True) -> Iterator[Gateway]:
    """A gateway for a fixture: at the end its ledger is right and it stops as it should, or it is killed."""
    one = Gateway(directory, config, workers=workers).start()
    try:
        yield one
        if ledger:
            one.check_ledger()
        one.stop()
    finally:
        assert one.process is not None
        if one.process.poll() is None:
            one.kill_all()


def ok() -> Config:
    """A new one each time: what occurs twice would become an alias in YAML, which the gateway refuses."""
    return {"status": 200, "body": "ok"}


def either() -> Config:
    return {"any": [{"jwt": "dev"}, "api_key"]}


def limit(name: str, key: str, rate: str = "1/h", burst: int = 2, **more: Any) -> Config:
    """By default a bucket that does not fill again while a test runs."""
    return {"name": name, "key": key, "rate": rate, "burst": burst, **more}


def consumer(name: str, key: str, **more: Any) -> Config:
    return {"name": name, "keys": [f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"], **more}


def token(subject: str, secret: str = SECRET, **claims: Any) -> str:
    """A JWT signed with HS256, made here by hand: the tests share no library with the gateway."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    payload = {"sub": subject, "exp": int(time.time()) + 3600, **claims}
    text = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(payload).encode())
    return (text + b"." + part(hmac.digest(secret.encode(), text, "sha256"))).decode()


def bearer(subject: str, secret: str = SECRET, **claims: Any) -> str:
    return f"Authorization: Bearer {token(subject, secret, **claims)}"


def remaining(response: Response) -> dict[str, tuple[int, int]]:
    """name -> (r, t) of every `RateLimit` line, in their order."""
    return _members(response, "RateLimit", REMAINING)


def policies(response: Response) -> dict[str, tuple[int, int]]:
    """name -> (q, w) of every `RateLimit-Policy` line, in their order."""
    return _members(response, "RateLimit-Policy", POLICY)


def _members(response: Response, name: str, form: re.Pattern[str]) -> dict[str, tuple[int, int]]:
    members: dict[str, tuple[int, int]] = {}
    for one in ", ".join(response.all(name)).split(", "):
        if one:
            matched = form.fullmatch(one)
            assert matched, f"{name}: {one!r}"
            assert matched[1] not in members, f"{name} names {matched[1]} twice"
            members[matched[1]] = (int(matched[2]), int(matched[3]))
    return members


def decided(metrics: Metrics, limit: str = "", **labels: str) -> float:
    """How many decisions of a limit (all without a name) carry these labels: outcome, mode, route."""
    if limit:
        labels["limit"] = limit
    return metrics.sum("fastgw_limit_decisions_total", **labels)


def stores_up(gateway: Gateway) -> bool:
    """Whether every worker asks the store."""
    return gateway.metrics().sum("fastgw_limit_store_up") == gateway.workers

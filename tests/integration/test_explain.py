"""What POST /api/explain says is what happens: the same requests, sent to the gateway that was asked. And a document
whose own tests fail is never served, whichever way it comes (design sections 11 and 13)."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.conftest import TRUSTED
from tests.integration.issuers import API_KEY
from tests.support.client import Client, request
from tests.support.config import Config, route, service
from tests.support.gateway import ROOT, Gateway
from tests.support.outage import written_out
from tests.support.tokens import Key, Signer
from tests.support.upstream import Upstream

MASK = "********"
SECRET = b"0123456789abcdef" * 2
DIGEST = hashlib.sha256(API_KEY.encode()).hexdigest()
OURS = {"x-request-id", "traceparent"}  # made anew for each request
ORIGIN = "https://shop.example.com"
HALVES = {"main": 50, "other": 50}
LIMITS = [
    {"name": "by-address", "key": "client_ip", "rate": "1000/s", "burst": 1000},
    {"name": "by-consumer", "key": "consumer", "rate": "1000/s", "burst": 1000},
]
AUTH = {"any": [{"jwt": "own"}, "api_key"], "scopes": ["read"]}
REWRITE = {
    "path": {"strip_prefix": "/auth", "add_prefix": "/v2"},
    "request_headers": {"set": {"X-Gateway": "here"}, "remove": ["x-debug"]},
}


def config_of(upstream: Upstream) -> Config:
    return written_out({
        "trusted_proxies": [f"{TRUSTED}/32"],
        "limits": [{"name": "flood", "key": "client_ip", "rate": "1000/s", "burst": 1000}],
        "issuers": {"own": {"algorithms": ["HS256"], "secret": SECRET.decode()}},
        "consumers": [{"name": "app", "scopes": ["read"], "keys": [f"sha256:{DIGEST}"]}],
        "upstreams": {"main": service(upstream.url), "other": service(upstream.url, preserve_host=False)},
        "routes": [
            route("open", "/open/*"),
            route("auth", "/auth/*", auth=AUTH, limits=LIMITS, cors={"origins": [ORIGIN]}, rewrite=REWRITE),
            route("shadow", "/shadow/*", auth={**AUTH, "mode": "shadow"}),
            route("closed", "/closed/*", ip_access={"deny": ["127.0.0.1/32"]}),
            route("headers", "/open/*", match={"headers": {"x-version": "2"}}, upstream="other"),
            {"name": "sticky", "match": {"path": "/sticky/*"}, "split": HALVES, "sticky": "header:x-user"},
            route("gone", "/gone", reply={"status": 410, "body": "gone", "content_type": "text/plain"}),
            route("small", "/small/*", match={"methods": ["POST"]}, max_body="1KB"),
        ],
    })  # fmt: skip


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    one = Gateway(tmp_path_factory.mktemp("explain"), config_of(upstream)).start()
    yield one
    one.check_ledger()
    one.stop()


def token(**claims: Any) -> str:
    return f"Bearer {Signer(Key(SECRET, ''), 'HS256', audience='').token(**claims)}"


CASES: dict[str, tuple[str, str, dict[str, str]]] = {
    "open": ("GET", "/open/{}?a=b%20c", {}),
    "encoded": ("GET", "/open/{}/%7Ex/./y/%2fz", {}),
    "by-header": ("GET", "/open/{}", {"X-Version": "2"}),
    "api-key": ("GET", "/auth/{}", {"X-API-Key": API_KEY, "X-Debug": "1"}),
    "no-key": ("GET", "/auth/{}", {}),
    "wrong-key": ("GET", "/auth/{}", {"X-API-Key": "wrong"}),
    "token": ("GET", "/auth/{}", {"Authorization": token(scope="read")}),
    "no-scope": ("GET", "/auth/{}", {"Authorization": token(scope="write")}),
    "expired": ("GET", "/auth/{}", {"Authorization": token(exp=1_000_000_000)}),
    "cors": ("GET", "/auth/{}", {"Origin": ORIGIN, "X-API-Key": API_KEY}),
    "preflight": ("OPTIONS", "/auth/{}", {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}),
    "shadow": ("GET", "/shadow/{}", {}),
    "denied": ("GET", "/closed/{}", {}),
    "sticky-1": ("GET", "/sticky/{}", {"X-User": "1"}),
    "sticky-2": ("GET", "/sticky/{}", {"X-User": "2"}),
    "sticky-3": ("GET", "/sticky/{}", {"X-User": "3"}),
    "reply": ("GET", "/gone", {}),
    "method": ("GET", "/small/{}", {}),
    "no-route": ("GET", "/nothing/{}", {}),
    "climbs": ("GET", "/open/../../{}", {}),
    "health": ("GET", "/healthz", {}),
    "trace": ("TRACE", "/open/{}", {}),
    "forged": ("GET", "/open/{}", {"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "1.2.3.4", "X-Consumer": "root"}),
    "unknown": ("BREW", "/open/{}", {"Connection": "close, x-hop", "X-Hop": "1", "TE": "trailers"}),
    "websocket": ("GET", "/gone", {"Connection": "Upgrade", "Upgrade": "websocket"}),
}  # fmt: skip


def explain(live: Gateway, method: str, path: str, headers: dict[str, str], client: str) -> dict[str, Any]:
    wish = {"request": f"{method} http://test.example{path}", "headers": headers, "client": client}
    status, body = live.admin("/api/explain", "POST", json.dumps(wish).encode(), {"Content-Type": "application/json"})
    assert status == 200, body
    made: dict[str, Any] = json.loads(body)
    return made


@pytest.mark.parametrize("source", ["127.0.0.1", TRUSTED])
@pytest.mark.parametrize("name", CASES)
def test_what_is_said_is_what_happens(name: str, source: str, live: Gateway, upstream: Upstream) -> None:
    method, path, headers = CASES[name]
    unique = f"{name}-{source.rpartition('.')[2]}"
    path = path.format(unique)
    said = explain(live, method, path, headers, source)
    with Client(live.address, source=source) as client:
        fields = [f"{key}: {value}" for key, value in headers.items()]
        client.send(request(path, method=method, fields=fields))
        answer = client.read(method)
    entry = live.journal.of(answer.get("X-Request-Id"))
    assert said["status"] in (None, answer.status)
    for key in ("route", "reason", "consumer", "source", "client", "version", "upstream"):
        assert said[key] == entry[key], key
    assert (said["rule"] or None) == entry["rule"]
    if said["detail"] and method != "HEAD":
        assert json.loads(answer.body)["detail"] == said["detail"]
    if said["path"] is None:
        assert said["status"] == answer.status
        return
    got = next(one for one in reversed(upstream.requests) if unique.encode() in one.target)
    query = "" if said["query"] is None else f"?{said['query']}"
    assert got.target.decode() == said["path"] + query
    assert told(said["headers"]) == told(received(got.fields))


def received(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    made: dict[str, str] = {}
    for name, value in fields:
        before = made.get(name.decode())
        made[name.decode()] = value.decode() if before is None else f"{before}, {value.decode()}"
    return made


def told(headers: dict[str, str]) -> dict[str, str]:
    """By lower-case name, as an explanation may show it."""
    return {
        name.lower(): MASK if name.lower() in ("x-api-key", "authorization") else value
        for name, value in headers.items()
        if name.lower() not in OURS
    }


# --- tests in the document -------------------------------------------------------------------------------------------

FAILS = [{"request": "GET http://test.example/open/x", "expect": {"route": "gone"}}]
PASSES = [{"request": "GET http://test.example/open/x", "expect": {"route": "open", "upstream": "main"}}]
WORDS = 'tests[0].expect.route: expected route "gone", but it was "open"'


def test_a_start_whose_tests_fail_is_refused(make_gateway: Callable[..., Gateway], upstream: Upstream) -> None:
    one = make_gateway({**config_of(upstream), "tests": FAILS}, start=False)
    one.spawn()
    assert one.wait_exit() != 0
    assert f"{one.file}:" in one.stderr()
    assert WORDS in one.stderr()


def test_a_reload_and_a_publish_whose_tests_fail_are_refused(live: Gateway, upstream: Upstream) -> None:
    version = live.reload({**config_of(upstream), "tests": PASSES})
    live.write({**config_of(upstream), "tests": FAILS})
    command = [sys.executable, "-m", "fastgw", "reload", "-c", str(live.file)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert WORDS in result.stderr
    assert live.status()["version"] == version

    status, body = live.admin("/api/config")
    assert status == 200
    plain = json.loads(body)
    plain["tests"] = FAILS
    fields = {"Content-Type": "application/json", "If-Match": f'"{version}"'}
    status, body = live.admin("/api/config", "PUT", json.dumps(plain).encode(), fields)
    assert status == 422, body
    errors = json.loads(body)["errors"]
    assert [error["path"] for error in errors] == ["tests[0].expect.route"]
    assert WORDS.partition(": ")[2] in errors[0]["message"]
    patch = b'{"match": {"path": "/opened/*"}}'
    fields["Content-Type"] = "application/merge-patch+json"
    status, body = live.admin("/api/routes/open", "PATCH", patch, fields)
    assert status == 422, body
    assert [error["path"] for error in json.loads(body)["errors"]] == ["tests[0].expect.route"]
    assert live.status()["version"] == version
    assert explain(live, "GET", "/open/x", {}, "127.0.0.1")["version"] == version

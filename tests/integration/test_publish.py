"""Publishing through the admin API of a running gateway: nothing is lost under load, what does not change is left alone,
secrets survive being shown and sent back, and a control process that dies half-way leaves nothing half done."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastgw.gateway.document.masking import MASK
from fastgw.versions.store import FileStore
from tests.integration.test_websocket import echo_tunnel, open_tunnel
from tests.integration.traffic import Traffic
from tests.support.config import route, simple
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.wire import wait_for

Config = dict[str, Any]
KEY = "the-key-of-the-only-consumer"


def config_of(upstream: Upstream) -> Config:
    digest = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
    config = simple(upstream.url, consumers=[{"name": "ann", "keys": [digest]}])
    config["routes"] += [
        route("changing", "/changing", reply={"status": 200, "body": "version 0"}),
        route("guarded", "/guarded", reply={"status": 200, "body": "in"}, auth={"any": ["api_key"]}),
        route("secret", "/secret", rewrite={"request_headers": {"set": {"Authorization": "Basic hush"}}}),
    ]
    return config


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    one = Gateway(tmp_path_factory.mktemp("publish"), config_of(upstream), workers=2).start()
    yield one
    one.check_ledger()
    one.stop()


def call(
    gateway: Gateway, method: str, path: str, body: Any = None, expected: str = "*"
) -> tuple[int, dict[str, Any], str]:
    """Status, JSON and ETag."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.admin_port, timeout=15)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json", "If-Match": expected})
        response = connection.getresponse()
        return response.status, json.loads(response.read()), response.headers.get("ETag", "")
    finally:
        connection.close()


def say(gateway: Gateway, words: str) -> int:
    """Publish another answer of /changing, and wait until every worker has it."""
    status, outcome, _ = call(gateway, "PATCH", "/api/routes/changing?wait=10s", {"reply": {"body": words}})
    assert (status, outcome["workers"]["serving"]) == (200, outcome["workers"]["of"]), outcome
    return int(outcome["version"])


def said(gateway: Gateway) -> str:
    with gateway.client() as client:
        return client.get("/changing").body.decode()


def test_forty_publishes_under_load_lose_nothing(live: Gateway) -> None:
    with Traffic(live) as traffic:
        traffic.wait_done(50)
        first = say(live, "under load 0")
        for number in range(1, 40):
            assert say(live, f"under load {number}") == first + number
        traffic.wait_done(50)
        reconnects = traffic.reconnects
    assert traffic.failures == []
    assert reconnects == 0, "a keep-alive connection was dropped"
    assert said(live) == "under load 39"


def test_what_does_not_change_is_left_alone(live: Gateway, upstream: Upstream) -> None:
    path = upstream.script(echo_tunnel)
    with open_tunnel(live, path) as tunnel, live.client() as client:
        client.get("/pool-before-publish")
        for number in range(3):
            say(live, f"alone {number}")
            tunnel.send(b"still")
            assert tunnel.stream.exactly(5) == b"STILL"
        client.get("/pool-after-publish")
    before, after = upstream.one("/pool-before-publish"), upstream.one("/pool-after-publish")
    assert upstream.connection_of(before) is upstream.connection_of(after)


def test_secrets_are_shown_to_nobody_and_survive_being_sent_back(live: Gateway, upstream: Upstream) -> None:
    _, document, tag = call(live, "GET", "/api/config")
    text = json.dumps(document)
    assert "hush" not in text and "sha256:" + MASK in text
    document["routes"].reverse()
    document["routes"].append(route("new", "/new", reply={"status": 418}))
    status, outcome, tag = call(live, "PUT", "/api/config?wait=10s", document, tag)
    assert (status, outcome["routes"]) == (200, ["new"]), outcome
    with live.client() as client:
        assert client.get("/new").status == 418
        assert client.get("/guarded").status == 401
        assert client.get("/guarded", fields=[f"X-API-Key: {KEY}"]).status == 200
        client.get("/secret")
    assert upstream.one("/secret").get("Authorization") == "Basic hush"
    # Whoever builds on what it replaced is told.
    status, refusal, current = call(live, "PUT", "/api/config", document, '"1"')
    assert (status, current) == (412, tag), refusal


def test_what_a_dying_control_process_only_stored_is_served_by_the_next(
    make_gateway: Callable[..., Gateway], upstream: Upstream
) -> None:
    one = make_gateway(config_of(upstream))
    version = say(one, "before")
    control = int(one.status()["control"]["pid"])
    os.kill(control, signal.SIGSTOP)  # so that it is the next one that finds it
    store = FileStore(one.directory / "store")
    newest = store.newest()
    assert newest is not None and newest.number == version
    changing = next(each for each in newest.plain["routes"] if each["name"] == "changing")
    changing["reply"]["body"] = "stored"
    store.add(newest.plain, "not looked at", "somebody", "", False)
    os.kill(control, signal.SIGKILL)
    wait_for(lambda: said(one) == "stored", 10, "what was stored")
    assert say(one, "after") == version + 2
    one.stop()

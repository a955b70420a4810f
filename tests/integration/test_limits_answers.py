"""What a client is told: the fields on admitted and on refused requests, the problem document, and a Retry-After that
is true. The limits of the gateway as a whole, which come before routing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.outcome import check_refusal, counted
from tests.support import scripts
from tests.support.client import request
from tests.support.config import route, service
from tests.support.gateway import Gateway, free_port
from tests.support.limits import decided, limit, policies, remaining, running
from tests.support.upstream import Upstream
from tests.support.valkey import Valkey
from tests.support.wire import Response, wait_for

CALLER = "header:X-Caller"


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as one:
        yield one


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, valkey: Valkey
) -> Iterator[Gateway]:
    config = {
        "redis": {"url": valkey.url, "timeout": "1s", "prefix": "answers:"},
        "upstreams": {"main": service(upstream.url), "dead": service(f"http://127.0.0.1:{free_port()}")},
        "routes": [
            route("all", limits=[limit("few", CALLER, "60/h", 3), limit("more", CALLER, "10/s", 50)]),
            route("dead", "/dead/*", upstream="dead", limits=[limit("few", CALLER, "60/h", 3)]),
            route("counted", "/counted/*", limits=[limit("counted", CALLER, burst=3)]),
            route("slow", "/slow/*", limits=[limit("slow", CALLER, "40/m", 1)]),
            route("quick", "/quick/*", limits=[limit("quick", CALLER, "4/s", 1)]),
        ],
    }
    with running(tmp_path_factory.mktemp("answers"), config) as one:
        yield one


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, valkey: Valkey) -> Iterator[Gateway]:
    config = {
        "redis": {"url": valkey.url, "timeout": "1s", "prefix": "wide:"},
        "limits": [limit("flood", "client_ip", "1/h", 4)],
        "upstreams": {"main": service(upstream.url)},
        "routes": [
            route("one", "/one/*"),
            route("two", "/two/*", limits=[limit("own", "client_ip", "1/h", 2)]),
            route("gets", "/gets/*", match={"methods": ["GET"]}),
        ],
    }
    with running(tmp_path_factory.mktemp("wide"), config) as one:
        yield one


def ask(gateway: Gateway, path: str, caller: str = "", source: str = "", **options: Any) -> Response:
    with gateway.client(source=source) as client:
        client.send(request(path, fields=[f"X-Caller: {caller}"] if caller else [], **options))
        return client.read(options.get("method", "GET"))


# --- the fields ---


def test_the_fields_of_admitted_requests_count_down(gateway: Gateway) -> None:
    for number, window in ((2, 60), (1, 120), (0, 180)):
        answer = ask(gateway, "/fields", "counts")
        assert answer.status == 200
        assert policies(answer) == {"few": (3, 180), "more": (50, 5)}
        (few, whole), (more, soon) = remaining(answer).values()
        assert list(remaining(answer)) == ["few", "more"]
        assert few == number
        assert window - 3 <= whole <= window
        assert 45 <= more <= 49
        assert soon <= 1
        assert answer.get("Retry-After") is None


def test_a_refusal_carries_them_too(gateway: Gateway, upstream: Upstream) -> None:
    with counted(gateway, "rate_limited"):
        found = [ask(gateway, "/refused", "refused") for _ in range(4)]
    answer = found[3]
    entry = check_refusal(gateway, answer, 429, "rate_limited")
    assert (entry["rule"], entry["limit"], entry["route"]) == ("few", "few", "all")
    assert remaining(answer)["few"][0] == 0
    assert list(policies(answer)) == ["few", "more"]
    retry = int(answer.get("Retry-After") or 0)
    assert 57 <= retry <= 60
    problem = json.loads(answer.body)
    assert problem["violated-policies"] == ["few"]
    assert "few" in json.dumps(problem)
    assert len(upstream.find("/refused")) == 3


def test_a_refusal_keeps_the_connection_and_the_order(gateway: Gateway) -> None:
    with gateway.client() as client:
        one = request("/order", fields=["X-Caller: order"])
        client.send(one * 5 + request("/other", fields=["X-Caller: order-too"]))
        assert [client.read().status for _ in range(6)] == [200, 200, 200, 429, 429, 200]


@pytest.mark.parametrize("body", [b"x", b"x" * 300_000])
def test_a_refused_upload_gets_its_answer(body: bytes, gateway: Gateway, upstream: Upstream) -> None:
    caller = f"upload-{len(body)}"
    for _ in range(3):
        assert ask(gateway, "/upload", caller, method="POST", body=b"x").status == 200
    answer = ask(gateway, f"/{caller}", caller, method="POST", body=body)
    check_refusal(gateway, answer, 429, "rate_limited")
    assert not upstream.find(f"/{caller}")


def test_a_refused_upload_is_not_asked_for(gateway: Gateway) -> None:
    """Expect: 100-continue is for those whose body is wanted."""
    for _ in range(3):
        ask(gateway, "/expect", "expect")
    with gateway.client() as client:
        fields = ["X-Caller: expect", "Expect: 100-continue", "Content-Length: 5"]
        client.send(request("/expect", method="POST", fields=fields))
        answer = client.read()
    assert (answer.status, answer.interim) == (429, [])


def test_head_gets_the_fields_and_no_body(gateway: Gateway) -> None:
    found = [ask(gateway, "/head", "head", method="HEAD") for _ in range(4)]
    assert [one.status for one in found] == [200] * 3 + [429]
    assert remaining(found[0])["few"][0] == 2
    assert int(found[3].get("Retry-After") or 0) >= 57


def test_an_upstream_that_fails_takes_nothing_from_them(gateway: Gateway) -> None:
    answer = ask(gateway, "/dead/x", "dead")
    check_refusal(gateway, answer, 502, "connect_refused")
    assert remaining(answer)["few"][0] == 2
    assert policies(answer)["few"] == (3, 180)


def test_an_answer_of_the_upstream_keeps_its_own_fields(gateway: Gateway, upstream: Upstream) -> None:
    """Not its place to be lost: a limit of the service behind is another policy of the same list."""
    own = scripts.message(b"ok", 200, 'RateLimit: "inner";r=5;t=9', "X-Other: yes")
    path = upstream.script(scripts.answer(own))
    answer = ask(gateway, path, "upstream")
    assert answer.status == 200
    assert answer.get("X-Other") == "yes"
    assert remaining(answer)["few"][0] == 2


def test_every_decision_is_counted_once(gateway: Gateway) -> None:
    def counts() -> list[float]:
        metrics = gateway.metrics()
        return [decided(metrics, "counted", route="counted", outcome=one) for one in ("admitted", "refused")]

    for _ in range(5):
        ask(gateway, "/counted/x", "counted")
    wait_for(lambda: counts() == [3, 2], what="3 and 2 counted", every=0.02)
    assert decided(gateway.metrics(), mode="local") == 0


# --- Retry-After ---


@pytest.mark.parametrize(("path", "least", "seconds"), [("/slow/x", 1.45, 2), ("/quick/x", 0.2, 1)])
def test_retry_after_is_true(path: str, least: float, seconds: int, gateway: Gateway) -> None:
    """Who waits as told is admitted, and the wait is the shortest whole number of seconds."""
    start = time.monotonic()
    assert ask(gateway, path, "true").status == 200
    answer = ask(gateway, path, "true")
    assert answer.status == 429
    assert int(answer.get("Retry-After") or 0) == seconds
    told = time.monotonic()
    # Refusals on the way do not push it further away.
    while (now := time.monotonic()) < start + least - 0.15:
        assert ask(gateway, path, "true").status == 429
        time.sleep(min(0.1, max(0.0, start + least - 0.15 - now)))
    time.sleep(max(0.0, told + seconds - time.monotonic()))
    assert ask(gateway, path, "true").status == 200


# --- before routing ---


def test_unknown_paths_are_limited_too(wide: Gateway) -> None:
    found = [ask(wide, f"/unknown-{n}", source="127.0.4.1") for n in range(6)]
    assert [one.status for one in found] == [404] * 4 + [429] * 2
    assert remaining(found[0])["flood"][0] == 3
    entry = check_refusal(wide, found[4], 429, "rate_limited")
    assert (entry["rule"], entry["limit"]) == ("flood", "flood")


def test_every_kind_of_request_counts(wide: Gateway, upstream: Upstream) -> None:
    source = "127.0.4.2"
    found = [
        ask(wide, "/one/x", source=source),
        ask(wide, "/gets/x", source=source, method="POST", body=b"x"),
        ask(wide, "/nowhere", source=source),
        ask(wide, "/two/x", source=source),
    ]
    assert [one.status for one in found] == [200, 405, 404, 200]
    before = len(upstream.requests)
    assert [ask(wide, path, source=source).status for path in ("/one/x", "/two/x", "/nowhere")] == [429] * 3
    assert len(upstream.requests) == before
    assert ask(wide, "/one/x", source="127.0.4.3").status == 200


def test_the_limit_of_the_route_comes_after_and_both_are_shown(wide: Gateway) -> None:
    source = "127.0.4.4"
    found = [ask(wide, "/two/x", source=source) for _ in range(3)]
    assert [one.status for one in found] == [200, 200, 429]
    assert list(remaining(found[0])) == ["flood", "own"]
    assert list(policies(found[0])) == ["flood", "own"]


def test_the_health_path_is_not_limited(wide: Gateway) -> None:
    found = [ask(wide, "/healthz", source="127.0.4.5").status for _ in range(8)]
    assert found == [200] * 8


# --- in the store ---


def test_keys_carry_the_prefix_and_the_tag_and_end(gateway: Gateway, valkey: Valkey) -> None:
    ask(gateway, "/keys", "in-the-store")
    client = valkey.client()
    keys = [key for key in client.keys("answers:*") if b"in-the-store" in key]
    assert len(keys) == 2
    for key in keys:
        assert key.startswith(b"answers:{in-the-store}")
        left = client.pttl(key)
        assert 0 < left < 200_000, "no key of a bucket that is whole again may stay"
    assert all(client.pttl(key) > 0 for key in client.keys("*")), "a key without an end"

"""Authentication between limits that ask a real store: each request waits, some of them twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.integration.issuers import (
    API_KEY,
    DEV_SECRET,
    HS_SECRET,
    PARTNER_KEY,
    ask,
    asks,
    check_unauthorized,
    digest,
    key,
)
from tests.integration.outcome import check_refusal
from tests.support import scripts
from tests.support.client import request
from tests.support.config import route, service
from tests.support.gateway import Gateway
from tests.support.key_source import KeySource, serve
from tests.support.tokens import Key, Signer, bearer, compact, ec_key, key_set
from tests.support.upstream import Upstream
from tests.support.valkey import Valkey
from tests.support.wire import Response, wait_for

HS = Signer(Key(HS_SECRET, ""), "HS256", audience="")
DEV = Signer(Key(DEV_SECRET, ""), "HS256", audience="")
MANY: dict[str, Any] = {"rate": "500/s", "burst": 500}  # below the rate from which tokens are leased
FEW: dict[str, Any] = {"rate": "1/h", "burst": 3}


def limit(name: str, by: str, size: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "key": by, **size}


@pytest.fixture(scope="module")
def source() -> Iterator[KeySource]:
    host = Upstream()
    yield KeySource(host, "fetched", ec_key("first"))
    host.close()


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, source: KeySource
) -> Iterator[Gateway]:
    def both() -> list[dict[str, Any]]:
        return [limit("address", "client_ip", MANY), limit("consumer", "consumer", MANY)]

    with Valkey() as store:
        config = {
            "redis": {"url": store.url, "timeout": "1s"},
            "upstreams": {"main": service(upstream.url, timeouts={"connect": "10s"})},
            "limits": [limit("flood", "client_ip", {"rate": "900/s", "burst": 900})],
            "issuers": {
                "hs": {"algorithms": ["HS256"], "secret": HS_SECRET.decode()},
                "dev": {"algorithms": ["HS256"], "secret": DEV_SECRET.decode(), "leeway": "0s"},
                "fetched": source.options(),
            },
            "consumers": [
                {"name": "app", "scopes": ["s"], "keys": [digest(API_KEY)],
                 "subjects": [{"issuer": "hs", "subject": "app-1"}]},
                {"name": "partner", "keys": [digest(PARTNER_KEY)]},
            ],
            "routes": [
                route("open", "/open/*"),
                asks("span", "dev", "api_key", scopes=["s"], limits=both()),
                asks("hs", "hs", limits=both()),
                asks("fetched", "fetched", limits=both()),
                asks("narrow-door", "hs", limits=[limit("door", "client_ip", FEW)]),
                asks("each", "hs", "api_key", scopes=["s"], limits=[limit("each", "consumer", FEW)]),
                asks("cors", "hs", limits=[limit("door", "client_ip", FEW)],
                     cors={"origins": ["https://shop.example.com"]}),
            ],
        }  # fmt: skip
        one = Gateway(tmp_path_factory.mktemp("auth-limits"), config).start()
        yield one
        one.check_ledger()
        one.stop()


def limited(answer: Response) -> list[str]:
    return answer.all("RateLimit")


def test_a_known_token_is_asked_everything_all_the_same(live: Gateway, upstream: Upstream) -> None:
    """What both phases have in one question must not stand for the checks between them."""
    good, poor = bearer(DEV.token(scope="s")), bearer(DEV.token(scope="other"))
    foreign = bearer(HS.token(scope="s"))
    with live.client() as client:
        assert client.get("/hs/known", fields=foreign).status == 200
        for turn in range(3):
            assert client.get(f"/span/good-{turn}", fields=good).status == 200
            check_refusal(live, client.get("/span/poor", fields=poor), 403, "insufficient_scope")
            check_unauthorized(live, client.get("/span/foreign", fields=foreign))
            check_unauthorized(live, client.get("/span/none"), "missing_credentials")
            check_refusal(live, client.get("/span/x", fields=key(PARTNER_KEY)), 403, "insufficient_scope")
            assert client.get("/span/key", fields=key(API_KEY)).status == 200
        assert upstream.find("/span/good-2")[0].all("X-Consumer") == ["dev:alice"]
        assert {one.all("X-Consumer")[0] for one in upstream.find("/span/key")} == {"app"}


def test_an_expiry_holds_where_both_phases_are_one_question(live: Gateway) -> None:
    end = int(time.time()) + 2
    token = bearer(DEV.token(scope="s", exp=end))

    def over() -> bool:
        sent = time.time()
        answer = client.get("/span/expiring", fields=token)
        assert answer.status == 200 or time.time() >= end - 0.1
        assert answer.status == 401 or sent < end + 0.1
        return answer.status == 401

    with live.client() as client:
        assert client.get("/span/expiring", fields=token).status == 200
        wait_for(over, 4.0, "the token's end", every=0.02)


def test_pipelined_callers_stay_apart(live: Gateway, upstream: Upstream) -> None:
    """Each of them waits for the store."""
    sent = [
        ("/span/apart", bearer(DEV.token(scope="s")), 200, ["dev:alice"]),
        ("/span/apart", [], 401, []),
        ("/span/apart", key(API_KEY), 200, ["app"]),
        ("/open/apart", key(API_KEY), 200, []),
        ("/span/apart", bearer("a.b.c"), 401, []),
        ("/span/apart", bearer(DEV.token(scope="s", sub="bob")), 200, ["dev:bob"]),
    ]
    with live.client() as client:
        client.send(b"".join(request(path, fields=fields) for path, fields, *_ in sent))
        answers = [client.read() for _ in sent]
    assert [one.status for one in answers] == [status for _, _, status, _ in sent]
    consumers = [told for path, _, status, told in sent if status == 200 and path.startswith("/span")]
    assert [got.all("X-Consumer") for got in upstream.find("/span/apart")] == consumers
    assert upstream.one("/open/apart").all("X-Consumer") == []
    for answer, (path, *_) in zip(answers, sent, strict=True):
        names = " ".join(limited(answer))
        assert ('"consumer"' in names) is (answer.status == 200 and path.startswith("/span")), names


def test_an_abusive_client_cannot_buy_signature_checks(live: Gateway) -> None:
    """The address limit stands before authentication: after the burst it is 429, whatever the credential."""
    with live.client() as client:
        reasons = []
        for number in range(6):
            wrong = HS.token(sub=f"eve-{number}")[:-6] + "AAAAAA"
            answer = client.get("/narrow-door/x", fields=bearer(wrong))
            reasons.append(answer.status)
        assert reasons == [401, 401, 401, 429, 429, 429]
        answer = client.get("/narrow-door/x", fields=bearer(HS.token()))
        check_refusal(live, answer, 429, "rate_limited")
        assert not answer.all("WWW-Authenticate")


def test_a_refused_credential_costs_its_supposed_owner_nothing(live: Gateway) -> None:
    """Else anybody could use up somebody's limit by naming them."""
    owner = bearer(HS.token(sub="victim", scope="s"))
    poor = bearer(HS.token(sub="victim", scope="other"))
    forged = bearer(HS.token(sub="victim", scope="s")[:-6] + "AAAAAA")
    with live.client() as client:
        for _ in range(4):
            assert client.get("/each/x", fields=forged).status == 401
            assert client.get("/each/x", fields=poor).status == 403
        assert [client.get("/each/x", fields=owner).status for _ in range(4)] == [200, 200, 200, 429]
        other = bearer(HS.token(sub="bystander", scope="s"))
        assert client.get("/each/x", fields=other).status == 200


def test_a_consumer_has_one_bucket_however_it_comes(live: Gateway) -> None:
    with live.client() as client:
        ways = [key(API_KEY), bearer(HS.token(sub="app-1")), bearer(HS.token(sub="app-1", jti="another"))]
        assert [client.get("/each/app", fields=way).status for way in ways] == [200, 200, 200]
        assert [client.get("/each/app", fields=way).status for way in ways] == [429, 429, 429]
        entry = check_refusal(live, client.get("/each/app", fields=ways[1]), 429, "rate_limited")
        assert entry["consumer"] == "app"


def test_refusals_carry_cors_and_limits_together(live: Gateway) -> None:
    origin = "Origin: https://shop.example.com"
    for status in (401, 401, 401, 429):
        answer = ask(live, "/cors/x", origin)
        assert answer.status == status
        assert answer.all("Access-Control-Allow-Origin") == ["https://shop.example.com"]
        assert limited(answer)
        assert answer.all("RateLimit-Policy")


def test_a_request_that_waits_twice_is_whole(live: Gateway, source: KeySource, upstream: Upstream) -> None:
    """First for the store, then for a key; its body comes meanwhile."""
    new, gate = ec_key("second"), threading.Event()
    source.script = scripts.when_allowed(gate, serve(key_set(new)))
    token, asked = bearer(source.by(new).token(sub="bob")), source.asked()
    parts = [bytes([number]) * 30_000 for number in range(6)]
    with live.client() as client:
        client.send(request("/fetched/twice", method="POST", fields=[*token, "Transfer-Encoding: chunked"]))
        client.send(scripts.chunked(parts[:3])[:-5])
        source.wait_asked(asked)
        client.send(scripts.chunked(parts[3:]) + request("/open/behind-twice"))
        gate.set()
        answer, behind = client.read(), client.read()
    assert (answer.status, behind.status) == (200, 200)
    assert upstream.one("/fetched/twice").body == b"".join(parts)
    assert upstream.one("/fetched/twice").all("X-Consumer") == ["fetched:bob"]
    assert '"consumer"' in " ".join(limited(answer))
    assert upstream.one("/open/behind-twice").all("X-Consumer") == []
    assert ask(live, "/fetched/after", *token).status == 200


def callers(source: KeySource) -> list[tuple[str, list[str], int, list[str]]]:
    """Route, credential, what becomes of it, and whom the upstream is told of."""
    unknown = compact(source.signer.head(kid="nobody"), source.signer.claims(), source.signer.sign)
    return [
        ("open", [], 200, []),
        ("open", key(API_KEY), 200, []),
        ("open", ["X-Consumer: admin", *bearer(DEV.token())], 200, []),
        ("span", bearer(DEV.token(scope="s")), 200, ["dev:alice"]),
        ("span", bearer(DEV.token(scope="s t", sub="bob")), 200, ["dev:bob"]),
        ("span", bearer(DEV.token(scope="t")), 403, []),
        ("span", bearer(HS.token(scope="s")), 401, []),
        ("span", key(API_KEY), 200, ["app"]),
        ("span", key(PARTNER_KEY), 403, []),
        ("span", key("wrong"), 401, []),
        ("span", [], 401, []),
        ("hs", bearer(HS.token()), 200, ["hs:alice"]),
        ("hs", bearer(HS.token(sub="app-1")), 200, ["app"]),
        ("hs", [*bearer(HS.token(sub="carol")), "X-Consumer: admin"], 200, ["hs:carol"]),
        ("hs", bearer(DEV.token()), 401, []),
        ("hs", key(API_KEY), 401, []),
        ("fetched", bearer(unknown), 401, []),
        ("fetched", bearer(HS.token()), 401, []),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_callers_at_random_on_one_connection(
    seed: int, live: Gateway, source: KeySource, upstream: Upstream
) -> None:
    """Pipelined in batches, some with bodies: nobody gets what is another's, whatever each of them waits for."""
    random, every = Random(seed), callers(source)
    with live.client() as client:
        for batch in range(10):
            sent = [(f"mix-{seed}-{batch}-{number}", *random.choice(every)) for number in range(12)]
            data = []
            for name, where, fields, status, _ in sent:
                body = bytes(random.randrange(2000)) if status == 200 and random.random() < 0.4 else None
                method = "GET" if body is None else "POST"
                data.append(request(f"/{where}/{name}", method=method, fields=fields, body=body))
            client.send(b"".join(data))
            for name, where, fields, status, consumer in sent:
                answer = client.read()
                assert answer.status == status, (where, fields, answer.body)
                got = upstream.find(f"/{where}/{name}")
                assert [one.all("X-Consumer") for one in got] == ([consumer] if status == 200 else [])
                has_scopes = [bool(one.all("X-Consumer-Scopes")) for one in got]
                assert has_scopes == ([where == "span" or consumer == ["app"]] if status == 200 else [])

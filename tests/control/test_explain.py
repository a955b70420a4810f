"""POST /api/explain on a control process: what would become of a request by what is served now."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from fastgw.clock import SystemClock
from fastgw.control.explain import Explainer
from fastgw.control.published import History, Published
from tests.control.harness import Gateway
from tests.control.test_api import problem
from tests.support.tokens import Signer, ec_key

URL = "https://id.example.com/jwks"
Publish = Callable[..., Published]


async def explain(session: aiohttp.ClientSession, request: str, **more: object) -> dict[str, Any]:
    answer = await session.post("/api/explain", json={"request": request, **more})
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "application/json"
    made: dict[str, Any] = json.loads(await answer.read())
    return made


async def test_a_request_is_explained_by_what_is_served(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    outcome = await explain(client, "GET http://a/orders/7", headers={"X-Token": "hush"}, client="203.0.113.77")
    assert (outcome["version"], outcome["route"], outcome["reason"]) == (gateway.version, "orders", "ok")
    assert (outcome["upstream"], outcome["path"], outcome["client"]) == ("orders", "/orders/7", "203.0.113.77")
    assert "hush" not in json.dumps(outcome)
    # The targets are those that are known now, not what the document calls them.
    assert [each["url"] for each in outcome["targets"]] == ["http://orders.internal:9001"]
    assert outcome["targets"][0]["target"] == "10.0.0.1:9001"
    outcome = await explain(client, "GET http://a/order/7")
    assert (outcome["status"], outcome["reason"], outcome["targets"]) == (404, "no_route", [])
    assert outcome["others"] == [{"route": "orders", "misses": ["its path is /orders/*"]}]


async def test_a_reload_is_what_the_next_one_is_explained_by(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    assert (await explain(client, "GET http://a/new"))["reason"] == "no_route"
    gateway.path.write_text(gateway.path.read_text() + "  - {name: new, match: {path: /new}, reply: {status: 410}}\n")
    assert (await client.post("/api/reload", json={})).status == 200
    outcome = await explain(client, "GET http://a/new")
    assert (outcome["route"], outcome["status"], outcome["version"]) == ("new", 410, gateway.version + 1)


WRONG: list[tuple[dict[str, object], str, str]] = [
    ({}, "request", "missing"),
    ({"request": 3}, "request", "write text"),
    ({"request": "GET /x"}, "request", "is no whole URL"),
    ({"request": "GET http://a/", "header": {}}, "header", 'did you mean "headers"?'),
    ({"request": "GET http://a/", "headers": [1]}, "headers", "write an object"),
    ({"request": "GET http://a/", "headers": {"a": 3}}, "headers", "write an object"),
    ({"request": "GET http://a/", "headers": {"a b": "c"}}, "headers", "is no header name"),
    ({"request": "GET http://a/", "headers": {"a": "hush\r\nb: c"}}, "headers", "holds a line break"),
    ({"request": "GET http://a/", "headers": {f"h{n}": "" for n in range(201)}}, "headers", "up to 200"),
    ({"request": "GET http://a/", "client": "here"}, "client", "is no address"),
    ({"request": "GET http://a/", "client": 7}, "client", "is no address"),
]


@pytest.mark.parametrize(("body", "path", "words"), WRONG)
async def test_what_is_no_request(client: aiohttp.ClientSession, body: dict[str, object], path: str, words: str) -> None:
    answer = await client.post("/api/explain", json=body)
    assert answer.status == 422
    told = await problem(answer)
    assert [error["path"] for error in told["errors"]] == [path]
    assert words in told["errors"][0]["message"]
    assert "hush" not in json.dumps(told)


async def test_a_web_page_cannot_ask(client: aiohttp.ClientSession) -> None:
    answer = await client.post("/api/explain", data="{}", headers={"Content-Type": "text/plain"})
    assert answer.status == 415


def explainer(published: Published, keys: list[dict[str, Any]]) -> Explainer:
    upstreams = SimpleNamespace(one=lambda name: None)
    return Explainer(History(published), SystemClock(), upstreams, lambda: keys)  # type: ignore[arg-type]  # a stand-in


async def test_it_knows_the_keys_that_this_gateway_has_fetched(published: Publish) -> None:
    key = ec_key("k")
    token = Signer(key, "ES256", audience="").token()
    now = published(
        issuers={"far": {"algorithms": ["ES256"], "jwks_url": URL}},
        routes=[{"name": "one", "match": {"path": "/*"}, "upstream": "orders", "auth": {"any": [{"jwt": "far"}]}}],
    )
    wish = {"request": "GET http://a/x", "headers": {"Authorization": f"Bearer {token}"}}
    keys: list[dict[str, Any]] = []
    one = explainer(now, keys)
    assert (await one.explain(wish))["reason"] == "auth_unavailable"
    keys.append({"type": "keys", "source": URL, "keys": [key.jwk()], "error": None})
    outcome = await one.explain(wish)
    assert (outcome["reason"], outcome["consumer"]) == ("ok", "far:alice")
    assert token not in json.dumps(outcome)


async def test_targets_are_the_document_s_where_nothing_is_known_of_them(published: Publish) -> None:
    outcome = await explainer(published(), []).explain({"request": "GET http://a/orders/7"})
    assert outcome["targets"] == [{"url": "http://127.0.0.1:9001", "weight": 1}]

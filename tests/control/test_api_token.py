"""The admin API where a token is set: nothing is answered without it, and it never shows."""

import json

import aiohttp
import pytest

from tests.control.harness import Gateway

TOKEN = "a-token-of-at-least-thirty-two-bytes"
CALLS = ["/livez", "/readyz", "/metrics", "/api/status", "/api/config", "/nothing"]


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.mark.parametrize("path", CALLS)
async def test_without_the_token_nothing_is_answered(client: aiohttp.ClientSession, path: str) -> None:
    answer = await client.get(path)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="fastgw"'
    answer = await client.get(path, headers={"Authorization": f"Bearer {TOKEN}x"})
    assert answer.status == 401
    assert "invalid_token" in answer.headers["WWW-Authenticate"]
    assert TOKEN not in await answer.text()


async def test_with_the_token_everything_is(client: aiohttp.ClientSession) -> None:
    fields = {"Authorization": f"Bearer {TOKEN}"}
    assert (await client.get("/livez", headers=fields)).status == 200
    assert (await client.get("/api/status", headers=fields)).status == 200
    assert (await client.get("/nothing", headers=fields)).status == 404


async def test_the_token_is_masked(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    for path in ("/api/config", "/api/status", f"/api/config?version={gateway.version}"):
        answer = await client.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status == 200 and TOKEN not in await answer.text()


async def test_a_reload_that_changes_the_token_takes_effect_at_once(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    gateway.write(gateway.path.read_text().replace(TOKEN, TOKEN.upper()))
    fields = {"Authorization": f"Bearer {TOKEN}"}
    assert (await client.post("/api/reload", json={}, headers=fields)).status == 200
    assert (await client.get("/livez", headers=fields)).status == 401
    fields = {"Authorization": f"Bearer {TOKEN.upper()}"}
    assert (await client.get("/livez", headers=fields)).status == 200
    # The old one is a secret still.
    answer = await client.get(f"/api/config?version={gateway.version}", headers=fields)
    assert answer.status == 200 and TOKEN not in await answer.text()


async def test_every_call_that_is_described_needs_it(client: aiohttp.ClientSession) -> None:
    fields = {"Authorization": f"Bearer {TOKEN}"}
    described = await (await client.get("/api/openapi.json", headers=fields)).json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            answer = await client.request(method, path.replace("{name}", "orders"), json={}, headers={"If-Match": "*"})
            assert answer.status == 401, (method, path)
            assert answer.content_type in operation["responses"]["401"]["content"]
            assert "WWW-Authenticate" in answer.headers


async def test_who_tries_to_change_something_without_it_leaves_a_line(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    await client.put("/api/config", json={}, headers={"If-Match": "*"})
    await client.get("/api/config")
    (line,) = [line for line in gateway.log.lines() if "audit: " in line]
    noted = json.loads(line.partition("audit: ")[2])
    assert (noted["by"], noted["what"], noted["outcome"]) == ("api, 127.0.0.1", "PUT /api/config", "refused")
    assert "Bearer" in noted["reason"]

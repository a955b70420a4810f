"""What the calls about parts show: no secret, whatever it is called."""

from __future__ import annotations

import json

import aiohttp

from tests.control.harness import Gateway

ANY = {"If-Match": "*", "Content-Type": "application/json"}


async def test_a_secret_in_a_match_is_not_in_the_list_of_routes(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    route = {"match": {"path": "/new/*", "headers": {"X-Api-Key": "hush-hush"}}, "upstream": "orders"}
    answer = await client.put("/api/routes/new", data=json.dumps(route), headers=ANY)
    assert answer.status == 201
    for path in ("/api/config", "/api/routes/new", "/api/routes"):
        assert "hush-hush" not in await (await client.get(path)).text(), path


async def test_a_part_hides_what_is_an_api_key_by_configuration(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    document = await (await client.get("/api/config")).json()
    document["api_keys"] = {"header": "X-Partner"}
    document["routes"][0]["match"]["headers"] = {"x-partner": "hush-1"}
    answer = await client.put("/api/config", data=json.dumps(document), headers=ANY)
    assert answer.status == 200, await answer.text()
    assert "hush-" not in await (await client.get("/api/routes/orders")).text()

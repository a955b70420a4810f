"""What an operator does to a breaker leaves a line. (What it does: test_upstreams.py.)"""

import json
from typing import Any

import aiohttp

from tests.control.harness import Gateway

UPSTREAM = {"targets": ["http://127.0.0.1:9002"], "breaker": {"failures": 3}}
PATH = "/api/upstreams/orders/breaker"


def audited(gateway: Gateway) -> list[dict[str, Any]]:
    return [json.loads(line.partition("audit: ")[2]) for line in gateway.log.lines() if "audit: " in line]


async def test_forcing_a_breaker_leaves_a_line(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    await client.put("/api/upstreams/orders", json=UPSTREAM, headers={"If-Match": "*"})
    audited(gateway)
    statuses = [
        (await client.post(PATH, json=body)).status
        for body in ({"state": "open", "for": "30s"}, {"state": "auto"}, {"state": "ajar"}, {})
    ]
    assert statuses == [200, 200, 422, 422]
    statuses = [
        (await client.post(path, json={"state": "auto"})).status
        for path in ("/api/upstreams/nowhere/breaker", f"{PATH}?for=1s")
    ]
    assert statuses == [404, 422]
    lines = audited(gateway)
    assert [(line["outcome"], line["by"]) for line in lines] == [
        (outcome, "api, 127.0.0.1") for outcome in ["accepted"] * 2 + ["refused"] * 4
    ]
    assert [line["what"] for line in lines[:2]] == ["force breaker orders open", "force breaker orders auto"]
    assert all(line["reason"] for line in lines[2:])

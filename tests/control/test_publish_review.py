"""What an attacker on the loopback and the worst night do to control: found by reading, kept as tests."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from fastgw.control.live import Live
from fastgw.control.tail import filters_of
from fastgw.ipc.channel import MAX_PACKET
from fastgw.ipc.messages import Message
from tests.control.harness import Gateway

ANY = {"If-Match": "*", "Content-Type": "application/json"}


def test_what_all_watchers_name_together_fits_into_a_message() -> None:
    """A fact that does not fit stops all that is still to be told to every worker, addresses and health too."""
    told: list[Message] = []
    live = Live(told.append, 2)
    for each in range(64):
        live.watch(filters_of([("route", f"{each}-{number}-" + "x" * 140) for number in range(50)]))
    assert len(told) > 1
    assert max(len(json.dumps(message)) for message in told) < MAX_PACKET


async def test_what_is_an_api_key_by_configuration_is_shown_nowhere(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    """`api_keys.header` names the field that holds credentials, whatever it is called."""
    document: dict[str, Any] = await (await client.get("/api/config")).json()
    document["api_keys"] = {"header": "X-Partner"}
    document["routes"][0]["match"]["headers"] = {"x-partner": "hush-1"}
    document["routes"][0]["rewrite"] = {"request_headers": {"set": {"X-Partner": "hush-2"}}}
    document["tests"] = [
        {
            "request": "GET http://a.example/orders/1",
            "headers": {"X-Partner": "hush-1"},
            "expect": {"route": "orders"},
        }
    ]
    answer = await client.put("/api/config", data=json.dumps(document), headers=ANY)
    assert answer.status == 200, await answer.text()
    for path in ("/api/config", "/api/config?version=2"):
        assert "hush-" not in await (await client.get(path)).text(), path
    body = json.dumps({"from": 1, "to": 2})
    answer = await client.post("/api/config/diff", data=body, headers={"Content-Type": "application/json"})
    assert answer.status == 200 and "hush-" not in await answer.text()
    # And what was shown means unchanged.
    shown = await (await client.get("/api/config")).json()
    answer = await client.put("/api/config", data=json.dumps(shown), headers=ANY)
    assert (answer.status, (await answer.json())["changed"]) == (200, False)

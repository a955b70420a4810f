from __future__ import annotations

import aiohttp

from tests.control.harness import Gateway


async def test_a_gateway_with_versions_of_its_own_is_a_fleet_of_one(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    async with client.get("/api/fleet") as response:
        assert response.status == 200
        answer = await response.json()
    assert answer["store"] == {"kind": "file", "up": True, "error": ""}
    (mine,) = answer["instances"]
    assert mine.pop("at") > 0
    assert mine.pop("id").startswith("one/")
    assert mine == {
        "instance": "one",
        "version": 1,
        "hash": gateway.document.hash,
        "workers": {"serving": 0, "of": 0},
        "error": "",
        "me": True,
    }

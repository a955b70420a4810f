"""Kinds of content. (Queries and If-Match: test_config_api.py, test_parameters.py.)"""

import json

import aiohttp

ROUTE = {"match": {"path": "/new/*"}, "upstream": "orders"}


async def test_kinds_of_content(client: aiohttp.ClientSession) -> None:
    body = json.dumps(ROUTE).encode()
    for kind, status in (
        ("application/json", 201),
        ("Application/JSON; charset=UTF-8", 200),
        ("application/merge-patch+json", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
        ("", 415),
    ):
        answer = await client.put("/api/routes/new", data=body, headers={"If-Match": "*", "Content-Type": kind})
        assert (kind, answer.status) == (kind, status)
    for kind, status in (("application/merge-patch+json", 200), ("application/json", 200), ("text/plain", 415)):
        answer = await client.patch("/api/routes/new", data=b"{}", headers={"If-Match": "*", "Content-Type": kind})
        assert (kind, answer.status) == (kind, status)


async def test_delete_needs_no_kind_where_it_has_no_body(client: aiohttp.ClientSession) -> None:
    await client.put("/api/routes/new", json=ROUTE, headers={"If-Match": "*"})
    answer = await client.delete("/api/routes/new", data=b"x", headers={"If-Match": "*", "Content-Type": "text/plain"})
    assert answer.status == 415
    assert (await client.delete("/api/routes/new", headers={"If-Match": "*"})).status == 200



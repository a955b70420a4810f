"""The calls about one route, upstream or consumer, and the lists of them."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.control.harness import Gateway
from tests.control.test_api import problem

KEY = "sha256:" + "0" * 64
ROUTE = {"match": {"path": "/new/*"}, "upstream": "orders"}
UPSTREAM = {"targets": ["http://127.0.0.1:9002"]}
CONSUMER = {"tier": "gold", "scopes": ["read"], "keys": [KEY]}
PARTS = [("routes", ROUTE), ("upstreams", UPSTREAM), ("consumers", CONSUMER)]
ANY = {"If-Match": "*"}


async def change(
    client: aiohttp.ClientSession, method: str, path: str, body: object = None, fields: dict[str, str] = ANY
) -> aiohttp.ClientResponse:
    data = None if body is None else json.dumps(body)
    kind = {} if body is None else {"Content-Type": "application/json"}
    return await client.request(method, path, data=data, headers={**kind, **fields})


async def part(client: aiohttp.ClientSession, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status == 200
    return await answer.json()


@pytest.mark.parametrize(("kind", "body"), PARTS)
async def test_a_part_from_its_making_to_its_end(
    gateway: Gateway, client: aiohttp.ClientSession, kind: str, body: dict[str, Any]
) -> None:
    path = f"/api/{kind}/new"
    assert (await client.get(path)).status == 404
    made = await change(client, "PUT", path, body)
    outcome = await made.json()
    assert (made.status, outcome["version"], outcome["changed"]) == (201, gateway.version + 1, True)
    # Consumers are part of the base.
    added, removed = ([], []) if kind == "consumers" else ([f"{kind[:-1]}:new"],) * 2
    assert outcome["changes"]["added"] == added and outcome["changes"]["total"] == 1
    shown = await part(client, path)
    assert shown.pop("name") == "new" and shown.keys() == body.keys()
    again = await change(client, "PUT", path, {"name": "new", **body})
    assert (again.status, (await again.json())["changed"]) == (200, False)
    assert again.headers["ETag"] == made.headers["ETag"] == (await client.get(path)).headers["ETag"]
    gone = await change(client, "DELETE", path)
    assert (gone.status, (await gone.json())["changes"]["removed"]) == (200, removed)
    assert (await client.get(path)).status == 404
    assert (await change(client, "DELETE", path)).status == 404
    assert (await part(client, "/api/status"))["version"] == gateway.version + 2


@pytest.mark.parametrize(("kind", "body"), PARTS)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_what_builds_on_nothing_or_on_the_past_is_refused(
    gateway: Gateway, client: aiohttp.ClientSession, kind: str, body: dict[str, Any], method: str
) -> None:
    sent = None if method == "DELETE" else body
    answer = await change(client, method, f"/api/{kind}/orders", sent, {})
    assert (answer.status, (await problem(answer))["reason"]) == (428, "precondition_required")
    answer = await change(client, method, f"/api/{kind}/orders", sent, {"If-Match": '"77"'})
    refusal = await problem(answer)
    assert (answer.status, refusal["reason"]) == (412, "version_conflict")
    assert answer.headers["ETag"] == f'"{gateway.version}"'


async def test_secrets_stay_in_and_a_mask_means_unchanged(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    await change(client, "PUT", "/api/consumers/app", CONSUMER)
    shown = await part(client, "/api/consumers/app")
    assert shown["keys"] == ["sha256:********"]
    changed = await change(client, "PUT", "/api/consumers/app", {**shown, "tier": "silver"})
    assert changed.status == 200
    newest = gateway.store.newest()
    assert newest is not None
    (consumer,) = newest.plain["consumers"]
    assert (consumer["keys"], consumer["tier"]) == ([KEY], "silver")


async def test_a_mask_where_nothing_was_is_refused(client: aiohttp.ClientSession) -> None:
    answer = await change(client, "PUT", "/api/consumers/app", {"keys": ["sha256:********"]})
    refusal = await problem(answer)
    assert (answer.status, [error["path"] for error in refusal["errors"]]) == (422, ["keys[0]"])


@pytest.mark.parametrize("kind", ["application/json", "application/merge-patch+json"])
async def test_patch_merges(gateway: Gateway, client: aiohttp.ClientSession, kind: str) -> None:
    await change(client, "PUT", "/api/routes/new", {**ROUTE, "max_body": "1KB", "timeouts": {"total": "5s"}})
    patch = {"max_body": None, "timeouts": {"response": "2s"}, "match": {"methods": ["GET"]}}
    answer = await client.patch(
        "/api/routes/new", data=json.dumps(patch), headers={**ANY, "Content-Type": kind}, params={"wait": "0s"}
    )
    assert (answer.status, (await answer.json())["routes"]) == (200, ["new"])
    assert await part(client, "/api/routes/new") == {
        "name": "new",
        "match": {"path": "/new/*", "methods": ["GET"]},
        "upstream": "orders",
        "timeouts": {"total": "5s", "response": "2s"},
    }
    assert (await part(client, "/api/routes/orders"))["match"] == {"path": "/orders/*"}


async def test_patches_of_many_at_once_are_all_kept(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    keys = ["max_body", "max_in_flight", "ip_access", "cors", "timeouts"]
    values: list[Any] = ["1KB", 5, {"deny": ["192.0.2.0/24"]}, {"origins": ["https://a.example"]}, {"total": "5s"}]
    answers = await asyncio.gather(
        *(change(client, "PATCH", "/api/routes/orders", {key: value}) for key, value in zip(keys, values, strict=True))
    )
    assert [answer.status for answer in answers] == [200] * 5
    assert (await part(client, "/api/routes/orders")).keys() >= set(keys)
    assert (await part(client, "/api/status"))["version"] == gateway.version + 5


async def test_what_is_wrong_is_told_where_its_sender_sees_it(client: aiohttp.ClientSession) -> None:
    body = {**ROUTE, "match": {"path": "new"}, "upstream": "nowhere", "colour": "red"}
    answer = await change(client, "PUT", "/api/routes/new", body)
    refusal = await problem(answer)
    assert (answer.status, refusal["reason"]) == (422, "invalid_document")
    assert {error["path"] for error in refusal["errors"]} >= {"match.path", "colour"}
    answer = await change(client, "PUT", "/api/routes/new", {**ROUTE, "upstream": "nowhere"})
    (error,) = (await problem(answer))["errors"]
    assert error["path"] == "upstream" and "nowhere" in error["message"]
    answer = await change(client, "PUT", "/api/upstreams/new", {"targets": ["http://127.0.0.1:1"], "balance": "x"})
    assert [each["path"] for each in (await problem(answer))["errors"]] == ["balance"]


async def test_what_is_needed_is_not_deleted(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    answer = await change(client, "DELETE", "/api/upstreams/orders")
    refusal = await problem(answer)
    assert (answer.status, refusal["reason"]) == (409, "in_use")
    assert [error["path"] for error in refusal["errors"]] == ["routes[0].upstream"]
    assert (await part(client, "/api/status"))["version"] == gateway.version


async def test_bodies_that_are_no_part(client: aiohttp.ClientSession) -> None:
    fields = {**ANY, "Content-Type": "application/json"}
    wrong: list[tuple[Any, str]] = [([], ""), ("x", ""), (None, ""), ({"name": "other"}, "name"), ({"name": 5}, "name")]
    for method in ("PUT", "PATCH"):
        for body, path in wrong:
            answer = await client.request(method, "/api/routes/orders", data=json.dumps(body), headers=fields)
            refusal = await problem(answer)
            assert (answer.status, [error["path"] for error in refusal["errors"]]) == (422, [path])


async def test_patching_what_is_not_there(client: aiohttp.ClientSession) -> None:
    answer = await change(client, "PATCH", "/api/routes/order", {"max_body": "1KB"})
    refusal = await problem(answer)
    assert (answer.status, refusal["reason"]) == (404, "not_found")
    assert 'did you mean "orders"' in refusal["detail"]


def encoded(gateway: Gateway, name: str) -> URL:
    return URL(f"http://127.0.0.1:{gateway.port}/api/routes/{name}", encoded=True)


async def test_names_are_checked(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    fields = {**ANY, "Content-Type": "application/json"}
    for name in ("a%2Fb", "%252e", "a%20b", "x" * 65, "%00", "%C3%A9", "..%2f..", "%ff"):
        answer = await client.put(encoded(gateway, name), data=json.dumps(ROUTE), headers=fields)
        refusal = await problem(answer)
        assert (name, answer.status, [error["path"] for error in refusal["errors"]]) == (name, 422, ["name"])


async def test_names_are_decoded_once(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    answer = await client.get(encoded(gateway, "%6Frders"))
    assert (answer.status, (await answer.json())["name"]) == (200, "orders")
    answer = await client.get(encoded(gateway, "%256Frders"))
    assert answer.status == 404


async def test_a_dry_run_of_a_part(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    answer = await change(client, "PUT", "/api/routes/new?dry_run=true", ROUTE)
    outcome = await answer.json()
    assert (answer.status, outcome["dry_run"], outcome["routes"]) == (200, True, ["new"])
    assert (await client.get("/api/routes/new")).status == 404
    answer = await change(client, "DELETE", "/api/routes/orders?dry_run=true")
    assert (await answer.json())["changes"]["removed"] == ["route:orders"]
    assert (await client.get("/api/routes/orders")).status == 200


async def test_lists(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    await change(client, "PUT", "/api/consumers/app", CONSUMER)
    await change(client, "PUT", "/api/routes/gone", {"match": {"path": "/old"}, "reply": {"status": "410"}})
    split = {"match": {"path": "/split"}, "split": {"orders": 9}, "auth": {"any": ["api_key"]}}
    await change(client, "PUT", "/api/routes/split", split)
    answer = await client.get("/api/routes")
    body = await answer.json()
    assert answer.headers["ETag"] == f'"{body["version"]}"' == f'"{gateway.version + 3}"'
    assert body["routes"] == [
        {"name": "orders", "match": {"path": "/orders/*"}, "to": ["orders"], "reply": None, "policies": []},
        {"name": "gone", "match": {"path": "/old"}, "to": [], "reply": 410, "policies": []},
        {"name": "split", "match": {"path": "/split"}, "to": ["orders"], "reply": None, "policies": ["auth"]},
    ]
    consumers = (await part(client, "/api/consumers"))["consumers"]
    assert consumers == [{"name": "app", "tier": "gold", "scopes": ["read"], "keys": 1, "subjects": 0}]
    for path in ("/api/routes", "/api/consumers", "/api/routes/gone"):
        again = await client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")


async def test_every_change_of_a_part_leaves_a_line(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    await change(client, "PUT", "/api/routes/new?note=for+the+shop", ROUTE)
    await change(client, "DELETE", "/api/upstreams/orders")
    await change(client, "PATCH", "/api/routes/new", {"name": "other"})
    lines = [json.loads(line.partition("audit: ")[2]) for line in gateway.log.lines() if "audit: " in line]
    assert [(line["what"], line["outcome"], line.get("note")) for line in lines] == [
        ("put route new", "accepted", "for the shop"),
        ("delete upstream orders", "refused", None),
        ("PATCH /api/routes/new", "refused", None),
    ]

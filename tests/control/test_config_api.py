"""The calls about the document as a whole, over a control process without workers."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from fastgw.ipc import messages
from tests.control.harness import Gateway
from tests.control.test_api import problem
from tests.control.test_process import Worker

NOTHING = {"added": [], "changed": [], "removed": [], "truncated": False}


async def document(client: aiohttp.ClientSession) -> tuple[dict[str, Any], str]:
    answer = await client.get("/api/config")
    assert answer.status == 200
    return await answer.json(), answer.headers["ETag"]


async def put(client: aiohttp.ClientSession, body: object, tag: str | None, **query: str) -> aiohttp.ClientResponse:
    fields = {} if tag is None else {"If-Match": tag}
    return await client.put("/api/config", json=body, headers=fields, params=query)


async def test_a_document_is_published(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    body, tag = await document(client)
    body["routes"].append({"name": "gone", "match": {"path": "/old/*"}, "reply": {"status": 410}})
    answer = await put(client, body, tag, note="no more /old")
    assert answer.status == 200
    outcome = await answer.json()
    assert answer.headers["ETag"] == f'"{gateway.version + 1}"'
    changes = outcome.pop("changes")
    assert outcome.pop("hash") != gateway.document.hash
    assert outcome == {
        "version": gateway.version + 1,
        "changed": True,
        "routes": ["gone"],
        "needs_restart": [],
        "dry_run": False,
        "workers": {"serving": 0, "of": 0},
    }
    assert changes == {"added": ["route:gone"], "changed": [], "removed": [], "total": 1}
    now, tag = await document(client)
    assert now["routes"][-1]["name"] == "gone" and tag == f'"{gateway.version + 1}"'
    versions = (await (await client.get("/api/config/versions")).json())["versions"]
    assert [each["version"] for each in versions] == [gateway.version, gateway.version + 1]
    assert (versions[0]["by"], versions[0]["from_file"]) == ("start", True)
    newest = versions[1]
    assert (newest["by"], newest["note"], newest["from_file"]) == ("api, 127.0.0.1", "no more /old", False)
    assert newest["changes"] == changes and newest["at"] > 1e9


async def test_the_same_again_makes_no_version(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    body, tag = await document(client)
    for _ in range(2):
        answer = await put(client, body, tag)
        outcome = await answer.json()
        assert (answer.status, outcome["version"], outcome["changed"]) == (200, gateway.version, False)
    assert [each.number for each in gateway.store.list()] == [gateway.version]


async def test_a_lost_race_is_412_with_the_tag_to_build_on(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    body, tag = await document(client)
    assert (await put(client, {**body, "instance": "two"}, tag)).status == 200
    lost = await put(client, {**body, "instance": "three"}, tag)
    refusal = await problem(lost)
    assert (lost.status, refusal["reason"], refusal["version"]) == (412, "version_conflict", gateway.version + 1)
    assert lost.headers["ETag"] == f'"{gateway.version + 1}"'
    assert (await put(client, {**body, "instance": "three"}, lost.headers["ETag"])).status == 200


async def test_of_two_publishers_at_once_one_wins(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    body, tag = await document(client)
    answers = await asyncio.gather(*(put(client, {**body, "instance": f"i{n}"}, tag) for n in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412, 412]
    assert [each.number for each in gateway.store.list()] == [gateway.version, gateway.version + 1]


async def test_without_if_match_nothing_is_published(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    body, _ = await document(client)
    answer = await put(client, {**body, "instance": "two"}, None)
    assert (answer.status, (await problem(answer))["reason"]) == (428, "precondition_required")
    assert [each.number for each in gateway.store.list()] == [gateway.version]


@pytest.mark.parametrize(
    ("tag", "status"),
    [("*", 200), ('"1"', 200), ('"9", "1"', 200), ('"9","8"', 412), ('W/"1"', 412), ('"x"', 412), ("1", 400),
     ('"1', 400), ("", 400), ('*, "1"', 400), ('"' + "9" * 4000 + '"', 412)],
)  # fmt: skip
async def test_if_match(client: aiohttp.ClientSession, tag: str, status: int) -> None:
    body, _ = await document(client)
    answer = await put(client, {**body, "instance": "two"}, tag)
    assert answer.status == status


async def test_everything_that_is_wrong_is_said_at_once(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    body, tag = await document(client)
    body["colour"] = "red"
    body["workers"] = -1
    body["routes"][0]["upstream"] = "nowhere"
    answer = await put(client, body, tag)
    refusal = await problem(answer)
    assert (answer.status, refusal["reason"], refusal["version"]) == (422, "invalid_document", gateway.version)
    assert {error["path"] for error in refusal["errors"]} == {"colour", "workers", "routes[0].upstream"}
    assert all(error["message"] and set(error) == {"path", "message"} for error in refusal["errors"])
    assert (await document(client))[1] == tag


# Of a gateway for each there is no need: none of them changes it.
NO_DOCUMENTS = [
    (b"{", 400), (b"", 400), (b"\xff", 400), (b'{"a": 1, "a": 2}', 400), (b"[" * 70 + b"]" * 70, 400), (b"NaN", 400),
    (b"[" * 100_000, 400), (b"5", 422), (b"[]", 422), (b'"x"', 422), (b"null", 422), (b"{}", 422),
]  # fmt: skip


async def test_bodies_that_are_no_document(client: aiohttp.ClientSession) -> None:
    fields = {"If-Match": "*", "Content-Type": "application/json"}
    for body, status in NO_DOCUMENTS:
        answer = await client.put("/api/config", data=body, headers=fields)
        refusal = await problem(answer)
        assert (body[:20], answer.status) == (body[:20], status)
        assert refusal["errors"] and all(error["message"] for error in refusal["errors"])


async def test_a_form_cannot_publish(client: aiohttp.ClientSession) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/merge-patch+json"):
        answer = await client.put("/api/config", data=b"{}", headers={"If-Match": "*", "Content-Type": kind})
        assert (answer.status, (await problem(answer))["reason"]) == (415, "unsupported_media_type")


async def test_a_dry_run_changes_nothing_and_says_what_would(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    body, tag = await document(client)
    body["upstreams"]["orders"]["targets"] = ["http://127.0.0.1:9009"]
    answer = await put(client, body, tag, dry_run="true")
    outcome = await answer.json()
    assert (answer.status, outcome["dry_run"], outcome["changed"]) == (200, True, True)
    assert (outcome["version"], outcome["changes"]["changed"]) == (gateway.version, ["upstream:orders"])
    assert outcome["routes"] == ["orders"]
    assert (await document(client))[1] == tag
    wrong = await put(client, {**body, "colour": "red"}, tag, dry_run="true")
    assert wrong.status == 422


async def test_waiting_for_workers(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    worker = Worker(gateway, 0, gateway.version, gateway.document.hash)
    await worker.heard("addresses")
    body, tag = await document(client)
    late = await put(client, {**body, "instance": "two"}, tag, wait="10ms")
    assert (late.status, (await late.json())["workers"]) == (202, {"serving": 0, "of": 1})
    message = (await worker.heard("config")).message
    worker.channel.send(messages.applied(message["version"], message["hash"]))
    asking = asyncio.ensure_future(put(client, {**body, "instance": "three"}, late.headers["ETag"], wait="30s"))
    message = (await worker.heard("config")).message
    worker.channel.send(messages.applied(message["version"], message["hash"]))
    answer = await asking
    assert (answer.status, (await answer.json())["workers"]) == (200, {"serving": 1, "of": 1})
    at_once = await put(client, {**body, "instance": "four"}, "*")
    assert (at_once.status, (await at_once.json())["workers"]) == (200, {"serving": 0, "of": 1})
    worker.channel.close()


async def test_back_to_an_earlier_version(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    body, tag = await document(client)
    await put(client, {**body, "instance": "two"}, tag)
    answer = await client.post("/api/config/rollback", json={"version": gateway.version, "note": "two was wrong"})
    outcome = await answer.json()
    assert (answer.status, outcome["version"]) == (200, gateway.version + 2)
    assert (await document(client))[0]["instance"] == "one"
    newest = (await (await client.get("/api/config/versions?limit=1")).json())["versions"]
    assert [(each["version"], each["note"]) for each in newest] == [(gateway.version + 2, "two was wrong")]
    lost = await client.post(
        "/api/config/rollback", json={"version": gateway.version}, headers={"If-Match": tag}
    )
    assert lost.status == 412


NO_ROLLBACKS: list[tuple[object, int, list[str] | None]] = [
    ({"version": 99}, 404, None),
    ({"version": 0}, 422, ["version"]),
    ({"version": 10**18}, 422, ["version"]),
    ({"version": True}, 422, ["version"]),
    ({"version": "1", "note": 5, "colour": 1}, 422, ["colour", "version", "note"]),
    ({"version": 1, "note": "a\nb"}, 422, ["note"]),
    ({}, 422, ["version"]),
    ([], 422, [""]),
]


async def test_rollbacks_that_are_refused(client: aiohttp.ClientSession) -> None:
    for body, status, paths in NO_ROLLBACKS:
        answer = await client.post("/api/config/rollback", json=body)
        refusal = await problem(answer)
        assert (body, answer.status) == (body, status)
        assert paths is None or [error["path"] for error in refusal["errors"]] == paths


async def test_differences_of_versions_and_documents(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    body, tag = await document(client)
    body["routes"][0]["match"]["path"] = "/new/*"
    await put(client, body, tag)
    asked = {"from": gateway.version, "to": gateway.version + 1}
    answer = await client.post("/api/config/diff", json=asked)
    path = {"path": "routes.orders.match.path", "from": "/orders/*", "to": "/new/*"}
    assert (answer.status, await answer.json()) == (200, {**NOTHING, "changed": [path]})
    answer = await client.post("/api/config/diff", json={"from": gateway.version + 1, "to": body})
    assert await answer.json() == NOTHING
    answer = await client.post("/api/config/diff", json={"from": 99, "to": body})
    assert answer.status == 404
    answer = await client.post("/api/config/diff", json={"from": "x"})
    assert [error["path"] for error in (await problem(answer))["errors"]] == ["from", "to"]


async def test_unknown_parameters_are_named(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/api/config/versions?limit=0&limt=3&limit=4")
    refusal = await problem(answer)
    assert (answer.status, refusal["reason"]) == (422, "invalid_query")
    assert {error["path"] for error in refusal["errors"]} == {"query.limit", "query.limt"}
    assert "there are limit" in json.dumps(refusal)
    answer = await client.get("/api/status?x=1")
    assert "this call has none" in (await problem(answer))["errors"][0]["message"]


WRONG_QUERIES = [
    "wait=5", "wait=61s", "wait=", "wait=1s&wait=2s", "dry_run=yes", "dry_run", "note=" + "x" * 501, "note=a%0Ab",
]  # fmt: skip


async def test_parameters_that_are_wrong(client: aiohttp.ClientSession) -> None:
    for query in WRONG_QUERIES:
        answer = await client.put(f"/api/config?{query}", json={}, headers={"If-Match": "*"})
        refusal = await problem(answer)
        assert (query, answer.status, refusal["reason"]) == (query, 422, "invalid_query")
        assert [error["path"] for error in refusal["errors"]] == ["query." + query.partition("=")[0]]


async def test_a_store_that_takes_nothing_changes_nothing(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    body, tag = await document(client)
    (gateway.folder / "versions").rename(gateway.folder / "elsewhere")
    (gateway.folder / "versions").write_text("no folder")
    answer = await put(client, {**body, "instance": "two"}, tag)
    assert (answer.status, (await problem(answer))["reason"]) == (503, "store_unavailable")
    assert (await document(client))[1] == tag


async def test_every_change_leaves_a_line(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    body, tag = await document(client)
    await put(client, {**body, "instance": "two"}, tag)
    await put(client, {**body, "instance": "three"}, tag)
    await put(client, {**body, "instance": "three"}, None)
    await client.post("/api/config/diff", json={})
    lines = [json.loads(line.partition("audit: ")[2]) for line in gateway.log.lines() if "audit: " in line]
    assert [(line["by"], line["what"], line["outcome"]) for line in lines] == [
        ("api, 127.0.0.1", "publish", "accepted"),
        ("api, 127.0.0.1", "publish", "refused"),
        ("api, 127.0.0.1", "PUT /api/config", "refused"),
    ]

import io
import json
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fastgw import __version__
from fastgw.account.families import REQUESTS
from fastgw.account.series import Word
from tests.control.harness import Gateway

CALLS = ["/livez", "/readyz", "/metrics", "/api/status", "/api/config"]


async def problem(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = json.loads(await answer.read())
    assert body["status"] == answer.status and body["title"] and body["detail"]
    assert body["type"] == f"urn:fastgw:reason:{body['reason']}"
    return body


async def test_livez(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/livez")
    assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_readyz_says_why_not(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert (await problem(answer))["detail"] == "no worker is serving"
    gateway.serve()
    answer = await client.get("/readyz")
    assert (answer.status, await answer.text()) == (200, "ready\n")


async def test_metrics_are_prometheus_text(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    slot = gateway.series.slot(0)
    slot.cells[slot.counter(REQUESTS, ("orders", "GET", "200", "upstream"))] += 5
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(await answer.text())}
    (sample,) = families["fastgw_requests"].samples
    assert sample.value == 5 and sample.labels["route"] == "orders"


async def test_status(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    gateway.serve()
    slot = gateway.series.slot(1)
    for word, value in (
        (Word.CONNECTIONS, 4),
        (Word.IN_FLIGHT, 2),
        (Word.LOOP_LAG_US, 2500),
        (Word.RSS_BYTES, 9),
    ):
        slot.set(word, value)
    gateway.series.slot(0).set(Word.LOG_DROPPED, 3)
    gateway.series.slot(3).set(Word.PID, 55)
    status = await (await client.get("/api/status")).json()
    assert (status["version"], status["hash"]) == (gateway.version, gateway.document.hash)
    assert [worker["index"] for worker in status["workers"]] == [0, 1]
    worker = status["workers"][1]
    assert worker.pop("age_s") > 0 and worker.pop("uptime_s") == 0
    assert worker == {
        "index": 1, "pid": 1001, "version": gateway.version, "connections": 4, "in_flight": 2,
        "loop_lag_ms": 2.5, "rss_bytes": 9, "state": "serving", "respawns": 0,
    }  # fmt: skip
    assert status["redis"] is None and status["last_reload"] is None
    assert status["control"]["restarts"] == 3 and status["control"]["rss_bytes"] > 0
    assert status["logger"] == {"pid": 55, "restarts": 0, "lines_dropped": 3}


async def test_config_is_the_document_with_its_version_as_etag(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    answer = await client.get("/api/config")
    assert answer.headers["ETag"] == f'"{gateway.version}"'
    body = await answer.json()
    assert body["instance"] == "one" and body["routes"][0]["name"] == "orders"
    again = await client.get("/api/config", headers={"If-None-Match": f'"7", "{gateway.version}"'})
    assert (again.status, await again.read()) == (304, b"")
    assert (await client.get("/api/config", headers={"If-None-Match": '"0"'})).status == 200


async def test_config_of_an_earlier_version(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    first = gateway.version
    gateway.write(instance="two")
    assert (await client.post("/api/reload", json={})).status == 200
    answer = await client.get("/api/config", params={"version": str(first)})
    assert (answer.headers["ETag"], (await answer.json())["instance"]) == (f'"{first}"', "one")
    answer = await client.get("/api/config")
    assert (answer.headers["ETag"], (await answer.json())["instance"]) == (f'"{first + 1}"', "two")


@pytest.mark.parametrize("version", ["99", "0"])
async def test_a_version_that_does_not_exist(client: aiohttp.ClientSession, version: str) -> None:
    answer = await client.get("/api/config", params={"version": version})
    assert (answer.status, (await problem(answer))["reason"]) == (404, "not_found")


@pytest.mark.parametrize("version", ["", "-1", "1.0", "x", "٣", "9" * 5000, "../1"])
async def test_a_version_that_is_no_number(client: aiohttp.ClientSession, version: str) -> None:
    answer = await client.get("/api/config", params={"version": version})
    body = await problem(answer)
    assert (answer.status, body["reason"]) == (422, "invalid_query")
    assert [error["path"] for error in body["errors"]] == ["query.version"]


async def test_a_damaged_version_is_named(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    gateway.write(instance="two")
    assert (await client.post("/api/reload", json={})).status == 200
    (gateway.folder / "versions" / "00000001.json").write_bytes(b"damaged")
    answer = await client.get("/api/config?version=1")
    assert (answer.status, (await problem(answer))["reason"]) == (503, "store_unavailable")
    assert (await client.get("/api/config")).status == 200


async def test_what_does_not_exist_is_404_and_a_wrong_method_405(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/api/nothing")
    assert (answer.status, (await problem(answer))["reason"]) == (404, "not_found")
    answer = await client.post("/livez", data=b"x")
    assert (answer.status, (await problem(answer))["reason"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD"
    answer = await client.get("/api/reload")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_every_answer_is_uncached_and_names_no_library(client: aiohttp.ClientSession) -> None:
    for path in (*CALLS, "/nothing"):
        answer = await client.get(path)
        assert answer.headers["Server"] == "fastgw" and "aiohttp" not in str(answer.headers)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert __version__ not in answer.headers["Server"]


@pytest.mark.parametrize("path", [*CALLS, "/nothing"])
async def test_foreign_pages_get_nothing(client: aiohttp.ClientSession, path: str) -> None:
    for fields in (
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        answer = await client.get(path, headers=fields)
        assert answer.status == 403
        assert (await problem(answer))["reason"] in {"host_not_allowed", "foreign_origin"}


async def test_a_foreign_page_cannot_reload(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    gateway.write(instance="two")
    answer = await client.post("/api/reload", json={}, headers={"Origin": "http://evil.example"})
    assert answer.status == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = await client.post("/api/reload", data=b"{}", headers={"Content-Type": kind})
        assert (answer.status, (await problem(answer))["reason"]) == (415, "unsupported_media_type")
    status = await (await client.get("/api/status")).json()
    assert status["version"] == gateway.version and status["last_reload"] is None


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
async def test_reload_publishes_a_changed_file(
    gateway: Gateway, client: aiohttp.ClientSession, kind: str
) -> None:
    gateway.write(instance="two")
    answer = await client.post("/api/reload", data=b"{}", headers={"Content-Type": kind})
    assert answer.status == 200
    body = await answer.json()
    assert (body["version"], body["changed"]) == (gateway.version + 1, True)
    again = await (await client.post("/api/reload", json={})).json()
    assert (again["version"], again["changed"]) == (gateway.version + 1, False)
    status = await (await client.get("/api/status")).json()
    assert status["version"] == gateway.version + 1
    assert status["last_reload"]["ok"] and status["last_reload"]["by"] == "api, 127.0.0.1"


async def test_a_broken_file_changes_nothing_and_is_told_everywhere(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    before = await (await client.get("/api/config")).read()
    gateway.write(gateway.path.read_text() + "colour: red\nworkres: 3\n")
    answer = await client.post("/api/reload", json={})
    body = await problem(answer)
    assert (answer.status, body["reason"], body["version"]) == (422, "invalid_document", gateway.version)
    assert [error["path"] for error in body["errors"]] == ["colour", "workres"]
    assert all(
        error["line"] and error["message"] and error["file"].endswith(".yaml") for error in body["errors"]
    )
    status = await (await client.get("/api/status")).json()
    assert status["version"] == gateway.version
    assert not status["last_reload"]["ok"] and len(status["last_reload"]["errors"]) == 2
    assert await (await client.get("/api/config")).read() == before
    assert [version.number for version in gateway.store.list()] == [gateway.version]
    assert any("colour" in line for line in gateway.log.lines())
    # The cure works.
    gateway.write(instance="two")
    assert (await client.post("/api/reload", json={})).status == 200


async def test_a_missing_file_is_refused(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    gateway.path.unlink()
    answer = await client.post("/api/reload", json={})
    assert answer.status == 422
    assert "no such file" in (await problem(answer))["errors"][0]["message"]


async def test_a_change_that_needs_a_restart_is_said(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    gateway.write(gateway.path.read_text().replace("workers: 2", "workers: 3"))
    body = await (await client.post("/api/reload", json={})).json()
    assert body["needs_restart"] == ["workers"]
    assert any("restart: workers" in line for line in gateway.log.lines())


async def test_a_body_that_is_too_large_is_refused(client: aiohttp.ClientSession) -> None:
    answer = await client.post(
        "/api/reload", data=io.BytesIO(b"x" * (1024 * 1024 + 1)), headers={"Content-Type": "application/json"}
    )
    assert (answer.status, (await problem(answer))["reason"]) == (413, "body_too_large")


async def test_head_is_get_without_a_body(client: aiohttp.ClientSession) -> None:
    answer = await client.head("/api/status")
    assert (answer.status, await answer.read()) == (200, b"")

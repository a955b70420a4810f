"""GET /api/upstreams and POST /api/upstreams/{name}/breaker over a control process with two workers."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from fastgw.control.health_check import Verdict
from fastgw.ipc import messages
from fastgw.ipc.channel import Channel, Received, pair
from tests.control.harness import Gateway, receive
from tests.control.test_api import problem

MORE = """\
  sick:
    targets: ["http://10.0.0.8:80", {url: "http://10.0.0.9:80", weight: 3}]
    balance: round_robin
    breaker: {failures: 3}
    health: {interval: 100ms, timeout: 100ms, unhealthy_after: 2, healthy_after: 1}
  nowhere: {targets: ["http://nowhere.internal:80"]}
routes:
  - {name: sick, match: {path: /sick}, upstream: sick}
  - {name: nowhere, match: {path: /nowhere}, upstream: nowhere}
"""


class Worker:
    def __init__(self, gateway: Gateway, index: int) -> None:
        ours, theirs = pair()
        gateway.supervisor.send(messages.worker(index, 1000 + index), fd=ours.fileno())
        ours.close()
        self.channel = Channel(theirs)
        self.inbox: list[Received] = []
        self.channel.send(messages.hello(index, 1000 + index, 0, ""))

    async def heard(self, kind: str) -> dict[str, Any]:
        return (await receive(self.channel, self.inbox, kind)).message

    async def serves_another(self) -> None:
        document = await self.heard("config")
        self.channel.send(messages.applied(document["version"], document["hash"]))


@pytest.fixture
async def workers(gateway: Gateway, client: aiohttp.ClientSession) -> AsyncIterator[list[Worker]]:
    """Two, with the document that has MORE in it."""
    gateway.resolved["nowhere.internal"] = []
    gateway.verdicts["10.0.0.9"] = Verdict(False, "connection refused")
    text = gateway.path.read_text()
    gateway.path.write_text(text.replace("routes:\n", MORE))
    answer = await client.post("/api/reload", json={})
    assert answer.status == 200, await answer.text()
    made = [Worker(gateway, 0), Worker(gateway, 1)]
    for worker in made:
        await worker.heard("config")
    yield made
    for worker in made:
        worker.channel.close()


async def upstream(client: aiohttp.ClientSession, name: str) -> dict[str, Any]:
    body = await (await client.get("/api/upstreams")).json()
    (found,) = [each for each in body["upstreams"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


async def force(client: aiohttp.ClientSession, name: str, **body: Any) -> aiohttp.ClientResponse:
    return await client.post(f"/api/upstreams/{name}/breaker", json=body)


async def test_health_is_told_to_workers_and_shown(workers: list[Worker], client: aiohttp.ClientSession) -> None:
    for worker in workers:
        while (message := await worker.heard("health"))["address"] != "10.0.0.9":
            pass
        assert message == messages.health("sick", "10.0.0.9", 80, "10.0.0.9", False, "connection refused")
    shown = await upstream(client, "sick")
    good, sick = shown["targets"]
    assert shown["balance"] == "round_robin" and shown["forced"] is None
    assert sick.pop("checked_at") > 1e9 and sick.pop("changed_at") > 1e9
    assert [each.pop("state") for each in sick.pop("breaker")] == ["closed", "closed"]
    assert sick == {
        "target": "10.0.0.9:80", "url": "http://10.0.0.9:80", "weight": 3, "address": "10.0.0.9",
        "healthy": False, "cause": "connection refused", "forced": None,
    }  # fmt: skip
    assert good["healthy"] is True and good["changed_at"] is None
    status = await (await client.get("/api/status")).json()
    assert "sick: 1 of 2 targets unhealthy" in status["upstreams"]


async def test_a_worker_that_is_born_later_is_told_of_sick_targets(
    gateway: Gateway, workers: list[Worker]
) -> None:
    while (await workers[0].heard("health"))["address"] != "10.0.0.9":
        pass
    late = Worker(gateway, 1)
    while (message := await late.heard("health"))["address"] != "10.0.0.9":
        pass
    assert message["healthy"] is False
    late.channel.close()


async def test_upstreams_without_checks_and_breakers_say_so(
    workers: list[Worker], client: aiohttp.ClientSession
) -> None:
    shown = await upstream(client, "orders")
    assert shown["breaker"] is None
    (target,) = shown["targets"]
    assert (target["target"], target["healthy"], target["breaker"]) == ("10.0.0.1:9001", None, None)
    (target,) = (await upstream(client, "nowhere"))["targets"]
    assert (target["target"], target["address"], target["cause"]) == (None, None, "the name has no address")
    status = await (await client.get("/api/status")).json()
    assert "nowhere: 1 of 1 targets without an address" in status["upstreams"]


async def test_the_breakers_of_each_worker_are_shown_until_it_is_gone(
    gateway: Gateway, workers: list[Worker], client: aiohttp.ClientSession
) -> None:
    workers[1].channel.send(
        messages.breaker("sick", "10.0.0.8:80", "open", "3 failures", 1700000000.0, 1700000005.0, False)
    )
    workers[1].channel.send(messages.breaker("sick", "", "half_open", "probe due", 1700000009.0, 0.0, False))
    async with asyncio.timeout(10):
        while (await upstream(client, "sick"))["breaker"][1]["state"] == "closed":
            pass
    shown = await upstream(client, "sick")
    assert shown["breaker"] == [
        {"worker": 0, "state": "closed", "cause": "", "since": None, "probe_at": None, "forced": False},
        {"worker": 1, "state": "half_open", "cause": "probe due", "since": 1700000009.0, "probe_at": None,
         "forced": False},
    ]  # fmt: skip
    assert shown["targets"][0]["breaker"][1]["probe_at"] == 1700000005.0
    (line,) = [line for line in gateway.control.status.plain()["upstreams"] if line.startswith("sick")]  # type: ignore[attr-defined]  # plain values
    assert "breaker not closed in 1 of 2 workers" in line
    assert "breaker of 10.0.0.8:80 not closed in 1 of 2 workers" in line
    gateway.supervisor.send(messages.worker_gone(1, 1001))
    async with asyncio.timeout(10):
        while len((await upstream(client, "sick"))["breaker"]) == 2:
            pass
    assert [each["state"] for each in (await upstream(client, "sick"))["breaker"]] == ["closed"]


async def test_a_breaker_is_forced_in_every_worker_and_in_those_that_come(
    gateway: Gateway, workers: list[Worker], client: aiohttp.ClientSession
) -> None:
    answer = await force(client, "sick", state="open", **{"for": "30s"})
    body = await answer.json()
    assert answer.status == 200
    assert (body["upstream"], body["target"], body["state"], body["workers"]) == ("sick", None, "open", 2)
    fact = messages.force_breaker("sick", "", "open", body["until"])
    for worker in workers:
        assert await worker.heard("force_breaker") == fact
    late = Worker(gateway, 0)
    assert await late.heard("force_breaker") == fact
    late.channel.close()
    assert (await upstream(client, "sick"))["forced"] == {"state": "open", "until": body["until"]}
    assert any("breaker of sick is forced open for 30 s (api, 127.0.0.1)" in line for line in gateway.log.lines())


async def test_one_target_is_forced_and_left_to_itself_again(
    gateway: Gateway, workers: list[Worker], client: aiohttp.ClientSession
) -> None:
    answer = await force(client, "sick", state="closed", target="10.0.0.9:80", **{"for": "1h"})
    assert answer.status == 200
    assert (await workers[0].heard("force_breaker"))["target"] == "10.0.0.9:80"
    assert (await upstream(client, "sick"))["targets"][1]["forced"]["state"] == "closed"
    answer = await force(client, "sick", state="auto", target="10.0.0.9:80")
    assert (await answer.json())["until"] is None
    assert await workers[0].heard("force_breaker") == messages.force_breaker("sick", "10.0.0.9:80", "auto", 0.0)
    assert (await upstream(client, "sick"))["targets"][1]["forced"] is None


async def test_a_reload_that_takes_the_breaker_away_ends_what_was_forced(
    gateway: Gateway, workers: list[Worker], client: aiohttp.ClientSession
) -> None:
    await force(client, "sick", state="open", **{"for": "1h"})
    gateway.path.write_text(gateway.path.read_text().replace("    breaker: {failures: 3}\n", ""))
    reloading = asyncio.ensure_future(client.post("/api/reload", json={}))
    for worker in workers:
        await worker.serves_another()
    assert (await reloading).status == 200
    shown = await upstream(client, "sick")
    assert (shown["breaker"], shown["forced"]) == (None, None)


@pytest.mark.parametrize(
    ("name", "body", "status", "reason", "word"),
    [
        ("nothing", {"state": "auto"}, 404, "not_found", "no upstream nothing"),
        ("orders", {"state": "auto"}, 409, "no_breaker", "has no breaker"),
        ("sick", {"state": "auto", "target": "10.0.0.7:80"}, 404, "not_found", "there are 10.0.0.8:80, 10.0.0.9:80"),
        ("sick", [], 422, "invalid_request", "object"),
        ("sick", None, 422, "invalid_request", "object"),
        ("sick", {}, 422, "invalid_request", "open, closed or auto"),
        ("sick", {"state": "half_open", "for": "30s"}, 422, "invalid_request", "open, closed or auto"),
        ("sick", {"state": ["open"], "for": "30s"}, 422, "invalid_request", "open, closed or auto"),
        ("sick", {"state": "open"}, 422, "invalid_request", "1s to 24h"),
        ("sick", {"state": "closed", "for": None}, 422, "invalid_request", "1s to 24h"),
        ("sick", {"state": "open", "for": 30}, 422, "invalid_request", "1s to 24h"),
        ("sick", {"state": "open", "for": "999ms"}, 422, "invalid_request", "1s to 24h"),
        ("sick", {"state": "open", "for": "25h"}, 422, "invalid_request", "1s to 24h"),
        ("sick", {"state": "open", "for": "-1s"}, 422, "invalid_request", "1s to 24h"),
        ("sick", {"state": "open", "for": "9" * 5000 + "s"}, 422, "invalid_request", "1s to 24h"),
        ("sick", {"state": "open", "for": "30s\n"}, 422, "invalid_request", "1s to 24h"),
        ("sick", {"state": "auto", "for": "30s"}, 422, "invalid_request", "leave for away"),
        ("sick", {"state": "open", "for": "30s", "target": ""}, 422, "invalid_request", "label"),
        ("sick", {"state": "open", "for": "30s", "target": 7}, 422, "invalid_request", "label"),
        ("sick", {"state": "open", "for": "30s", "until": 1}, 422, "invalid_request", "nknown: until"),
    ],
)
async def test_a_wish_that_is_not_right_is_refused_and_changes_nothing(
    workers: list[Worker], client: aiohttp.ClientSession, name: str, body: Any, status: int, reason: str, word: str
) -> None:
    kind = {"Content-Type": "application/json"}
    answer = await client.post(f"/api/upstreams/{name}/breaker", data=json.dumps(body), headers=kind)
    refused = await problem(answer)
    assert (answer.status, refused["reason"]) == (status, reason)
    assert word in refused["detail"]
    shown = await upstream(client, "sick")
    assert shown["forced"] is None and all(each["forced"] is None for each in shown["targets"])


@pytest.mark.parametrize("duration", ["1s", "24h"])
async def test_the_bounds_of_a_wish_are_inside(
    workers: list[Worker], client: aiohttp.ClientSession, duration: str
) -> None:
    assert (await force(client, "sick", state="open", **{"for": duration})).status == 200


async def test_a_body_that_is_no_json_and_one_of_a_foreign_page(
    workers: list[Worker], client: aiohttp.ClientSession
) -> None:
    path = "/api/upstreams/sick/breaker"
    answer = await client.post(path, data=b"{state", headers={"Content-Type": "application/json"})
    assert (answer.status, (await problem(answer))["reason"]) == (400, "bad_request")
    answer = await client.post(path, data=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status, (await problem(answer))["reason"]) == (415, "unsupported_media_type")
    wish = {"state": "open", "for": "30s"}
    answer = await client.post(path, json=wish, headers={"Origin": "http://evil.example"})
    assert answer.status == 403
    assert (await client.get(path)).status == 405
    assert (await upstream(client, "sick"))["forced"] is None

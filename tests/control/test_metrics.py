"""/metrics and /api/overview of a control process: what its parts know arrives there."""

from __future__ import annotations

import aiohttp
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.control.harness import Gateway


async def scraped(client: aiohttp.ClientSession) -> dict[str, float]:
    async with client.get("/metrics") as answer:
        return {
            one.name: one.value
            for family in parse(await answer.text())
            for one in family.samples
            if not one.labels
        }


async def test_metrics_are_packed_when_asked(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics", headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "fastgw_build_info{" in await answer.text()
    async with client.get("/metrics", headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers


async def test_openmetrics_is_served(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics", headers={"Accept": "application/openmetrics-text"}) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert (await answer.text()).endswith("# EOF\n")


async def test_the_state_of_the_gateway_is_in_it(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    before = await scraped(client)
    assert before["fastgw_ready"] == 0  # no worker serves yet
    assert (
        before["fastgw_start_time_seconds"] == before["fastgw_config_last_publish_timestamp_seconds"] == 1.0
    )
    assert before["fastgw_control_restarts_total"] == 3
    assert before["fastgw_config_published_version"] == gateway.version
    assert before["fastgw_config_last_reload_successful"] == 1
    gateway.serve()
    assert (await scraped(client))["fastgw_ready"] == 1


async def test_a_publish_and_a_refused_file_are_in_it(
    gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    gateway.write(instance="two")
    await gateway.control.publisher.reload("test")
    after = await scraped(client)
    assert after["fastgw_config_published_version"] == gateway.version + 1
    assert after["fastgw_config_last_publish_timestamp_seconds"] > 1_600_000_000
    gateway.write("routes: 7\n")
    await gateway.control.publisher.reload("test")
    assert (await scraped(client))["fastgw_config_last_reload_successful"] == 0


async def test_who_looks_on_is_counted(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    async with client.get("/api/tail") as answer:
        assert answer.status == 200
        assert (await scraped(client))["fastgw_tail_watchers"] == 1


async def test_the_overview_is_served(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    async with client.get("/api/overview") as answer:
        seen = await answer.json()
    assert seen["version"] == gateway.version
    assert set(seen) == {
        *("at", "interval_s", "version", "points", "routes", "upstreams", "reasons", "limits", "truncated")
    }

"""What an attacker on the loopback and the worst night do to control: found by reading, kept as tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from fastgw.config.errors import ConfigError
from fastgw.control.live import Live
from fastgw.control.tail import filters_of
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.publish import document_of
from fastgw.ipc.channel import MAX_PACKET
from fastgw.ipc.messages import Message
from tests.control.harness import Gateway, ReadableLog
from tests.control.publishing import PLAIN, Bench

ANY = {"If-Match": "*", "Content-Type": "application/json"}


@pytest.fixture
async def bench(tmp_path: Path, log: ReadableLog) -> Bench:
    return Bench(tmp_path, log)


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


async def test_numbers_never_go_back_where_the_store_was_lost(bench: Bench, tmp_path: Path) -> None:
    """What `If-Match: "3"` means is one content for ever, and a worker that serves 3 does not serve a new 1."""
    for name in ("two", "three"):
        await bench.publisher.publish(bench.sent(instance=name), by="me")
    shutil.rmtree(tmp_path)
    outcome = await bench.publisher.publish(bench.sent(instance="four"), by="me", expected=3)
    assert (outcome.version, bench.version, bench.other.newest_number()) == (4, 4, 4)
    served = bench.other.get(3)
    assert served is not None and served.plain["instance"] == "three"


async def test_a_reload_does_not_go_back_either(bench: Bench, tmp_path: Path) -> None:
    await bench.publisher.publish(bench.sent(instance="two"), by="me")
    for number in (1, 2):
        (tmp_path / f"{number:08}.json").unlink()
    (tmp_path / "gateway.yaml").write_bytes(orjson.dumps({**PLAIN, "instance": "file"}))
    outcome = await bench.publisher.reload("HUP")
    assert (outcome.ok, outcome.version, bench.version) == (True, 3, 3)
    assert bench.history.current.document.base.instance == "file"


TEST = {"request": "GET http://a.example/up", "expect": {"status": 200}}  # the health_path of one machine's listener


async def test_the_tests_of_a_version_were_run_where_it_was_published(bench: Bench, tmp_path: Path) -> None:
    """What passes by a machine's own listeners must neither keep another from following nor from starting."""
    plain = {**PLAIN, "tests": [TEST]}
    with pytest.raises(ConfigError, match=r"tests\[0\]"):
        await bench.publisher.publish(bench.sent(tests=[TEST]), by="me")
    digest = load_plain(plain, "elsewhere", tested=False).hash
    version = bench.other.add(plain, digest, "another machine", "", False)
    assert await bench.publisher.follow(version)
    assert bench.version == 2
    assert document_of(version, bench.store, load_plain(PLAIN, "file")).hash == digest
    with pytest.raises(ConfigError, match=r"tests\[0\]"):
        await bench.publisher.publish(bench.sent(instance="three"), by="me")

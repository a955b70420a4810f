"""Reloads of the file. What comes through the admin API and from other gateways: test_publishing.py."""

from __future__ import annotations

import asyncio
from typing import Any

from fastgw.versions.store import FileStore
from tests.control.harness import Gateway, make_document


async def reload(gateway: Gateway) -> dict[str, Any]:
    outcome = await gateway.control.publisher.reload("test")
    return outcome.plain()


async def test_a_changed_file_becomes_the_next_version(gateway: Gateway) -> None:
    gateway.write(instance="two")
    outcome = await reload(gateway)
    assert (outcome["ok"], outcome["changed"], outcome["version"]) == (True, True, 2)
    stored = gateway.store.get(2)
    assert stored is not None and stored.plain["instance"] == "two" and stored.by == "test"


async def test_the_warnings_of_a_new_version_are_said_once(gateway: Gateway) -> None:
    gateway.write()
    gateway.write(gateway.path.read_text().replace("upstream: orders}", "upstream: orders, auth: {any: [api_key]}}"))
    for _ in range(2):
        assert (await reload(gateway))["ok"]
    (line,) = [line for line in gateway.log.lines() if "warning" in line]
    assert line.startswith("control: warning: ")
    assert "routes[0].auth.any: no consumer has a key" in line


async def test_an_unchanged_file_is_no_new_version(gateway: Gateway) -> None:
    outcome = await reload(gateway)
    assert (outcome["ok"], outcome["changed"], outcome["version"]) == (True, False, 1)
    assert len(gateway.store.list()) == 1


async def test_an_unchanged_file_does_not_undo_what_the_store_has(gateway: Gateway) -> None:
    other = make_document(instance="from-elsewhere", store=f"file:{gateway.folder / 'versions'}")
    gateway.store.add(other.plain, other.hash, "somebody", "", False)
    outcome = await reload(gateway)
    assert (outcome["ok"], outcome["changed"], outcome["version"]) == (True, True, 2)
    assert gateway.control.publisher.last_reload is not None


async def test_reloads_at_the_same_time_are_done_one_after_the_other(gateway: Gateway) -> None:
    gateway.write(instance="two")
    outcomes = await asyncio.gather(*(reload(gateway) for _ in range(4)))
    assert [outcome["version"] for outcome in outcomes] == [2] * 4
    assert [outcome["changed"] for outcome in outcomes] == [True, False, False, False]


async def test_a_store_that_cannot_be_used_refuses_the_reload_and_says_so(gateway: Gateway) -> None:
    folder = gateway.folder / "versions"
    (folder / "00000001.json").write_bytes(b"damaged\n")
    gateway.write(instance="two")
    outcome = await reload(gateway)
    assert (outcome["ok"], outcome["version"]) == (False, 1)
    assert "00000001.json is damaged" in outcome["errors"][0]
    assert any("is damaged" in line for line in gateway.log.lines())


async def test_all_errors_are_in_the_outcome_and_the_log_is_not_flooded(gateway: Gateway) -> None:
    gateway.write(gateway.path.read_text() + "".join(f"odd-{number}: 1\n" for number in range(30)))
    outcome = await reload(gateway)
    assert len(outcome["errors"]) == 30
    lines = gateway.log.lines()
    assert (
        len(lines) == 23 and lines[0].startswith("control: reload refused") and lines[-2] == "  and 10 more"
    )
    assert lines[-1].startswith("audit: ")


async def test_a_restart_is_asked_for_until_the_document_is_as_at_the_start_again(gateway: Gateway) -> None:
    before = gateway.path.read_text()
    gateway.write(before.replace("workers: 2", "workers: 3"))
    assert (await reload(gateway))["needs_restart"] == ["workers"]
    assert (await reload(gateway))["needs_restart"] == ["workers"]
    gateway.write(before)
    assert (await reload(gateway))["needs_restart"] == []
    assert isinstance(gateway.store, FileStore)

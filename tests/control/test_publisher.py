import asyncio
from typing import Any

import pytest

from fastgw.config.errors import ConfigError
from fastgw.control.publisher import NoSuchVersion, Raced, needs_restart
from fastgw.gateway.document.masking import masked
from fastgw.gateway.document.model import Plain
from fastgw.gateway.document.process import RedisOptions
from fastgw.versions.store import FileStore
from fastgw.versions.version import Changes
from tests.control.harness import Gateway, make_document


@pytest.mark.parametrize(
    ("more", "keys"),
    [
        ({}, ()),
        ({"drain": {"timeout": "5s"}, "server": {"max_body": "1MB"}, "trusted_proxies": ["10.0.0.0/8"]}, ()),
        ({"listeners": [{"address": "127.0.0.1:8080", "health_path": "/up"}]}, ()),
        ({"listeners": [{"address": "127.0.0.1:8081"}]}, ("listeners",)),
        ({"workers": 7}, ("workers",)),
        ({"admin": {"address": "127.0.0.1:9902"}}, ("admin.address",)),
        ({"admin": {"token": "x" * 32}}, ()),
        ({"store": "file:/elsewhere", "log": {"access": "none"}}, ("store", "log.access")),
    ],
)
def test_what_needs_a_restart(more: dict[str, Any], keys: tuple[str, ...]) -> None:
    assert needs_restart(make_document().base, make_document(**more).base) == keys


EMBEDDED, ONE, OTHER = {"url": "embedded"}, {"url": "redis://one"}, {"url": "redis://other"}
PATIENT = {"url": "embedded", "timeout": "50ms"}


@pytest.mark.parametrize(
    ("running", "wanted", "keys"),
    [
        (None, ONE, ()),
        (ONE, OTHER, ()),
        (ONE, None, ()),
        (EMBEDDED, PATIENT, ()),
        (None, EMBEDDED, ("redis.url",)),
        (ONE, EMBEDDED, ("redis.url",)),
        (EMBEDDED, ONE, ("redis.url",)),
        (EMBEDDED, None, ("redis.url",)),
    ],
)
def test_the_embedded_server_comes_and_goes_with_a_restart(running: Any, wanted: Any, keys: tuple[str, ...]) -> None:
    base = make_document().base
    before, after = (
        base.model_copy(update={"redis": each and RedisOptions(**each)}) for each in (running, wanted)
    )
    assert needs_restart(before, after) == keys


def test_versions_stay_on_their_server_until_a_restart() -> None:
    def base(**redis: str) -> Any:
        return make_document(store="redis", redis=redis).base

    here = base(url="redis://one")
    assert needs_restart(here, base(url="redis://one", timeout="50ms")) == ()
    assert needs_restart(here, base(url="redis://other")) == ("store",)
    assert needs_restart(here, base(url="redis://one", prefix="x:")) == ("store",)
    assert needs_restart(here, make_document().base) == ("store",)


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


def sent(gateway: Gateway, **more: Any) -> dict[str, Any]:
    """As whoever read the document and changes something of it."""
    plain = masked(gateway.control._history.current.document.plain)
    return {**plain, **more}


async def test_a_published_document_is_the_next_version(gateway: Gateway) -> None:
    publisher = gateway.control.publisher
    outcome = await publisher.publish(sent(gateway, instance="two"), by="api, me", note="why", expected=1)
    assert (outcome.ok, outcome.changed, outcome.version, outcome.routes) == (True, True, 2, ())
    assert outcome.changes == Changes((), ("base",), (), 1)
    stored = gateway.store.get(2)
    assert stored is not None
    assert (stored.by, stored.note, stored.from_file, stored.hash) == ("api, me", "why", False, outcome.hash)
    assert stored.plain["instance"] == "two"
    assert gateway.control._history.current.version == 2


async def test_the_same_document_again_is_no_new_version(gateway: Gateway) -> None:
    outcome = await gateway.control.publisher.publish(sent(gateway), by="me", expected=1)
    assert (outcome.ok, outcome.changed, outcome.version) == (True, False, 1)
    assert gateway.store.newest_number() == 1


async def test_a_dry_run_changes_nothing(gateway: Gateway) -> None:
    routes = [{"name": "new", "match": {"path": "/new"}, "reply": {"status": 204}}]
    outcome = await gateway.control.publisher.publish(sent(gateway, routes=routes), by="me", expected=1, dry_run=True)
    assert (outcome.changed, outcome.version, outcome.routes) == (True, 1, ("new", "orders"))
    assert (gateway.store.newest_number(), gateway.control._history.current.version) == (1, 1)


async def test_who_builds_on_an_old_version_is_told_the_newest(gateway: Gateway) -> None:
    publisher = gateway.control.publisher
    await publisher.publish(sent(gateway, instance="two"), by="me", expected=1)
    for expected in (1, 3, -1):
        with pytest.raises(Raced) as caught:
            await publisher.publish(sent(gateway, instance="three"), by="me", expected=expected)
        assert caught.value.newest == 2
    assert gateway.store.newest_number() == 2


async def test_of_two_at_once_one_wins(gateway: Gateway) -> None:
    publisher = gateway.control.publisher
    both = (publisher.publish(sent(gateway, instance=name), by=name, expected=1) for name in ("a", "b"))
    results = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["Outcome", "Raced"]


async def test_edit_and_rollback(gateway: Gateway) -> None:
    publisher = gateway.control.publisher

    def change(plain: Plain) -> Plain:
        plain["routes"][0]["max_body"] = "1KB"
        return plain

    outcome = await publisher.edit(change, by="me", expected=None)
    assert (outcome.version, outcome.routes) == (2, ("orders",))
    assert outcome.changes == Changes((), ("route:orders",), (), 1)
    outcome = await publisher.rollback(1, by="me", expected=2)
    assert (outcome.version, outcome.changed) == (3, True)
    one, three = gateway.store.get(1), gateway.store.get(3)
    assert one is not None and three is not None
    assert (three.plain, three.hash, three.note) == (one.plain, one.hash, "back to version 1")
    with pytest.raises(NoSuchVersion):
        await publisher.rollback(9, by="me", expected=None)


async def test_a_wrong_document_is_refused_whole(gateway: Gateway) -> None:
    with pytest.raises(ConfigError) as caught:
        await gateway.control.publisher.publish(sent(gateway, instance=3, odd=1), by="me", expected=1)
    assert {problem.path for problem in caught.value.problems} == {"instance", "odd"}
    assert gateway.store.newest_number() == 1

"""The publisher: what comes through the admin API, from the store and from other gateways; and that a failure anywhere
changes nothing. Reloads of the file: test_publisher.py."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from pathlib import Path

import pytest

from fastgw.config.errors import ConfigError
from fastgw.control.outcome import EditRefused, NoSuchVersion
from fastgw.gateway.document.masking import MASK
from fastgw.gateway.document.model import Plain
from fastgw.versions.version import Changes, Raced, StoreError
from tests.control.harness import ReadableLog
from tests.control.publishing import PLAIN, Bench, bounded


@pytest.fixture
async def bench(tmp_path: Path, log: ReadableLog) -> Bench:
    return Bench(tmp_path, log)


# --- what is published ---


async def test_a_published_document_is_the_next_version(bench: Bench) -> None:
    outcome = await bench.publisher.publish(bench.sent(instance="two"), by="api, me", note="why", expected=1)
    assert (outcome.ok, outcome.changed, outcome.version, outcome.routes) == (True, True, 2, ())
    assert outcome.changes == Changes((), ("base",), (), 1)
    assert outcome.hash == bench.history.current.hash
    stored = bench.store.get(2)
    assert stored is not None
    assert (stored.by, stored.note, stored.from_file, stored.hash) == ("api, me", "why", False, outcome.hash)
    assert stored.plain == {**PLAIN, "instance": "two"}
    assert stored.changes == outcome.changes
    assert [document.base.instance for document in bench.told] == ["two"]
    (audit,) = bench.audits()
    assert (audit["what"], audit["outcome"], audit["from"], audit["version"]) == ("publish", "accepted", 1, 2)
    assert (audit["by"], audit["note"], audit["changes"]) == ("api, me", "why", {"parts": 1, "names": ["base"]})


async def test_the_same_document_again_is_no_new_version(bench: Bench) -> None:
    outcome = await bench.publisher.publish(bench.sent(), by="me", expected=1)
    assert (outcome.ok, outcome.changed, outcome.version, outcome.changes) == (True, False, 1, Changes())
    bench.assert_untouched()
    assert [audit["outcome"] for audit in bench.audits()] == ["unchanged"]


async def test_a_dry_run_says_what_would_change_and_needs_no_store(bench: Bench) -> None:
    bench.store.broken = {"newest_number", "get", "add"}
    new = {"name": "new", "match": {"path": "/new"}, "reply": {"status": 204}}
    plain = bench.sent(routes=[new, *bench.sent()["routes"][:1]], workers=9)
    outcome = await bench.publisher.publish(plain, by="me", expected=1, dry_run=True)
    assert (outcome.ok, outcome.changed, outcome.version) == (True, True, 1)
    assert outcome.routes == ("gone", "new")
    assert outcome.changes == Changes(("route:new",), ("base",), ("route:gone",), 3)
    assert outcome.needs_restart == ("workers",)
    assert (bench.version, bench.told, bench.audits()) == (1, [], [])
    with pytest.raises(ConfigError):
        await bench.publisher.publish(bench.sent(odd=1), by="me", expected=1, dry_run=True)
    assert bench.audits() == []


async def test_who_builds_on_another_version_is_told_the_newest(bench: Bench) -> None:
    await bench.publisher.publish(bench.sent(instance="two"), by="me", expected=1)
    for dry in (False, True):
        for expected in (1, 3, -1):
            with pytest.raises(Raced) as caught:
                await bench.publisher.publish(bench.sent(instance="x"), by="me", expected=expected, dry_run=dry)
            assert caught.value.newest == 2
    bench.assert_untouched(2)
    assert [audit["outcome"] for audit in bench.audits()] == ["accepted", *["refused"] * 3]


async def test_of_many_at_once_one_wins(bench: Bench) -> None:
    all_of_them = (bench.publisher.publish(bench.sent(instance=f"i{n}"), by=f"{n}", expected=1) for n in range(5))
    results = await asyncio.gather(*all_of_them, return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["Outcome", *["Raced"] * 4]
    bench.assert_untouched(2)


async def test_without_an_expectation_all_win_one_after_the_other(bench: Bench) -> None:
    sizes = [f"{number}KB" for number in range(1, 6)]
    outcomes = await asyncio.gather(*(bench.publisher.edit(bounded(size=size), by="me") for size in sizes))
    assert sorted(outcome.version for outcome in outcomes) == [2, 3, 4, 5, 6]


async def test_a_part_is_changed_on_the_current_document(bench: Bench) -> None:
    outcome = await bench.publisher.edit(bounded(), by="me", what="patch route orders", expected=1)
    assert (outcome.version, outcome.routes) == (2, ("orders",))
    assert outcome.changes == Changes((), ("route:orders",), (), 1)
    stored = bench.store.get(2)
    assert stored is not None and stored.plain["issuers"] == PLAIN["issuers"]
    assert [audit["what"] for audit in bench.audits()] == ["patch route orders"]


async def test_what_a_change_refuses_changes_nothing(bench: Bench) -> None:
    def change(plain: Plain) -> Plain:
        plain["routes"].clear()  # a copy
        raise EditRefused(404, "not_found", "there is no route x")

    with pytest.raises(EditRefused):
        await bench.publisher.edit(change, by="me")
    bench.assert_untouched()
    assert len(bench.history.current.document.routes) == 2
    assert [audit["reason"] for audit in bench.audits()] == ["there is no route x"]


async def test_back_to_an_older_version(bench: Bench) -> None:
    await bench.publisher.edit(bounded(), by="me")
    outcome = await bench.publisher.rollback(1, by="me", expected=2)
    assert (outcome.version, outcome.changed, outcome.routes) == (3, True, ("orders",))
    one, three = bench.store.get(1), bench.store.get(3)
    assert one is not None and three is not None
    assert (three.plain, three.hash, three.note, three.from_file) == (one.plain, one.hash, "back to version 1", False)
    again = await bench.publisher.rollback(1, by="me", note="again")
    assert (again.version, again.changed) == (3, False)
    with pytest.raises(Raced):
        await bench.publisher.rollback(2, by="me", expected=2)
    with pytest.raises(NoSuchVersion):
        await bench.publisher.rollback(9, by="me")
    bench.assert_untouched(3)


async def test_everything_that_is_wrong_is_said_and_nothing_changes(bench: Bench) -> None:
    plain = bench.sent(workers="many", odd=1)
    plain["issuers"]["other"] = {"algorithms": ["HS256"], "secret": MASK}
    with pytest.raises(ConfigError) as caught:
        await bench.publisher.publish(plain, by="me", expected=1)
    assert {problem.path for problem in caught.value.problems} == {"workers", "odd", "issuers.other.secret"}
    bench.assert_untouched()
    (audit,) = bench.audits()
    assert audit["outcome"] == "refused" and "(and 2 more)" in audit["reason"]


async def test_a_document_whose_own_tests_fail_is_refused(bench: Bench) -> None:
    case = {"request": "GET http://a.example/orders/7", "expect": {"route": "orders"}}
    assert (await bench.publisher.publish(bench.sent(tests=[case]), by="me", expected=1)).version == 2
    with pytest.raises(ConfigError) as caught:
        await bench.publisher.edit(
            lambda plain: {**plain, "routes": [{**plain["routes"][0], "match": {"path": "/o/*"}}, plain["routes"][1]]},
            by="me",
        )
    (problem,) = caught.value.problems
    assert problem.path == "tests[0].expect.route"
    bench.assert_untouched(2)


# --- accidents ---


@pytest.mark.parametrize("broken", ["newest_number", "add"])
async def test_a_store_that_fails_changes_nothing(broken: str, bench: Bench) -> None:
    bench.store.broken = {broken}
    with pytest.raises(StoreError, match="fails in this test"):
        await bench.publisher.publish(bench.sent(instance="two"), by="me", expected=1)
    bench.assert_untouched()
    assert bench.told == []
    bench.store.broken = set()
    assert (await bench.publisher.publish(bench.sent(instance="two"), by="me", expected=1)).version == 2


async def test_an_error_of_ours_changes_nothing(bench: Bench) -> None:
    def change(plain: Plain) -> Plain:
        raise RuntimeError("odd")

    with pytest.raises(RuntimeError):
        await bench.publisher.edit(change, by="me")
    bench.assert_untouched()
    assert [audit["reason"] for audit in bench.audits()] == ["internal error (RuntimeError)"]


async def test_what_follows_a_document_may_fail_and_the_workers_get_it_all_the_same(bench: Bench) -> None:
    bench.fails_to_follow = True
    assert (await bench.publisher.publish(bench.sent(instance="two"), by="me", expected=1)).version == 2
    assert bench.version == 2
    assert any("RuntimeError: odd" in line for line in bench.log.lines())


async def test_a_caller_that_goes_away_does_not_leave_half_a_publish(bench: Bench) -> None:
    running, go_on = threading.Event(), threading.Event()

    def change(plain: Plain) -> Plain:
        running.set()
        go_on.wait(10)
        return bounded()(plain)

    asking = asyncio.ensure_future(bench.publisher.edit(change, by="me"))
    await asyncio.to_thread(running.wait, 10)
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()
    go_on.set()
    # The next one waits for it.
    assert (await bench.publisher.edit(bounded("gone"), by="me")).version == 3
    assert [document.routes["orders"].max_body for document in bench.told] == [1024, 1024]


# --- others publish too ---


async def test_a_change_that_was_overtaken_begins_again(bench: Bench) -> None:
    bench.store.meanwhile.append(lambda: bench.elsewhere(instance="theirs"))
    outcome = await bench.publisher.edit(bounded(), by="me")
    assert outcome.version == 3
    stored = bench.store.get(3)
    assert stored is not None
    assert (stored.plain["instance"], stored.plain["routes"][0]["max_body"]) == ("theirs", "1KB")


async def test_one_that_expects_a_version_is_told_and_the_newest_is_served(bench: Bench) -> None:
    bench.store.meanwhile.append(lambda: bench.elsewhere(instance="theirs"))
    with pytest.raises(Raced) as caught:
        await bench.publisher.edit(bounded(), by="me", expected=1)
    assert caught.value.newest == 2
    bench.assert_untouched(2)
    assert bench.history.current.document.base.instance == "theirs"


async def test_who_is_overtaken_for_ever_is_told(bench: Bench) -> None:
    for number in range(5):
        bench.store.meanwhile.append(lambda number=number: bench.elsewhere(instance=f"i{number}"))
    with pytest.raises(Raced):
        await bench.publisher.edit(bounded(), by="me")


async def test_a_version_that_another_gateway_made_is_followed(bench: Bench) -> None:
    version = bench.elsewhere(instance="theirs")
    assert await bench.publisher.follow(version) is True
    assert (bench.version, bench.history.current.document.base.instance) == (2, "theirs")
    assert await bench.publisher.follow(version) is False
    (audit,) = bench.audits()
    assert (audit["what"], audit["by"], audit["from"], audit["version"]) == ("follow", "somebody", 1, 2)


async def test_a_version_with_the_same_content_is_another_number(bench: Bench) -> None:
    assert await bench.publisher.follow(bench.elsewhere()) is True
    assert bench.version == 2


async def test_a_version_that_is_not_accepted_here_changes_nothing(bench: Bench) -> None:
    bench.other.add({**PLAIN, "future": 1}, "x", "somebody", "", False)
    version = bench.other.newest()
    assert version is not None
    with pytest.raises(ConfigError, match="version 2 of the store: future: unknown key"):
        await bench.publisher.follow(version)
    assert bench.version == 1
    # No part can be changed on top of it; a whole document replaces it.
    with pytest.raises(StoreError, match="version 2 of the store is not accepted here"):
        await bench.publisher.edit(bounded(), by="me")
    with pytest.raises(Raced):
        await bench.publisher.publish(bench.sent(), by="me", expected=1)
    outcome = await bench.publisher.publish(bench.sent(), by="me", expected=2)
    assert (outcome.version, outcome.changed) == (3, True)
    bench.assert_untouched(3)


async def test_what_a_predecessor_only_stored_is_taken_up(bench: Bench) -> None:
    await bench.publisher.catch_up()
    assert bench.version == 1
    bench.elsewhere(instance="stored")
    await bench.publisher.catch_up()
    assert bench.version == 2
    bench.store.broken = {"newest_number"}
    await bench.publisher.catch_up()
    assert "control: newest_number fails in this test" in bench.log.lines()


async def test_a_store_that_was_emptied_is_filled_again(bench: Bench, tmp_path: Path) -> None:
    await bench.publisher.publish(bench.sent(instance="two"), by="me", expected=1)
    await asyncio.to_thread(lambda: [file.unlink() for file in tmp_path.glob("*.json")])
    outcome = await bench.publisher.publish(bench.sent(instance="three"), by="me", expected=2)
    assert outcome.ok and bench.version == outcome.version == bench.other.newest_number()


# --- for ever ---


async def test_memory_is_flat_over_hundreds_of_publishes(bench: Bench) -> None:
    async def publish(times: int) -> int:
        for number in range(times):
            await bench.publisher.edit(bounded(size=f"{number % 7 + 1}KB"), by="me")
            bench.told.clear()
            bench.log.lines()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = await publish(30)
        after = await publish(120)
    finally:
        tracemalloc.stop()
    assert after - before < 100_000

"""Gateways that share their versions over a Redis store: they come together, exactly one of two publishers wins, and a
store that is away or forgets everything changes nothing for traffic."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.config import route
from tests.support.gateway import Gateway
from tests.support.journal import Journal
from tests.support.valkey import Valkey
from tests.support.wire import wait_for

TOGETHER = 2.0  # seconds until all serve what one has published


def config_of(valkey: Valkey, name: str, body: str = "file", **more: Any) -> dict[str, Any]:
    return {
        "instance": name,
        "store": "redis",
        "redis": {"url": valkey.url, "timeout": "1s"},
        "upstreams": {},
        "routes": [route("word", "/word", reply={"status": 200, "body": body})],
        **more,
    }


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, valkey: Valkey) -> Iterator[tuple[Gateway, Gateway]]:
    """Their files differ in what is each machine's own, and are one document."""
    one = Gateway(tmp_path_factory.mktemp("one"), config_of(valkey, "one"))
    two = Gateway(tmp_path_factory.mktemp("two"), config_of(valkey, "two"), workers=2)
    one.spawn()
    two.spawn()  # at the same time: of two starts with one document, one publishes it
    one.wait_ready()
    two.wait_ready()
    yield one, two
    for each in (one, two):
        each.check_ledger()
        each.stop()


def word(gateway: Gateway) -> str:
    with gateway.client() as client:
        response = client.get("/word")
        assert response.status == 200
        return response.body.decode()


def shown(gateway: Gateway) -> tuple[int, dict[str, Any]]:
    """The version, and its document."""
    code, body = gateway.admin("/api/config")
    assert code == 200
    return int(gateway.status()["version"]), json.loads(body)


def publish(
    gateway: Gateway, body: str, expected: int | None = None, **more: Any
) -> tuple[int, dict[str, Any]]:
    version, document = shown(gateway)
    document["routes"] = [route("word", "/word", reply={"status": 200, "body": body})]
    document.update(more)
    code, answer = gateway.admin(
        "/api/config?wait=5s", "PUT", json.dumps(document).encode(),
        {"Content-Type": "application/json", "If-Match": f'"{version if expected is None else expected}"'},
    )  # fmt: skip
    return code, json.loads(answer)


def fleet(gateway: Gateway) -> dict[str, Any]:
    code, body = gateway.admin("/api/fleet")
    assert code == 200
    return dict(json.loads(body))


def versions(gateway: Gateway) -> dict[str, int]:
    return {each["instance"]: each["version"] for each in fleet(gateway)["instances"]}


def wait_together(gateways: tuple[Gateway, ...], body: str) -> None:
    wait_for(lambda: all(word(each) == body for each in gateways), TOGETHER, "the same in all", every=0.02)


def test_two_files_that_are_one_document_are_one_version(both: tuple[Gateway, Gateway]) -> None:
    wait_for(lambda: all(versions(each) == {"one": 1, "two": 1} for each in both), 3.0, "both knowing both")
    found = fleet(both[1])
    (digest,) = {each["hash"] for each in found["instances"]}
    assert [each.status()["hash"] for each in both] == [digest, digest]
    listed = json.loads(both[0].admin("/api/config/versions")[1])["versions"]
    assert [(each["version"], each["hash"]) for each in listed] == [(1, digest)]
    assert [each["me"] for each in found["instances"]] == [False, True]
    assert found["store"] == {"kind": "redis", "up": True, "error": ""}
    assert found["instances"][1]["workers"] == {"serving": 2, "of": 2}


def test_what_one_publishes_both_serve(both: tuple[Gateway, Gateway]) -> None:
    one, two = both
    for publisher, body in ((one, "from one"), (two, "from two")):
        code, answer = publish(publisher, body)
        assert code == 200, answer
        began = time.monotonic()
        wait_together(both, body)
        wait_for(lambda: len(set(versions(one).values())) == 1, TOGETHER, "one version in the fleet")
        assert time.monotonic() - began < TOGETHER
    assert shown(one)[0] == shown(two)[0]
    assert shown(two)[1]["instance"] == "two"
    assert [each["workers"]["of"] for each in fleet(one)["instances"]] == [1, 2]


def test_of_two_publishers_exactly_one_wins(both: tuple[Gateway, Gateway]) -> None:
    for turn in range(4):
        version = max(shown(each)[0] for each in both)
        wait_for(lambda now=version: all(shown(each)[0] == now for each in both), TOGETHER, "the same start")  # type: ignore[misc]
        found: dict[str, tuple[int, dict[str, Any]]] = {}
        start = threading.Barrier(2)

        def race(gateway: Gateway, name: str, number: int = version, of: int = turn, at: Any = start) -> None:
            at.wait()
            found[name] = publish(gateway, f"{name} {of}", number)  # noqa: B023 (joined within the turn)

        threads = [threading.Thread(target=race, args=each) for each in zip(both, ("a", "b"), strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(code for code, _ in found.values()) == [200, 412], found
        (winner,) = [name for name, (code, _) in found.items() if code == 200]
        assert found[winner][1]["version"] == version + 1
        wait_together(both, f"{winner} {turn}")


def test_what_is_the_machines_own_is_not_published(both: tuple[Gateway, Gateway]) -> None:
    before = shown(both[0])[0]
    code, answer = publish(both[0], "x", instance="other", drain={"timeout": "3s"})
    assert code == 422
    (error,) = answer["errors"]
    assert error["path"] == "instance"
    assert "machine's file" in error["message"]
    assert shown(both[0])[0] == before


def test_a_restart_with_the_same_file_undoes_nothing(both: tuple[Gateway, Gateway]) -> None:
    one, two = both
    assert publish(one, "newer than the files")[0] == 200
    wait_together(both, "newer than the files")
    before = shown(two)[0]
    two.check_ledger()
    assert two.stop() == 0
    wait_for(lambda: versions(one) == {"one": before}, 1.0, "the one that ended being forgotten at once")
    two.log_path.unlink()
    two.journal = Journal(two.log_path)
    two.start()
    assert word(two) == "newer than the files"
    assert shown(two)[0] == before
    # A change of what is its own is no new version either.
    two.write({**two.config, "log": {"access": str(two.log_path), "sample": 0.5}})
    assert (
        json.loads(two.admin("/api/reload", "POST", b"{}", {"Content-Type": "application/json"})[1])[
            "version"
        ]
        == before
    )
    assert shown(two)[1]["log"]["sample"] == 0.5
    two.write(two.config)
    two.admin("/api/reload", "POST", b"{}", {"Content-Type": "application/json"})


def test_a_store_that_is_away_changes_nothing_for_traffic(
    both: tuple[Gateway, Gateway], valkey: Valkey
) -> None:
    """It is killed, and comes back empty: what it forgot is given back, and all goes on."""
    one, two = both
    assert publish(one, "before")[0] == 200
    wait_together(both, "before")
    before = shown(one)[0]
    valkey.kill()
    wait_for(lambda: fleet(one)["store"]["up"] is False, 3.0, "the outage being seen")
    code, answer = publish(one, "during")
    assert (code, answer["reason"]) == (503, "store_unavailable")
    assert valkey.url in answer["detail"]
    for each in both:
        assert word(each) == "before"
        assert each.admin("/readyz")[0] == 200
    assert list(versions(one)) == ["one"]
    valkey.start()
    began = time.monotonic()
    wait_for(lambda: versions(one) == {"one": before, "two": before}, TOGETHER + 1, "both back")
    code, answer = publish(two, "after")
    assert code == 200, answer
    assert answer["version"] == before + 1
    wait_together(both, "after")
    assert time.monotonic() - began < 2 * TOGETHER
    assert one.stderr().count("what is served stays") == 1
    assert one.stderr().count("the version store can be used again") == 1


def test_a_start_without_the_store(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    valkey = Valkey()
    try:
        gateway = make_gateway(config_of(valkey, "early"))
        assert word(gateway) == "file"
        assert shown(gateway)[0] == 0
        assert "until then the file is served, as version 0" in gateway.stderr()
        valkey.start()
        wait_for(lambda: shown(gateway)[0] == 1, TOGETHER, "the file as version 1")
        assert publish(gateway, "published")[0] == 200
        assert word(gateway) == "published"
        assert gateway.stop() == 0
    finally:
        valkey.stop()

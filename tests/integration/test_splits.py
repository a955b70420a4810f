"""Traffic splits: shares as written, callers that stay where they are, testers on a route of their own, and weights that
change under load without a lost request (design section 11)."""

from __future__ import annotations

import hashlib
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from tests.integration.conftest import TRUSTED
from tests.support.client import request
from tests.support.config import Config, route, service
from tests.support.faults import FaultProcess, fault_process
from tests.support.gateway import Gateway
from tests.support.load import Lane, Load
from tests.support.outage import (
    ask_all,
    came,
    gets,
    meets,
    nothing_left,
    one_get,
    said,
    statuses,
    targets,
    wait_said,
    written_out,
)
from tests.support.wire import wait_for

IDLE = {"idle_timeout": "300ms"}
ADDRESSES = [f"192.0.2.{number}" for number in range(1, 201)]
TESTERS = {"headers": {"x-tester": "yes"}}
BREAKER = {"failures": 3, "open_for": "30s"}


def keyed(name: str, *keys: str) -> Config:
    return {"name": name, "keys": [f"sha256:{hashlib.sha256(key.encode()).hexdigest()}" for key in keys]}


def upstreams_of(faults: FaultProcess, *names: str) -> Config:
    return {name: service(faults.url(name), connections=IDLE) for name in names}


def config_of(faults: FaultProcess, shifted: Config, moved: Config) -> Config:
    """`shifted` and `moved` are the weights that tests change."""
    upstreams = upstreams_of(faults, "stable", "canary", "third")
    upstreams["ill"] = service(
        faults.url("ill"), connections=IDLE, timeouts={"response": "250ms"}, breaker=BREAKER
    )
    both = {"stable": 60, "canary": 40}
    only = {"stable": 1, "canary": 0}

    def split(name: str, weights: Config, **options: Any) -> Config:
        return route(name, f"/{name}/*", upstream=None, split=weights, **options)

    routes = [
        split("weighted", {"stable": 80, "canary": 15, "third": 5}),
        split("by-address", both, sticky="client_ip"),
        split("by-address-too", both, sticky="client_ip"),
        split("by-consumer", both, sticky="consumer", auth={"any": ["api_key"]}),
        split("by-header", both, sticky="header:X-Session"),
        route("testers", "/by-address/*", match=TESTERS, upstream="third"),
        split("only", only),
        split("only-sticky", only, sticky="client_ip"),
        split("ill-part", {"stable": 50, "ill": 50}, sticky="client_ip"),
        split("shifted", shifted),
        split("moved", moved, sticky="client_ip"),
    ]
    for each in routes:
        if each.get("upstream", "") is None:
            del each["upstream"]
    return written_out(
        {
            "trusted_proxies": [f"{TRUSTED}/32"],
            "consumers": [keyed(f"c{number}", f"one-{number}", f"two-{number}") for number in range(40)],
            "upstreams": upstreams,
            "routes": routes,
        }
    )


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultProcess]:
    names = ("stable", "canary", "third", "ill")
    with fault_process(*(part for name in names for part in ("--listen", f"{name}=127.0.0.1:0"))) as process:
        yield process


@pytest.fixture(scope="module")
def config(faults: FaultProcess) -> Config:
    return config_of(faults, {"stable": 95, "canary": 5}, {"stable": 95, "canary": 5})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Iterator[Gateway]:
    """Two workers: what sticks must stick in both."""
    one = Gateway(tmp_path_factory.mktemp("splits"), config, workers=2).start()
    yield one
    one.check_ledger()
    one.stop()


def parts(
    gateway: Gateway, path: str, asks: Sequence[Sequence[str]], *, source: str = "", width: int = 8
) -> list[str]:
    """Who answered each request, given as its extra fields. Over several connections, so that both workers are asked."""
    found = []
    with ExitStack() as stack:
        clients = [stack.enter_context(gateway.client(timeout=15.0, source=source)) for _ in range(width)]
        for number, fields in enumerate(asks):
            one = came(clients[number % width].get(path, fields=fields))
            assert one.status == 200, one
            found.append(one.target)
    return found


def by_address(gateway: Gateway, path: str, addresses: Sequence[str] = ADDRESSES) -> dict[str, str]:
    asks = [(f"X-Forwarded-For: {address}",) for address in addresses]
    return dict(zip(addresses, parts(gateway, path, asks, source=TRUSTED), strict=True))


def test_shares_are_as_written(gateway: Gateway) -> None:
    """By chance: 2,000 requests are within 4.5 standard deviations; who answered is in the log, and by the name of its
    upstream."""
    count = 2000
    with nothing_left(gateway):
        found = targets(ask_all(gateway, gets("/weighted/x", count), 8))
    for name, share in (("stable", 0.8), ("canary", 0.15), ("third", 0.05)):
        assert abs(found[name] - share * count) <= 4.5 * (share * (1 - share) * count) ** 0.5, found
    lines = gateway.journal.where(lambda entry: entry["path"] == "/weighted/x")
    assert Counter(entry["upstream"] for entry in lines) == found
    assert {entry["route"] for entry in lines} == {"weighted"}


def test_a_callers_address_keeps_its_part(gateway: Gateway) -> None:
    """The address that a trusted proxy names; in both workers, again and again, in about the shares of the weights."""
    first = by_address(gateway, "/by-address/x")
    shares = Counter(first.values())
    assert abs(shares["canary"] - 80) <= 25 and shares["stable"] + shares["canary"] == 200
    for _ in range(2):
        again = by_address(gateway, "/by-address/x", list(reversed(ADDRESSES)))
        assert again == first
    # Whoever is the first to see something new on one route is not on every route.
    other = by_address(gateway, "/by-address-too/x")
    assert 40 <= sum(other[address] != first[address] for address in ADDRESSES) <= 160


def test_an_address_that_nobody_trusted_names_is_none(gateway: Gateway) -> None:
    asks = [(f"X-Forwarded-For: {address}",) for address in ADDRESSES[:40]]
    assert len(set(parts(gateway, "/by-address/x", asks))) == 1


def test_a_consumer_keeps_its_part(gateway: Gateway) -> None:
    """Whichever of its keys it shows, and wherever it comes from."""
    found = [
        parts(gateway, "/by-consumer/x", [(f"X-API-Key: {key}-{number}",) for number in range(40)], source=source)
        for key in ("one", "two")
        for source in ("127.0.0.1", "127.0.0.3")
    ]
    assert all(each == found[0] for each in found)
    assert set(found[0]) == {"stable", "canary"}


def test_a_header_keeps_its_part_and_without_it_the_address_does(gateway: Gateway) -> None:
    named = [(f"x-session: s{number}", f"X-Forwarded-For: 198.51.100.{number}") for number in range(60)]
    first = parts(gateway, "/by-header/x", named, source=TRUSTED)
    moved = [(name, "X-Forwarded-For: 198.51.100.99") for name, _ in named]
    assert parts(gateway, "/by-header/x", moved, source=TRUSTED) == first
    assert set(first) == {"stable", "canary"}
    without = by_address(gateway, "/by-header/x", ADDRESSES[:60])
    assert by_address(gateway, "/by-header/x", ADDRESSES[:60]) == without
    assert set(without.values()) == {"stable", "canary"}
    # Nothing in it is as good as none.
    empty = [(f"X-Forwarded-For: {address}", "X-Session:") for address in ADDRESSES[:60]]
    assert parts(gateway, "/by-header/x", empty, source=TRUSTED) == list(without.values())


def test_testers_have_a_route_of_their_own(gateway: Gateway) -> None:
    """Its header beats the split, sticky or not; another value of it does not."""
    testers = [(f"X-Forwarded-For: {address}", "X-Tester: yes") for address in ADDRESSES[:30]]
    assert set(parts(gateway, "/by-address/tester", testers, source=TRUSTED)) == {"third"}
    lines = gateway.journal.wait(lambda entry: entry["path"] == "/by-address/tester", 30)
    assert {(entry["route"], entry["upstream"]) for entry in lines} == {("testers", "third")}
    others = [(f"X-Forwarded-For: {address}", "X-Tester: no") for address in ADDRESSES[:30]]
    wanted = list(by_address(gateway, "/by-address/x", ADDRESSES[:30]).values())
    assert parts(gateway, "/by-address/x", others, source=TRUSTED) == wanted


def test_weight_0_gets_nothing(gateway: Gateway) -> None:
    assert targets(ask_all(gateway, gets("/only/x", 300), 4)) == {"stable": 300}
    assert set(by_address(gateway, "/only-sticky/x").values()) == {"stable"}


def test_a_part_that_is_ill_costs_its_own_share(gateway: Gateway, faults: FaultProcess) -> None:
    """A split is no failover: those who are sticky to it are told so, everybody else is served as ever; the time-out and
    the breaker are the part's own."""
    before = by_address(gateway, "/ill-part/x")
    faults.tell("ill", "stall")
    found: Counter[tuple[str, int, str]] = Counter()
    with gateway.client(source=TRUSTED) as client:
        for address, part in before.items():
            one = came(client.get("/ill-part/stalled", fields=[f"X-Forwarded-For: {address}"]))
            found[part, one.status, one.reason] += 1
    asked = Counter(before.values())
    assert found["stable", 200, ""] == asked["stable"]
    # Three failures in each worker that was asked, of which this connection knows one.
    assert found["ill", 504, "response_timeout"] == 3
    assert found["ill", 503, "breaker_open"] == asked["ill"] - 3
    lines = gateway.journal.wait(lambda entry: entry["path"] == "/ill-part/stalled", len(ADDRESSES))
    assert {entry["upstream"] for entry in lines if entry["status"] != 200} == {"ill"}
    faults.tell("ill", "ok")


def test_sticky_callers_move_by_weights_only(
    gateway: Gateway, faults: FaultProcess, config: Config
) -> None:
    """95/5 to 80/20 moves callers to the second only, and back again the same ones; neither another reload nor another
    worker moves anybody."""
    few = by_address(gateway, "/moved/x")
    weights = {"stable": 95, "canary": 5}
    gateway.reload(config_of(faults, weights, {"canary": 20, "stable": 80}))
    more = by_address(gateway, "/moved/x")
    gone = {address for address in ADDRESSES if more[address] != few[address]}
    assert {few[address] for address in gone} == {"stable"}
    assert 12 <= len(gone) <= 50  # 30 of 200
    gateway.reload(config_of(faults, {"stable": 94, "canary": 6}, {"stable": 80, "canary": 20}))
    assert by_address(gateway, "/moved/x") == more
    gateway.check_ledger()  # lines of the last 10 ms die with a worker
    old = gateway.worker_pids()[0]
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: reborn(gateway, old), 10.0, "another worker", every=0.02)
    assert by_address(gateway, "/moved/x") == more
    gateway.reload(config)
    assert by_address(gateway, "/moved/x") == few


def reborn(gateway: Gateway, old: int) -> bool:
    workers = gateway.status()["workers"]
    return len(workers) == 2 and all(each["pid"] != old and each["version"] for each in workers)


def test_a_release_under_load_loses_nothing(
    gateway: Gateway, faults: FaultProcess, config: Config
) -> None:
    """5, 50, 100 %, the old one taken out of the document, and back: each by a reload with requests under way."""
    moved = {"stable": 95, "canary": 5}
    gone = config_of(faults, {"canary": 1}, moved)
    gone["upstreams"]["new"] = gone["upstreams"].pop("stable")
    gone["routes"] = [route("shifted", "/shifted/*", upstream="canary")]
    steps: list[tuple[Config | None, float]] = [
        (None, 0.05),
        (config_of(faults, {"stable": 50, "canary": 50}, moved), 0.5),
        (config_of(faults, {"stable": 0, "canary": 100}, moved), 1.0),
        (gone, 1.0),
        (config_of(faults, {"stable": 1, "canary": 0}, moved), 0.0),
        (config, 0.05),
    ]
    for name in ("stable", "canary"):
        faults.tell(name, "delay", ms=40)  # so that some are always under way
    posts = Lane(request("/shifted/x", method="POST", body=b"x" * 3000), connections=12, rate=150)
    reads = Lane(request("/shifted/x"), connections=12, rate=250)

    def met() -> tuple[int, int]:
        return meets(faults, "stable"), meets(faults, "canary")

    with nothing_left(gateway), Load(gateway.address, posts, reads) as load:
        for document, share in steps:
            if document is not None:
                gateway.reload(document)
            begun = sum(met())
            load.wait(lambda begun=begun: sum(met()) > begun + 20, 5.0, "those that were chosen before")
            before = met()
            load.wait(lambda before=before: sum(met()) >= sum(before) + 300, 8.0, "requests")
            after = met()
            count = sum(after) - sum(before)
            found = (after[1] - before[1]) / count
            spread = 4.5 * (share * (1 - share) / count) ** 0.5
            assert abs(found - share) <= spread, (share, found, count)
    for name in ("stable", "canary"):
        faults.tell(name, "ok")
    assert not load.failures
    for lane in (posts, reads):
        assert set(lane.statuses()) == {200}


def test_a_split_to_nothing_is_refused_and_changes_nothing(gateway: Gateway, faults: FaultProcess) -> None:
    version = gateway.status()["version"]
    moved = {"stable": 95, "canary": 5}
    refused = len(said(gateway, "gateway.yaml:", "split"))
    gateway.write(config_of(faults, {"stable": 0, "canary": 0}, moved))
    gateway.send_signal(signal.SIGHUP)
    wait_for(lambda: len(said(gateway, "gateway.yaml:", "split")) > refused, 5.0, "the line", every=0.02)
    wait_said(gateway, "gateway.yaml:", "routes", "split")
    assert gateway.status()["version"] == version
    assert one_get(gateway, "/shifted/after").status == 200
    assert statuses(ask_all(gateway, gets("/shifted/still", 40), 4)) == {200: 40}

"""Exchanges that wait for the store while the gateway reloads or drains."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.integration.held import config_of, waiting
from tests.integration.outcome import refused, takes
from tests.support.client import request
from tests.support.config import route
from tests.support.faulty_store import FaultyStore, held, passing, silent
from tests.support.gateway import Gateway
from tests.support.limits import remaining, running
from tests.support.upstream import Upstream
from tests.support.valkey import Valkey
from tests.support.wire import wait_for


@pytest.fixture(scope="module")
def store() -> Iterator[FaultyStore]:
    with Valkey() as valkey:
        one = FaultyStore(valkey.socket_path)
        yield one
        one.close()
        assert one.errors == []


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, store: FaultyStore
) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("waiting"), config_of(store, upstream)) as one:
        yield one


@pytest.fixture
def gate(store: FaultyStore, gateway: Gateway) -> Iterator[threading.Event]:
    """From now on the store decides nothing until this is set."""
    with gateway.client() as client:
        assert client.get("/warm").status == 200
    one = threading.Event()
    store.script = held(one)
    yield one
    store.script = passing
    one.set()
    wait_for(lambda: gateway.status()["workers"][0]["in_flight"] == 0, what="nothing in flight", every=0.02)


def test_a_reload_meanwhile(
    gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    """An exchange ends on the snapshot it began with, and is counted on the limit it asked."""
    version = gateway.status()["version"]
    other = config_of(store, upstream)
    other["routes"] = [route("all", reply={"status": 404, "body": "new"})]
    with waiting(gateway, store, request("/reloaded", method="POST", body=b"abc")) as client:
        gateway.reload(other)
        with gateway.client() as second:
            assert second.get("/x").body == b"new"
        gate.set()
        answer = client.read()
        assert answer.status == 200
        assert remaining(answer)["many"][0] <= 999
        assert client.get("/x").body == b"new"
    assert upstream.one("/reloaded").body == b"abc"
    assert gateway.journal.of(answer.get("X-Request-Id"))["version"] == version
    gateway.reload(config_of(store, upstream))


@pytest.mark.parametrize("how", ["no store", "other store"])
def test_a_reload_that_takes_the_store_away(
    how: str, gateway: Gateway, store: FaultyStore, upstream: Upstream, gate: threading.Event
) -> None:
    """Who waits for the old one gets an answer all the same, at the latest when the timeout says so."""
    gateway.reload(config_of(store, upstream, "500ms", "allow"))
    other = config_of(store, upstream, "500ms", "allow")
    with Valkey() as second:
        if how == "no store":
            del other["redis"]
        else:
            other["redis"]["url"] = second.url
        with takes(0, 2.5), waiting(gateway, store, request("/taken-away")) as client:
            gateway.reload(other)
            assert client.read().status == 200
        with gateway.client() as client:
            assert client.get("/after").status == 200
        if how == "other store":
            wait_for(lambda: second.client().keys("*"), 3.0, "a key in the new store", every=0.05)
        store.script = passing
        gate.set()  # the store notices the end of a connection only when it reads again
        wait_for(lambda: store.open == 0, 3.0, "the end of the old connections")
        gateway.reload(config_of(store, upstream))
    wait_for(lambda: asks_again(gateway, store), 3.0, "the old store asked again", every=0.1)


def asks_again(gateway: Gateway, store: FaultyStore) -> bool:
    asked = store.decisions()
    with gateway.client() as client:
        assert client.get("/again").status == 200
    return store.decisions() > asked


def test_a_drain_waits_for_those_who_wait(make_gateway: Callable[..., Gateway], upstream: Upstream) -> None:
    """One gets the store's answer; another the timeout's, since the store answers nothing more."""
    with Valkey() as valkey:
        store = FaultyStore(valkey.socket_path)
        gateway = make_gateway(config_of(store, upstream, "1s", "allow"))
        with gateway.client() as client:
            assert client.get("/warm").status == 200
        gate = threading.Event()
        store.script = held(gate)
        first, second = waiting(gateway, store, request("/drained-1")), gateway.client()
        with first, second:
            second.send(request("/drained-2"))
            assert second.stream.silent(0.05)
            gateway.send_signal(signal.SIGTERM)
            wait_for(lambda: refused(gateway.port), what="no more connections", every=0.01)
            store.script = silent
            gate.set()
            for client in (first, second):
                answer = client.read()
                assert answer.status == 200
                assert (answer.get("Connection") or "").lower() == "close"
        assert gateway.wait_exit() == 0
        assert gateway.journal.path_is("/drained-1")["status"] == 200
        assert gateway.journal.path_is("/drained-2")["status"] == 200
        store.close()

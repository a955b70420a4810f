"""The store that fails as told, and the load: they themselves do what they say."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import redis

from tests.support.client import request
from tests.support.faulty_store import FaultyStore, answering, halving, held, passing
from tests.support.load import Lane, Load
from tests.support.scripts import answer, message
from tests.support.upstream import Upstream
from tests.support.valkey import Valkey
from tests.support.wire import wait_for


@pytest.fixture(scope="module")
def store() -> Iterator[FaultyStore]:
    with Valkey() as valkey:
        one = FaultyStore(valkey.socket_path)
        yield one
        one.close()


@pytest.fixture
def client(store: FaultyStore) -> Iterator[redis.Redis]:
    store.script = passing
    one = redis.Redis(unix_socket_path=store.url.removeprefix("unix://"), socket_timeout=0.2, retry=None)
    yield one
    one.close()
    wait_for(lambda: store.open == 0, what="no connection left")


def test_it_passes_everything_on(store: FaultyStore, client: redis.Redis) -> None:
    assert client.set("a", b"\r\n*1" * 50_000)
    assert client.get("a") == b"\r\n*1" * 50_000
    assert client.eval("return {1, {2, 'x'}, false, {}}", 0) == [1, [2, b"x"], None, []]
    assert store.errors == []


def test_it_answers_itself_what_it_is_told_to(store: FaultyStore, client: redis.Redis) -> None:
    assert client.ping()
    store.script = answering(b"-OOM no more\r\n", {b"EVAL"})
    with pytest.raises(redis.ResponseError, match="no more"):
        client.eval("return 1", 0)
    assert client.ping()


@pytest.mark.parametrize("then_close", [True, False])
def test_it_gives_half_an_answer(then_close: bool, store: FaultyStore, client: redis.Redis) -> None:
    assert client.ping()
    store.script = halving(then_close)
    with pytest.raises(redis.ConnectionError if then_close else redis.TimeoutError):
        client.eval("return {1, 2, 3}", 0)


def test_it_holds_decisions_until_the_gate_opens(store: FaultyStore, client: redis.Redis) -> None:
    assert client.ping()
    gate = threading.Event()
    store.script = held(gate)
    with pytest.raises(redis.TimeoutError):
        client.eval("return 1", 0)
    gate.set()
    assert client.eval("return 1", 0) == 1


def test_the_load_keeps_its_pace_and_counts_what_came() -> None:
    upstream = Upstream()
    path = upstream.script(answer(message(b"no", 429)))
    with Load(
        ("127.0.0.1", upstream.port), Lane(request("/x"), 2, 50.0), Lane(request(path), 1, 20.0)
    ) as load:
        load.run_for(0.5)
    upstream.close()
    assert load.failures == []
    paced, refused = (lane.statuses() for lane in load.lanes)
    assert paced.keys() == {200}
    assert refused.keys() == {429}
    assert 15 <= paced[200] <= 27
    assert all(0 < one.took < 0.5 for lane in load.lanes for one in lane.samples)


def test_the_load_tells_of_cut_connections() -> None:
    upstream = Upstream(default=lambda exchange: exchange.close())
    with Load(("127.0.0.1", upstream.port), Lane(request("/x"), 1, 20.0)) as load:
        load.wait(lambda: load.failures, what="a failure")
    upstream.close()
    assert not load.lanes[0].samples

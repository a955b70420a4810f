"""More than it is allowed to carry: the gateway, a route or an upstream refuses at once what is beyond its bound, serves
the rest as ever, and however an exchange ends its place is free again (design sections 5, 7 and 12)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.outcome import check_refusal, counted, takes
from tests.integration.test_websocket import echo_tunnel, open_tunnel
from tests.support import scripts
from tests.support.client import Client, request
from tests.support.config import Config, route, service
from tests.support.gateway import Gateway
from tests.support.load import Lane, Load
from tests.support.outage import nothing_left, state_of, written_out
from tests.support.upstream import Exchange, Script, Upstream
from tests.support.wire import Cut, wait_for

BOUND = 3
IDLE = {"idle_timeout": "300ms"}
SHORT = {"connect": "5s", "response": "1200ms"}
LONG = {"response": "15s"}
POOL = {"max": 1, "idle": 1, "queue": 2, "idle_timeout": "300ms"}
ANSWER = scripts.answer(scripts.message(b"done"))


class Door:
    """All requests below a path: they wait until it opens, then meet `act`. Knows how many were inside at once."""

    def __init__(self, upstream: Upstream, name: str) -> None:
        self.upstream = upstream
        self.act: Script = ANSWER
        self.inside = self.most = self.met = 0
        self._gate = threading.Event()
        self._lock = threading.Lock()
        upstream.scripts[name.encode()] = self._script

    def _script(self, exchange: Exchange) -> None:
        exchange.read_body()
        gate, act = self._gate, self.act
        with self._lock:
            self.met += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.upstream.changed()
        gate.wait(30)
        # Counted out before it answers: who is admitted for it may be here before this thread has its turn again.
        with self._lock:
            self.inside -= 1
        act(exchange)

    def wait_inside(self, count: int) -> None:
        self.upstream.wait(lambda: self.inside == count, 5.0, f"{count} inside, not {self.inside}")

    def open(self) -> None:
        self._gate.set()

    def shut(self) -> None:
        """For those who come from now on."""
        self._gate = threading.Event()


@dataclass
class Level:
    """Where the bound is: a gateway, the path it concerns, the door behind it."""

    gateway: Gateway
    path: str
    door: Door


def config_of(upstream: Upstream, few: int = BOUND, capped: int = BOUND) -> Config:
    guarded = {"breaker": {"failures": 1}, "retries": {"attempts": 3}}
    upstreams = {
        "main": service(upstream.url, connections=IDLE, timeouts=SHORT),
        "capped": service(upstream.url, connections=IDLE, timeouts=SHORT, max_in_flight=capped),
        "pool": service(upstream.url, connections={**POOL, "queue_timeout": "5s"}),
        "hasty": service(upstream.url, connections={**POOL, "queue_timeout": "600ms"}, **guarded),
    }
    split = route("capped-split", "/capped-split/*", split={"capped": 1, "main": 0}, timeouts=LONG)
    del split["upstream"]
    routes = [
        route("few", "/few/*", max_in_flight=few),
        route("beside", "/beside/*"),
        route("capped", "/capped/*", upstream="capped"),
        route("capped-too", "/capped-too/*", upstream="capped", timeouts=LONG),
        split,
        route("pool", "/pool/*", upstream="pool"),
        route("hasty", "/hasty/*", upstream="hasty"),
    ]
    return written_out({"upstreams": upstreams, "routes": routes})


@pytest.fixture(scope="module")
def service_behind() -> Iterator[Upstream]:
    one = Upstream()
    yield one
    one.close()
    one.check()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, service_behind: Upstream) -> Iterator[Gateway]:
    one = Gateway(tmp_path_factory.mktemp("overload"), config_of(service_behind)).start()
    with nothing_left(one):
        yield one
    one.stop()


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, service_behind: Upstream) -> Iterator[Gateway]:
    """The bound is the whole gateway's."""
    config = {
        "server": {"max_in_flight": BOUND},
        "upstreams": {"main": service(service_behind.url, connections=IDLE, timeouts=SHORT)},
        "routes": [route("all")],
    }
    one = Gateway(tmp_path_factory.mktemp("narrow"), config).start()
    with nothing_left(one):
        yield one
    one.stop()


@pytest.fixture(params=["gateway", "route", "upstream"])
def level(request: pytest.FixtureRequest, service_behind: Upstream) -> Level:
    name = {"gateway": "whole", "route": "few", "upstream": "capped"}[request.param]
    one: Gateway = request.getfixturevalue("narrow" if request.param == "gateway" else "gateway")
    return Level(one, f"/{name}/x", Door(service_behind, name))


def asking(stack: ExitStack, gateway: Gateway, path: str, **options: Any) -> Client:
    """A client that has sent its request and waits."""
    client = stack.enter_context(gateway.client(timeout=15.0))
    client.send(request(path, **options))
    return client


def check_capacity(level: Level, bound: int = BOUND) -> None:
    """Exactly as many as allowed get in, the next one is refused, and all who got in are answered."""
    level.door.act = ANSWER
    level.door.shut()
    with ExitStack() as stack:
        inside = [asking(stack, level.gateway, level.path) for _ in range(bound)]
        level.door.wait_inside(bound)
        extra = stack.enter_context(level.gateway.client())
        entry = check_refusal(level.gateway, extra.get(level.path), 503, "overloaded")
        assert (entry["rule"], entry["attempts"]) == ("max_in_flight", 0)
        level.door.open()
        assert [client.read().status for client in inside] == [200] * bound
        # The connection that heard the refusal is as good as any other.
        assert extra.get(level.path).status == 200


def test_beyond_the_bound_it_refuses_at_once(level: Level) -> None:
    """With a body, without, and again on the same connection; nothing of it reaches the service."""
    one, door = level.gateway, level.door
    with ExitStack() as stack:
        inside = [asking(stack, one, level.path) for _ in range(BOUND)]
        door.wait_inside(BOUND)
        with counted(one, "overloaded", 22):
            with stack.enter_context(one.client()) as client, takes(0.0, 2.0):
                for _ in range(19):
                    assert client.get(level.path).status == 503
                check_refusal(one, client.get(level.path), 503, "overloaded")
            for size in (10, 200_000):
                with one.client() as client:
                    client.try_send(request(level.path, method="POST", body=b"x" * size))
                    answer = client.read("POST")
                    assert (answer.status, answer.get("Retry-After")) == (503, "1")
        assert door.met == BOUND
        with one.client() as client:
            assert client.get("/healthz").status == 200
        door.open()
        assert [client.read().status for client in inside] == [200] * BOUND


def test_a_storm_never_gets_more_in_than_allowed(level: Level) -> None:
    """And as many as that all the time: what is refused costs the others nothing."""
    one, door = level.gateway, level.door
    door.open()
    lock, now, most = threading.Lock(), [0], [0]

    def slow(exchange: Exchange) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)  # the work
        with lock:
            now[0] -= 1
        exchange.send(scripts.message(b"done"))

    door.act = slow
    storm = Lane(request(level.path), connections=24, rate=400)
    lanes = [storm]
    if level.path != "/whole/x":
        lanes.append(Lane(request("/beside/storm"), connections=4, rate=60))
    with nothing_left(one), Load(one.address, *lanes) as load:
        load.wait(lambda: len(storm.samples) >= 350, 8.0, "the storm")
    assert not load.failures
    found = storm.statuses()
    assert set(found) == {200, 503}
    assert most[0] == BOUND
    seconds = load.ended - load.began
    assert found[200] >= 0.3 * BOUND * seconds / 0.02, (found, seconds)
    for beside in lanes[1:]:
        assert set(beside.statuses()) == {200}
        assert beside.median() < 0.1
    check_capacity(level)


def _leave(level: Level, path: str) -> None:
    with ExitStack() as stack:
        clients = [asking(stack, level.gateway, path) for _ in range(BOUND)]
        level.door.wait_inside(BOUND)
        for client in clients:
            client.reset()
        ended(level, path, "client_closed")


def _leave_with_half_a_body(level: Level, path: str) -> None:
    with ExitStack() as stack:
        begun = [
            asking(stack, level.gateway, path, method="POST", fields=["Content-Length: 100"]) for _ in range(BOUND)
        ]
        level.door.upstream.wait(lambda: len(level.door.upstream.find(path)) == BOUND)
        for client in begun:
            client.send(b"x" * 10)
            client.reset()
        ended(level, path, "client_closed")


def _time_out(level: Level, path: str) -> None:
    with ExitStack() as stack:
        clients = [asking(stack, level.gateway, path) for _ in range(BOUND)]
        assert [client.read().status for client in clients] == [504] * BOUND


def _answer_with(act: Script, status: int) -> Callable[[Level, str], None]:
    def ending(level: Level, path: str) -> None:
        level.door.act = act
        with ExitStack() as stack:
            clients = [asking(stack, level.gateway, path) for _ in range(BOUND)]
            level.door.wait_inside(BOUND)
            level.door.open()
            if status:
                assert [client.read().status for client in clients] == [status] * BOUND
            else:
                for client in clients:
                    with pytest.raises(Cut):
                        client.read()

    return ending


def _tunnel(level: Level, path: str) -> None:
    """A tunnel keeps its place until it ends."""
    level.door.act = echo_tunnel
    level.door.open()
    with ExitStack() as stack:
        clients = [stack.enter_context(open_tunnel(level.gateway, path)) for _ in range(BOUND)]
        extra = stack.enter_context(level.gateway.client())
        check_refusal(level.gateway, extra.get(level.path), 503, "overloaded")
        for client in clients:
            client.close()
        ended(level, path, "ok")


def ended(level: Level, path: str, reason: str) -> None:
    lines = level.gateway.journal.wait(lambda entry: entry["path"] == path, BOUND)
    assert {entry["reason"] for entry in lines} == {reason}


ENDINGS: dict[str, Callable[[Level, str], None]] = {
    "client leaves": _leave,
    "client leaves within its body": _leave_with_half_a_body,
    "time-out": _time_out,
    "reset": _answer_with(lambda exchange: exchange.reset(), 502),
    "garbage": _answer_with(scripts.answer_and_close(b"\x00\xff nothing of HTTP\r\n\r\n"), 502),
    "cut": _answer_with(scripts.answer_and_close(scripts.head(200, "Content-Length: 10") + b"half"), 0),
    "error": _answer_with(scripts.answer(scripts.message(b"ill", 500)), 500),
    "tunnel": _tunnel,
}


def test_however_it_ends_the_place_is_free(level: Level) -> None:
    """After each as many as ever get in, and no more."""
    check_capacity(level)
    for number, ending in enumerate(ENDINGS.values()):
        level.door.shut()
        ending(level, f"{level.path}-{number}")
        level.door.open()
        level.door.wait_inside(0)
        check_capacity(level)


def test_an_upstreams_bound_is_that_of_all_its_routes(gateway: Gateway, service_behind: Upstream) -> None:
    """Split or not; other upstreams are nobody's business here."""
    names = ("capped", "capped-too", "capped-split")
    doors = [Door(service_behind, name) for name in names]
    with ExitStack() as stack:
        inside = []
        for name, door in zip(names, doors, strict=True):
            inside.append(asking(stack, gateway, f"/{name}/shared"))
            door.wait_inside(1)
        with gateway.client() as client:
            for name in names:
                entry = check_refusal(gateway, client.get(f"/{name}/refused"), 503, "overloaded")
                assert (entry["upstream"], entry["rule"]) == ("capped", "max_in_flight")
            assert client.get("/beside/shared").status == 200
        for door in doors:
            door.open()
        assert [client.read().status for client in inside] == [200] * BOUND


def test_an_upstreams_bound_changes_by_reload_under_way(gateway: Gateway, service_behind: Upstream) -> None:
    """Those who are inside count on, and nobody is thrown out for a lower bound."""
    level = Level(gateway, "/capped-too/x", Door(service_behind, "capped-too"))
    with ExitStack() as stack:
        inside = [asking(stack, gateway, level.path) for _ in range(BOUND)]
        level.door.wait_inside(BOUND)
        extra = stack.enter_context(gateway.client())
        gateway.reload(config_of(service_behind, capped=BOUND + 2))
        inside += [asking(stack, gateway, level.path) for _ in range(2)]
        level.door.wait_inside(BOUND + 2)
        check_refusal(gateway, extra.get(level.path), 503, "overloaded")
        gateway.reload(config_of(service_behind, capped=1))
        check_refusal(gateway, extra.get(level.path), 503, "overloaded")
        level.door.open()
        assert [client.read().status for client in inside] == [200] * (BOUND + 2)
    check_capacity(level, 1)
    gateway.reload(config_of(service_behind))
    check_capacity(level)


def in_flight(gateway: Gateway, count: int) -> None:
    """Who waits for a connection has nothing at the service to be seen by."""
    wait_for(
        lambda: gateway.status()["workers"][0]["in_flight"] == count, 3.0, f"{count} in flight", every=0.01
    )


def test_the_queue_for_a_connection_is_bounded_and_in_order(
    gateway: Gateway, service_behind: Upstream
) -> None:
    """One is served, two wait, the next is refused at once; who waits gets in by turn, a place that is left is free."""
    door = Door(service_behind, "pool")
    with ExitStack() as stack:
        holder = asking(stack, gateway, "/pool/held")
        door.wait_inside(1)
        first = asking(stack, gateway, "/pool/first")
        in_flight(gateway, 2)
        leaving = asking(stack, gateway, "/pool/leaving")
        in_flight(gateway, 3)
        with gateway.client() as client, takes(0.0, 0.5), counted(gateway, "overloaded"):
            entry = check_refusal(gateway, client.get("/pool/fourth"), 503, "overloaded")
        assert (entry["rule"], entry["upstream"], entry["attempts"]) == ("queue", "pool", 0)
        leaving.reset()
        gateway.journal.path_is("/pool/leaving")
        last = asking(stack, gateway, "/pool/last")
        in_flight(gateway, 3)
        door.open()
        assert [client.read().status for client in (holder, first, last)] == [200] * 3
    served = [one.target for one in service_behind.requests if one.target.startswith(b"/pool/")]
    assert served == [b"/pool/held", b"/pool/first", b"/pool/last"]
    assert door.most == 1


def test_our_own_overload_is_no_failure_of_the_service(gateway: Gateway, service_behind: Upstream) -> None:
    """Neither a retry nor a breaker that opens at the first failure follows from it."""
    door = Door(service_behind, "hasty")
    retried = gateway.metrics().sum("fastgw_retries_total")
    with ExitStack() as stack:
        holder = asking(stack, gateway, "/hasty/held")
        door.wait_inside(1)
        with takes(0.6), counted(gateway, "overloaded", 3):
            late = [asking(stack, gateway, f"/hasty/late{number}") for number in range(2)]
            in_flight(gateway, 3)
            with gateway.client() as client:
                entry = check_refusal(gateway, client.get("/hasty/full"), 503, "overloaded")
            assert entry["rule"] == "queue"
            for client in late:
                entry = check_refusal(gateway, client.read(), 503, "overloaded")
                assert (entry["rule"], entry["attempts"]) == ("queue_timeout", 0)
        assert state_of(gateway, "hasty") == 0
        door.open()
        assert holder.read().status == 200
        for client in late:
            assert client.get("/hasty/after").status == 200
    assert not [one for one in service_behind.requests if b"/hasty/late" in one.target]
    metrics = gateway.metrics()
    assert metrics.sum("fastgw_retries_total") == retried
    assert not metrics.sum("fastgw_breaker_transitions_total", upstream="hasty")

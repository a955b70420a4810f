"""Another attempt, on another target: each word of `when`, bodies that are replayed, bounds in number and time, and
never a second one of what may happen once (design section 7)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.integration.outcome import check_refusal, takes
from tests.support import scripts
from tests.support.client import request
from tests.support.config import route, service
from tests.support.faults import FaultProcess, fault_process
from tests.support.gateway import Gateway
from tests.support.outage import (
    CUT,
    ask_all,
    gets,
    meets,
    nothing_left,
    one_get,
    statuses,
    targets,
    written_out,
)
from tests.support.upstream import Exchange, Upstream
from tests.support.wire import wait_for

WORDS = ("connect", "reset", "timeout", "502", "503", "504")
# How the first target fails -> what it is told, the words that make another attempt, and what comes without one.
FAULTS: dict[str, tuple[dict[str, object], set[str], int]] = {
    "refuse": ({"mode": "refuse"}, {"connect"}, 502),
    "blackhole": ({"mode": "blackhole"}, {"connect", "timeout"}, 504),
    "close": ({"mode": "cut"}, {"reset"}, 502),
    "reset": ({"mode": "cut", "how": "reset", "at": "head"}, {"reset"}, 502),
    "garbage": ({"mode": "garbage"}, {"reset"}, 502),
    "stall": ({"mode": "stall"}, {"timeout"}, 504),
    "502": ({"mode": "status", "status": 502}, {"502"}, 502),
    "503": ({"mode": "status", "status": 503}, {"503"}, 503),
    "504": ({"mode": "status", "status": 504}, {"504"}, 504),
    "500": ({"mode": "status", "status": 500}, set(), 500),
}
IDLE = {"idle_timeout": "300ms"}
SHORT = {"response": "300ms", "connect": "300ms"}


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultProcess]:
    names = ("bad", "good", "alone")
    with fault_process(*(part for name in names for part in ("--listen", f"{name}=127.0.0.1:0"))) as process:
        yield process


@pytest.fixture(scope="module")
def first() -> Iterator[Upstream]:
    with_scripts = Upstream()
    yield with_scripts
    with_scripts.close()


@pytest.fixture(scope="module")
def second() -> Iterator[Upstream]:
    echoes = Upstream(default=scripts.echo)
    yield echoes
    echoes.close()


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, faults: FaultProcess, first: Upstream, second: Upstream
) -> Iterator[Gateway]:
    """One upstream for each pair of fault and word: in turn, the first attempt of each is the bad target's."""

    def pair(*urls: str, **retries: object) -> dict[str, object]:
        return service(*urls, balance="round_robin", timeouts=SHORT, connections=IDLE, retries=retries)

    urls = faults.url("bad"), faults.url("good")
    upstreams = {
        f"{fault}-{word}": pair(*urls, when=[word]) for fault in FAULTS for word in WORDS
    }
    upstreams |= {f"{fault}-all": pair(*urls) for fault in FAULTS}
    upstreams |= {f"{fault}-unsafe": pair(*urls) for fault in FAULTS}
    upstreams |= {f"body-{case}": pair(first.url, second.url) for case in BODIES}
    upstreams["interim"] = pair(first.url, second.url)
    upstreams["slow-body"] = pair(first.url, second.url)
    upstreams["rests"] = pair(*urls)
    upstreams["alone"] = pair(faults.url("alone"), attempts=3)
    upstreams["outage"] = pair(*urls, budget="20%")
    upstreams["outage"]["balance"] = "p2c"
    upstreams["late"] = pair(*urls, attempts=5)
    upstreams["many"] = pair(*urls, attempts=5, budget="100%")
    routes = [route(name, f"/{name}/*", upstream=name) for name in upstreams if name != "late"]
    routes.append(route("late", "/late/*", upstream="late", timeouts={"total": "500ms"}))
    config = {"upstreams": upstreams, "routes": routes}
    one = Gateway(tmp_path_factory.mktemp("retries"), written_out(config)).start()
    with nothing_left(one):
        yield one
    one.stop()


@pytest.fixture(autouse=True)
def healed(faults: FaultProcess) -> Iterator[None]:
    yield
    for name in ("bad", "good", "alone"):
        faults.tell(name, "ok")


@pytest.mark.parametrize("fault", FAULTS)
def test_each_word_stands_for_its_failures_and_no_other(
    fault: str, gateway: Gateway, faults: FaultProcess
) -> None:
    keys, words, status = FAULTS[fault]
    faults.tell("bad", **keys)
    before = gateway.metrics()
    for word in (*WORDS, "all"):
        name = f"{fault}-{word}"
        with gateway.client() as client:
            answer = client.get(f"/{name}/x")
        entry = gateway.journal.of(answer.get("X-Request-Id"))
        again = word in words or (word == "all" and bool(words))
        assert answer.status == (200 if again else status), name
        assert entry["attempts"] == (2 if again else 1), name
        target = "good" if again else "bad"
        assert entry["target"] == faults.addresses[target], name
        assert entry["upstream"] == name
        if again:
            assert answer.get("X-Target") == "good"
        counted = gateway.metrics().sum("fastgw_retries_total", upstream=name)
        assert counted - before.sum("fastgw_retries_total", upstream=name) == again, name


@pytest.mark.parametrize("fault", FAULTS)
def test_what_may_happen_once_is_sent_once(fault: str, gateway: Gateway, faults: FaultProcess) -> None:
    """Where nothing of it was sent, it was not."""
    keys, words, status = FAULTS[fault]
    faults.tell("bad", **keys)
    met = meets(faults, "good")
    again = "connect" in words
    found = one_get(gateway, f"/{fault}-unsafe/x", method="POST", body=b"once")
    assert (found.status, found.target) == ((200, "good") if again else (status, found.target))
    assert meets(faults, "good") - met == again


BODIES: dict[str, tuple[bytes, bytes, bool]] = {  # method, body, whether it is held to its end
    "small": (b"PUT", b"small", True),
    "most": (b"PUT", b"m" * 65536, True),
    "above": (b"PUT", b"a" * 65537, False),
    "large": (b"PUT", b"l" * 400_000, False),
    "chunked": (b"PUT", b"c" * 40_000, True),
    "chunked-large": (b"PUT", b"C" * 100_000, False),
    "delete": (b"DELETE", b"", True),
    "head": (b"HEAD", b"", True),
    "post": (b"POST", b"p" * 100, False),
    "patch": (b"PATCH", b"p" * 100, False),
}


def read_and_die(exchange: Exchange) -> None:
    exchange.read_body()
    exchange.reset()


@pytest.mark.parametrize("case", BODIES)
def test_a_body_is_replayed_whole_or_not_at_all(
    case: str, gateway: Gateway, first: Upstream, second: Upstream
) -> None:
    method, body, held = BODIES[case]
    first.default = read_and_die
    path = f"/body-{case}/x"
    if case.startswith("chunked"):
        pieces = [body[at : at + 9000] for at in range(0, len(body), 9000)]
        data = request(path, method="PUT", fields=["Transfer-Encoding: chunked"]) + scripts.chunked(pieces)
    else:
        data = request(path, method=method.decode(), body=body or None)
    with gateway.client() as client:
        client.send(data)
        answer = client.read(method.decode())
        if held:
            assert answer.status == 200
            if method != b"HEAD":
                assert answer.body == body
        else:
            entry = check_refusal(gateway, answer, 502, "upstream_reset")
            assert entry["attempts"] == 1
    assert first.one(path).body == body
    assert [one.body for one in second.find(path)] == ([body] if held else [])
    second.check()


def test_a_body_that_is_still_coming_goes_to_the_second_attempt(
    gateway: Gateway, first: Upstream, second: Upstream
) -> None:
    """The first one dies in the middle of it."""
    body = bytes(range(256)) * 100
    first.default = lambda exchange: exchange.reset()
    with gateway.client() as client:
        head = request("/slow-body/x", method="PUT", fields=[f"Content-Length: {len(body)}"])
        client.send(head + body[:10_000])
        second.one("/slow-body/x", complete=False)
        client.send(body[10_000:])
        answer = client.read()
    assert (answer.status, answer.body) == (200, body)
    assert second.one("/slow-body/x").body == body
    assert gateway.journal.of(answer.get("X-Request-Id"))["attempts"] == 2


def test_nothing_is_tried_again_after_an_interim_answer(
    gateway: Gateway, first: Upstream, second: Upstream
) -> None:
    """A part of it is with the client already."""

    def hints_and_dies(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(scripts.head(103, "Link: </style.css>; rel=preload", phrase="Early Hints"))
        exchange.stream.sock.shutdown(1)
        exchange.connection.wait_peer_closed()

    first.default = hints_and_dies
    with gateway.client() as client:
        answer = client.get("/interim/x")
        assert [one.status for one in answer.interim] == [103]
        assert answer.status == 502
    assert not second.find("/interim/x")


def test_retry_after_of_a_service_is_respected(gateway: Gateway, faults: FaultProcess) -> None:
    """Whoever asks for time is left alone for it, and served by others meanwhile."""
    faults.tell("bad", "status", status=503, retry_after=1)
    met, start = meets(faults, "bad"), time.monotonic()
    assert one_get(gateway, "/rests/x").target == "good"
    assert meets(faults, "bad") == met + 1
    faults.tell("bad", "ok")
    while (found := one_get(gateway, "/rests/x")).target != "bad":
        assert found.status == 200
        assert time.monotonic() - start < 3.0
    assert time.monotonic() - start >= 0.95
    # Where nobody else could take it, the client is told.
    faults.tell("alone", "status", status=503, retry_after=7)
    met = meets(faults, "alone")
    with gateway.client() as client:
        answer = client.get("/alone/x")
    assert (answer.status, answer.get("Retry-After")) == (503, "7")
    assert meets(faults, "alone") == met + 1


def test_attempts_are_counted_and_the_last_answer_is_given(gateway: Gateway, faults: FaultProcess) -> None:
    faults.tell("alone", "status", status=503)
    met = meets(faults, "alone")
    with gateway.client() as client:
        answer = client.get("/alone/counted")
    assert answer.status == 503
    assert meets(faults, "alone") == met + 3
    entry = gateway.journal.of(answer.get("X-Request-Id"))
    assert (entry["attempts"], entry["source"], entry["reason"]) == (3, "upstream", "ok")


def test_the_total_deadline_is_over_all_attempts(gateway: Gateway, faults: FaultProcess) -> None:
    for name in ("bad", "good"):
        faults.tell(name, "stall")
    with gateway.client() as client, takes(0.5):
        answer = client.get("/late/x")
    entry = check_refusal(gateway, answer, 504, "total_timeout")
    assert entry["attempts"] == 2


def test_a_budget_bounds_what_an_outage_costs(gateway: Gateway, faults: FaultProcess) -> None:
    """At most 1.25 attempts for a request, from 64 in flight on."""
    for name in ("bad", "good"):
        faults.tell(name, "status", status=503)
    met = meets(faults, "bad") + meets(faults, "good")
    found = ask_all(gateway, gets("/outage/x", 640), 64)
    assert statuses(found) == {503: 640}
    attempts = meets(faults, "bad") + meets(faults, "good") - met
    assert 640 < attempts <= 1.25 * 640, attempts
    metrics = gateway.metrics()
    assert metrics.sum("fastgw_retries_total", upstream="outage") == attempts - 640
    assert metrics.sum("fastgw_retries_refused_total", upstream="outage", why="budget") == 1280 - attempts


def test_nothing_unsafe_comes_twice_however_connections_are_cut(
    gateway: Gateway, faults: FaultProcess
) -> None:
    faults.restart_counts()
    for seed, name in enumerate(("bad", "good")):
        faults.tell(name, "cut", at="random", how=("close", "reset")[seed], share=0.2, seed=seed)
    methods = ("POST", "GET", "PATCH", "PUT", "POST", "DELETE")
    asks = []
    for number in range(2400):
        method = methods[number % len(methods)]
        body = b"x" * (number % 3000) if method in ("POST", "PATCH", "PUT") else None
        data = request(
            "/many/x", method=method, body=body, fields=[f"X-Test-Id: t{number}"]
        )
        asks.append((method, data))
    found = ask_all(gateway, asks, 12)
    assert len(found) == len(asks)
    deliveries = faults.counts("bad")["deliveries"]
    assert deliveries["ids"] == len(asks)
    assert set(deliveries["doubles"]) <= {"GET", "PUT", "DELETE"}, deliveries["examples"]
    assert deliveries["doubles"].get("GET"), "the cuts met nobody"
    assert set(statuses(found)) <= {200, 502, CUT}
    # A GET fails only where its answer had begun.
    wait_for(lambda: gateway.metrics().sum("fastgw_in_flight") == 0, what="nothing in flight")
    gateway.check_ledger()
    failed = gateway.journal.where(
        lambda entry: entry["path"] == "/many/x" and entry["method"] == "GET" and entry["status"] >= 500
    )
    assert not failed, failed[:3]


def test_a_dead_target_of_two_costs_no_client_anything(gateway: Gateway, faults: FaultProcess) -> None:
    """However few or many ask at a time: the budget is not spent on what succeeds."""
    for mode in ("refuse", "cut"):
        faults.tell("bad", mode)
        for width in (1, 4, 16):
            found = ask_all(gateway, gets("/rests/dead", 150), width)
            assert statuses(found) == {200: 150}, (mode, width)
            assert set(targets(found)) == {"good"}

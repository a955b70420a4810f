"""GET /api/upstreams and POST /api/upstreams/{name}/breaker on a running gateway of two workers: what is shown is what
happens, in every worker, for as long as was said (design sections 7 and 11)."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.outcome import check_refusal
from tests.integration.test_targets import Checked
from tests.support.client import request
from tests.support.config import Config, route, service
from tests.support.faults import FaultProcess, fault_process
from tests.support.gateway import Gateway
from tests.support.outage import (
    ask_all,
    came,
    gets,
    meets,
    one_get,
    said,
    state_of,
    statuses,
    targets,
    wait_said,
    written_out,
)
from tests.support.wire import Response, wait_for

WORKERS = 2
IDLE = {"idle_timeout": "300ms"}
BREAKER = {"failures": 3, "open_for": "20s", "max_open_for": "60s", "successes": 1}
HEALTH = {"interval": "250ms", "timeout": "250ms", "healthy_after": 1, "unhealthy_after": 2}
SINGLE = ("shown", "opened", "begun", "kept", "counted", "short", "reborn", "reloaded", "leaves")
JSON = {"Content-Type": "application/json"}


def config_of(faults: FaultProcess, checked: Checked, *without: str, **changed: Any) -> Config:
    def guarded(*urls: str | Config, **options: Any) -> Config:
        return service(*urls, connections=IDLE, breaker={**BREAKER, **changed}, **options)

    a, b = faults.url("a"), faults.url("b")
    upstreams = {name: guarded(faults.url(name)) for name in SINGLE if name not in without}
    upstreams["pair"] = guarded({"url": a, "weight": 2}, b, balance="round_robin")
    upstreams["checked"] = service(checked.upstream.url, faults.url("b"), connections=IDLE, health=HEALTH)
    upstreams["plain"] = service(a, connections=IDLE, balance="hash")
    routes = [route(name, f"/api-{name}/*", upstream=name) for name in upstreams]
    return written_out({"upstreams": upstreams, "routes": routes})


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultProcess]:
    names = ("a", "b", *SINGLE)
    with fault_process(*(part for name in names for part in ("--listen", f"{name}=127.0.0.1:0"))) as process:
        yield process


@pytest.fixture(scope="module")
def checked() -> Iterator[Checked]:
    one = Checked("one")
    yield one
    one.upstream.close()


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, faults: FaultProcess, checked: Checked
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("upstreams-api")
    one = Gateway(directory, config_of(faults, checked), workers=WORKERS).start()
    yield one
    one.check_ledger()
    one.stop()


def shown(gateway: Gateway, name: str) -> dict[str, Any]:
    status, body = gateway.admin("/api/upstreams")
    assert status == 200, body
    (found,) = [each for each in json.loads(body)["upstreams"] if each["name"] == name]
    return dict(found)


def wish(gateway: Gateway, name: str, told: object) -> tuple[int, dict[str, Any]]:
    status, body = gateway.admin(f"/api/upstreams/{name}/breaker", "POST", json.dumps(told).encode(), JSON)
    return status, dict(json.loads(body))


def force(gateway: Gateway, name: str, state: str, seconds: int = 0, target: str = "") -> dict[str, Any]:
    """Until every worker has told that it obeys."""
    told: dict[str, Any] = {"state": state}
    if seconds:
        told["for"] = f"{seconds}s"
    if target:
        told["target"] = target
    status, said_back = wish(gateway, name, told)
    assert status == 200, said_back
    wait_shown(gateway, name, state if state != "auto" else "", target)
    return said_back


def rows(gateway: Gateway, name: str, target: str = "") -> list[dict[str, Any]]:
    found = shown(gateway, name)
    if target:
        (found,) = [each for each in found["targets"] if each["target"] == target]
    return list(found["breaker"])


def wait_shown(gateway: Gateway, name: str, state: str, target: str = "") -> None:
    """Every worker is forced into this state; "": none is forced."""

    def all_so() -> bool:
        found = rows(gateway, name, target)
        return len(found) == WORKERS and all(
            (row["forced"] and row["state"] == state) if state else not row["forced"] for row in found
        )

    wait_for(all_so, 5.0, f"{name} {target} {state or 'left to itself'} in every worker", every=0.01)


def by_each_worker(gateway: Gateway, path: str) -> list[Response]:
    """One request on each of some connections, until every worker had several of them."""
    found: list[Response] = []
    met: dict[str, int] = {}
    while len(met) < WORKERS or min(met.values()) < 3:
        assert len(found) < 400, met
        with gateway.client() as client:
            found.append(client.get(path))
        worker = str(gateway.journal.of(found[-1].get("X-Request-Id"))["worker"])
        met[worker] = met.get(worker, 0) + 1
    return found


def troubles(gateway: Gateway, name: str) -> list[str]:
    """What the status says of an upstream that is not fully up."""
    return [line for line in gateway.status()["upstreams"] if line.startswith(f"{name}: ")]


def test_all_of_it_is_shown(gateway: Gateway, faults: FaultProcess) -> None:
    """In the document's order, before anybody asked for anything."""
    quiet = {"state": "closed", "cause": "", "since": None, "probe_at": None, "forced": False}
    pair = shown(gateway, "pair")
    assert pair["balance"] == "round_robin" and pair["forced"] is None
    assert sorted(row.pop("worker") for row in pair["breaker"]) == list(range(WORKERS))
    assert pair["breaker"] == [quiet] * WORKERS
    assert [(each["target"], each["url"], each["weight"]) for each in pair["targets"]] == [
        (faults.addresses["a"], faults.url("a"), 2),
        (faults.addresses["b"], faults.url("b"), 1),
    ]
    for each in pair["targets"]:
        assert (each["address"], each["healthy"], each["checked_at"]) == ("127.0.0.1", None, None)
        assert [row["state"] for row in each["breaker"]] == ["closed"] * WORKERS
    plain = shown(gateway, "plain")
    assert plain["balance"] == "hash" and plain["breaker"] is None and plain["targets"][0]["breaker"] is None
    assert not troubles(gateway, "pair")


def test_a_circuit_that_opened_is_shown_as_the_log_and_the_metrics_have_it(
    gateway: Gateway, faults: FaultProcess
) -> None:
    """In the worker that met the failures, not in the other one."""
    faults.tell("shown", "cut")
    before = time.time()
    with gateway.client() as client:
        for _ in range(3):
            answer = client.get("/api-shown/cut")
            assert answer.status == 502
        refused = check_refusal(gateway, client.get("/api-shown/refused"), 503, "breaker_open")
    worker = int(refused["worker"])
    wait_for(lambda: any(row["state"] == "open" for row in rows(gateway, "shown")), 3.0, "the row", every=0.01)
    found = {row["worker"]: row for row in rows(gateway, "shown")}
    mine, other = found[worker], found[1 - worker]
    assert other["state"] == "closed"
    assert mine["cause"] == "3 failures in a row, the last one upstream_reset" and not mine["forced"]
    assert before <= mine["since"] <= time.time()
    assert 17.9 <= mine["probe_at"] - mine["since"] <= 20.1
    wait_said(gateway, f"worker {worker}: upstream shown:", "circuit open", mine["cause"])
    metrics = gateway.metrics()
    labels = {"upstream": "shown", "target": "", "worker": str(worker)}
    assert metrics.sum("fastgw_breaker_state", **labels) == 2
    assert abs(metrics.sum("fastgw_breaker_next_probe_timestamp_seconds", **labels) - mine["probe_at"]) <= 1.0
    assert troubles(gateway, "shown") == [f"shown: breaker not closed in 1 of {WORKERS} workers"]
    # An operator who knows better lets everybody in at once; what was counted starts over.
    faults.tell("shown", "ok")
    force(gateway, "shown", "closed", 30)
    assert {answer.status for answer in by_each_worker(gateway, "/api-shown/again")} == {200}
    force(gateway, "shown", "auto")
    assert {row["state"] for row in rows(gateway, "shown")} == {"closed"}
    assert not troubles(gateway, "shown")


def test_forced_open_lets_nobody_in_until_it_is_left_to_itself(
    gateway: Gateway, faults: FaultProcess
) -> None:
    """The refusal says truly for how long, in every worker; afterwards one probe closes it."""
    before = time.time()
    answer = force(gateway, "opened", "open", 300)
    assert 300 <= answer.pop("until") - before <= 302
    assert answer == {"upstream": "opened", "target": None, "state": "open", "workers": WORKERS}
    for refused in by_each_worker(gateway, "/api-opened/x"):
        assert refused.status == 503
        assert 290 <= int(refused.get("Retry-After") or 0) <= 300
        assert json.loads(refused.body)["reason"] == "breaker_open"
    assert meets(faults, "opened") == 0
    found = shown(gateway, "opened")
    assert found["forced"]["state"] == "open"
    for row in found["breaker"]:
        assert (row["state"], row["forced"], row["cause"]) == ("open", True, "forced by an operator")
        assert abs(row["probe_at"] - found["forced"]["until"]) < 1.0
    assert state_of(gateway, "opened") == 2 * WORKERS
    counted = {"upstream": "opened", "to": "open", "cause": "forced"}
    assert gateway.metrics().sum("fastgw_breaker_transitions_total", **counted) == WORKERS
    wait_said(gateway, "control:", "opened", "forced open for 300 s", "api, 127.0.0.1")
    for worker in range(WORKERS):
        wait_said(gateway, f"worker {worker}: upstream opened:", "circuit open", "forced by an operator")
    force(gateway, "opened", "auto")
    assert shown(gateway, "opened")["forced"] is None
    wait_said(gateway, "control:", "opened", "left to itself", "api, 127.0.0.1")
    assert {one.status for one in by_each_worker(gateway, "/api-opened/x")} == {200}
    wait_for(lambda: state_of(gateway, "opened") == 0, 3.0, "closed in both", every=0.02)


def test_who_is_under_way_when_it_is_forced_is_answered(gateway: Gateway, faults: FaultProcess) -> None:
    faults.tell("begun", "delay", ms=400)
    with gateway.client() as client:
        client.send(request("/api-begun/under-way"))
        wait_for(lambda: meets(faults, "begun") == 1, 3.0, "the request")
        force(gateway, "begun", "open", 300)
        assert client.read().status == 200
        # The answer of before says nothing about now.
        assert came(client.get("/api-begun/next")).reason == "breaker_open"
    force(gateway, "begun", "auto")


def test_forced_closed_never_opens(gateway: Gateway, faults: FaultProcess) -> None:
    """However much fails; left to itself it opens again, by failures that came after that."""
    faults.tell("kept", "cut")
    force(gateway, "kept", "closed", 300)
    assert statuses(ask_all(gateway, gets("/api-kept/x", 40), 4)) == {502: 40}
    assert meets(faults, "kept") == 40
    assert shown(gateway, "kept")["forced"]["state"] == "closed"
    force(gateway, "kept", "auto")
    assert one_get(gateway, "/api-kept/x").status == 502
    found = ask_all(gateway, gets("/api-kept/x", 60), 8)
    assert statuses(found)[503] >= 40


def test_a_target_is_taken_out_and_put_back(gateway: Gateway, faults: FaultProcess) -> None:
    """The others serve all; with none left the upstream is refused, and its own circuit has nothing to do with it."""
    a, b = faults.addresses["a"], faults.addresses["b"]
    assert set(targets(ask_all(gateway, gets("/api-pair/x", 40), 4))) == {"a", "b"}
    force(gateway, "pair", "open", 300, a)
    assert targets(ask_all(gateway, gets("/api-pair/x", 60), 4)) == {"b": 60}
    assert [row["state"] for row in rows(gateway, "pair")] == ["closed"] * WORKERS
    assert [row["state"] for row in rows(gateway, "pair", b)] == ["closed"] * WORKERS
    assert state_of(gateway, "pair", a) == 2 * WORKERS
    assert troubles(gateway, "pair") == [f"pair: breaker of {a} not closed in {WORKERS} of {WORKERS} workers"]
    force(gateway, "pair", "open", 60, b)
    for refused in by_each_worker(gateway, "/api-pair/x"):
        check_refusal(gateway, refused, 503, "breaker_open")
        assert 50 <= int(refused.get("Retry-After") or 0) <= 60  # the first of them that comes back
    for label in (a, b):
        force(gateway, "pair", "auto", target=label)

    def both() -> bool:
        return set(targets(ask_all(gateway, gets("/api-pair/x", 30), 4))) == {"a", "b"}

    wait_for(both, 5.0, "both targets again")


WRONG: list[tuple[str, object, int, str]] = [
    ("nobody", {"state": "auto"}, 404, "nobody"),
    ("plain", {"state": "auto"}, 409, "breaker"),
    ("counted", {"state": "open", "for": "30s", "target": "127.0.0.1:1"}, 404, "127.0.0.1:1"),
    ("counted", {"state": "open"}, 422, "for"),
    ("counted", {"state": "closed"}, 422, "for"),
    ("counted", {"state": "open", "for": "999ms"}, 422, "1s"),
    ("counted", {"state": "open", "for": "25h"}, 422, "24h"),
    ("counted", {"state": "open", "for": 30}, 422, "for"),
    ("counted", {"state": "open", "for": "9" * 5000 + "s"}, 422, "for"),
    ("counted", {"state": "auto", "for": "30s"}, 422, "for"),
    ("counted", {"state": "half_open", "for": "30s"}, 422, "state"),
    ("counted", {"state": ["open"], "for": "30s"}, 422, "state"),
    ("counted", {"for": "30s"}, 422, "state"),
    ("counted", {"state": "open", "for": "30s", "target": ""}, 422, "target"),
    ("counted", {"state": "open", "for": "30s", "target": None}, 422, "target"),
    ("counted", {"state": "open", "for": "30s", "until": 5}, 422, "until"),
    ("counted", [], 422, "object"),
    ("counted", None, 422, "object"),
]


def test_a_wish_that_makes_no_sense_is_refused_and_changes_nothing(
    gateway: Gateway, faults: FaultProcess
) -> None:
    for name, told, status, word in WRONG:
        found, problem = wish(gateway, name, told)
        assert (found, problem["status"]) == (status, status), told
        assert word in problem["detail"].lower(), problem
        assert problem["reason"] and problem["type"].endswith(problem["reason"])
    whole = b'{"state": "open", "for": "30s"}'
    for method, body, fields, status in (
        ("POST", b"{", JSON, 400),
        ("POST", b"", JSON, 400),
        ("POST", whole, {"Content-Type": "text/plain"}, 415),
        ("POST", whole, {**JSON, "Origin": "https://foreign.example"}, 403),
        ("POST", whole, {**JSON, "Host": "foreign.example"}, 403),
        ("GET", None, {}, 405),
    ):
        found, answer = gateway.admin("/api/upstreams/counted/breaker", method, body, fields)
        assert found == status, (method, body, fields, answer)
    assert shown(gateway, "counted")["forced"] is None
    assert not said(gateway, "breaker of counted")
    assert {one.status for one in by_each_worker(gateway, "/api-counted/x")} == {200}


def test_it_expires(gateway: Gateway, faults: FaultProcess) -> None:
    """By itself, in every worker, with nobody there to ask; not earlier than was said."""
    begun = time.monotonic()
    force(gateway, "short", "open", 1)
    assert one_get(gateway, "/api-short/x").reason == "breaker_open"
    wait_shown(gateway, "short", "")
    assert 0.95 <= time.monotonic() - begun <= 2.5
    wait_for(lambda: shown(gateway, "short")["forced"] is None, 3.0, "control's own note of it", every=0.02)
    assert meets(faults, "short") == 0
    assert {one.status for one in by_each_worker(gateway, "/api-short/x")} == {200}
    for worker in range(WORKERS):
        wait_said(gateway, f"worker {worker}: upstream short:", "no longer forced")


def test_a_worker_that_is_born_meanwhile_obeys(gateway: Gateway, faults: FaultProcess) -> None:
    force(gateway, "reborn", "open", 300)
    gateway.check_ledger()  # lines of the last 10 ms die with a worker
    old = gateway.worker_pids()[0]
    os.kill(old, signal.SIGKILL)

    def another() -> bool:
        workers = gateway.status()["workers"]
        return len(workers) == WORKERS and all(each["pid"] != old and each["version"] for each in workers)

    wait_for(another, 10.0, "another worker", every=0.02)
    wait_shown(gateway, "reborn", "open")
    assert {one.status for one in by_each_worker(gateway, "/api-reborn/x")} == {503}
    assert meets(faults, "reborn") == 0
    force(gateway, "reborn", "auto")
    assert {one.status for one in by_each_worker(gateway, "/api-reborn/x")} == {200}


def test_a_reload_keeps_it_and_an_upstream_that_goes_takes_it_along(
    gateway: Gateway, faults: FaultProcess, checked: Checked
) -> None:
    """Other options of the breaker change nothing about it; the same name later is another upstream."""
    force(gateway, "reloaded", "open", 300)
    force(gateway, "leaves", "open", 300)
    gateway.reload(config_of(faults, checked, failures=7))
    for name in ("reloaded", "leaves"):
        wait_shown(gateway, name, "open")
        assert {one.status for one in by_each_worker(gateway, f"/api-{name}/x")} == {503}
    assert len(said(gateway, "upstream reloaded:", "forced by an operator")) == WORKERS
    gateway.reload(config_of(faults, checked, "leaves"))
    gateway.reload(config_of(faults, checked))
    assert shown(gateway, "leaves")["forced"] is None
    wait_shown(gateway, "leaves", "")
    assert {one.status for one in by_each_worker(gateway, "/api-leaves/x")} == {200}
    assert {one.status for one in by_each_worker(gateway, "/api-reloaded/x")} == {503}
    force(gateway, "reloaded", "auto")


def test_health_is_shown_with_its_cause(gateway: Gateway, checked: Checked) -> None:
    """As the log, the metric and the status say it."""
    label = checked.upstream.url.removeprefix("http://")

    def target() -> dict[str, Any]:
        (found,) = [each for each in shown(gateway, "checked")["targets"] if each["target"] == label]
        return dict(found)

    def metric() -> float:
        return gateway.metrics().sum("fastgw_target_healthy", upstream="checked", target=label)

    wait_for(lambda: target()["checked_at"], 5.0, "a check", every=0.02)
    assert target()["healthy"] is True
    begun = time.time()
    checked.healthy = False
    wait_for(lambda: target()["healthy"] is False, 5.0, "the target to be out", every=0.02)
    found = target()
    assert "503" in found["cause"]
    assert begun <= found["changed_at"] <= found["checked_at"] <= time.time()
    wait_said(gateway, "control:", label, "checked", "unhealthy", found["cause"])
    wait_for(lambda: metric() == 0, 3.0, "the metric of both", every=0.02)
    assert troubles(gateway, "checked") == ["checked: 1 of 2 targets unhealthy"]
    assert targets(ask_all(gateway, gets("/api-checked/x", 20), 4)) == {"b": 20}
    checked.healthy = True
    wait_for(lambda: target()["healthy"] is True, 5.0, "the target to be in", every=0.02)
    wait_for(lambda: metric() == WORKERS, 3.0, "the metric of both", every=0.02)
    assert not troubles(gateway, "checked")

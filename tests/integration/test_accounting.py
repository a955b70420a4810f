"""Every exchange is accounted exactly once, with the same reason everywhere. (Each fixture also balances
its ledger.)"""

from __future__ import annotations

import datetime

import pytest

from tests.support import scripts
from tests.support.client import request
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.wire import wait_for

KEYS = {
    "ts", "request_id", "trace_id", "client", "method", "host", "path", "route", "consumer", "status",
    "reason", "rule", "source", "bytes_in", "bytes_out", "duration_ms", "gateway_ms", "upstream_ms",
    "upstream", "target", "attempts", "cache", "limit", "version", "worker",
}  # fmt: skip


def counter(gateway: Gateway, name: str, **labels: str) -> float:
    return gateway.metrics().sum(name, **labels)


def test_a_log_line_says_everything(gateway: Gateway, upstream: Upstream) -> None:
    path = upstream.script(scripts.answer(scripts.message(b"y" * 2000, 201)))
    with gateway.client() as client:
        answer = client.get(
            f"{path}?secret=1", method="POST", body=b"x" * 1000, fields=["Authorization: Bearer hush"]
        )
    entry = gateway.journal.of(answer.get("X-Request-Id"))
    assert set(entry) == KEYS
    expected = {
        "client": "127.0.0.1",
        "method": "POST",
        "host": "test.example",
        "path": path,
        "route": "all",
        "status": 201,
        "reason": "ok",
        "source": "upstream",
        "upstream": "main",
        "attempts": 1,
        "version": 1,
        "worker": 0,
    }
    assert {key: entry[key] for key in expected} == expected
    assert str(upstream.port) in entry["target"]
    assert 1000 <= entry["bytes_in"] < 2000
    assert 2000 <= entry["bytes_out"] < 3000
    assert 0 <= entry["gateway_ms"] <= entry["duration_ms"]
    assert 0 < entry["upstream_ms"] <= entry["duration_ms"]
    line = gateway.log_path.read_text()
    assert "secret" not in line and "hush" not in line
    stamp = datetime.datetime.fromisoformat(entry["ts"].replace("Z", "+00:00"))
    assert abs((datetime.datetime.now(datetime.UTC) - stamp).total_seconds()) < 60


def test_the_gateways_own_time_is_what_is_left(gateway: Gateway, upstream: Upstream) -> None:
    """Its share is measured, not what rounding leaves: reading, routing and writing take some microseconds at least."""
    entries = []
    with gateway.client() as client:
        for _ in range(5):
            got = client.get(upstream.script(scripts.answer(scripts.message(b"y"))))
            entries.append(gateway.journal.of(got.get("X-Request-Id")))
    for entry in entries:
        assert abs(entry["duration_ms"] - entry["gateway_ms"] - entry["upstream_ms"]) <= 0.002
    assert max(entry["gateway_ms"] for entry in entries) > 0.005


def test_a_log_line_comes_soon(gateway: Gateway) -> None:
    """At least every 10 ms; ten times that here, for a busy machine."""
    with gateway.client() as client:
        client.get("/log-soon")
        wait_for(
            lambda: gateway.journal.where(lambda e: e["path"] == "/log-soon"), 0.3, "the line", every=0.001
        )


def test_exchanges_are_counted_by_route_method_code_and_source(gateway: Gateway, upstream: Upstream) -> None:
    wanted = [
        (
            "fastgw_requests_total",
            {"route": "all", "method": "GET", "code": "200", "source": "upstream"},
            "GET",
            "/count",
        ),
        (
            "fastgw_requests_total",
            {"route": "gone", "method": "POST", "code": "410", "source": "gateway"},
            "POST",
            "/gone",
        ),
        (
            "fastgw_requests_total",
            {"route": "dead", "method": "GET", "code": "502", "source": "gateway"},
            "GET",
            "/dead/c",
        ),
    ]
    with gateway.client() as client:
        for name, labels, method, path in wanted:
            before = counter(gateway, name, **labels)
            for _ in range(3):
                client.get(path, method=method)
            wait_for(
                lambda n=name, la=labels, b=before: counter(gateway, n, **la) == b + 3, what=f"3 of {labels}"
            )


def test_ok_is_no_rejection_and_upstream_errors_neither(gateway: Gateway, upstream: Upstream) -> None:
    path = upstream.script(scripts.answer(scripts.message(b"", 500)))
    before = counter(gateway, "fastgw_rejections_total")
    with gateway.client() as client:
        client.get("/no-rejection")
        client.get(path)
        client.get("/gone")
    assert counter(gateway, "fastgw_rejections_total") == before
    assert not gateway.metrics().select("fastgw_rejections_total", reason="ok")


def test_histograms_count_what_the_counters_count(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.get("/histogram")
    wait_for(lambda: gateway.journal.where(lambda e: e["path"] == "/histogram"), what="the line")
    metrics = gateway.metrics()
    for route in {one.labels["route"] for one in metrics.select("fastgw_requests_total")}:
        total = metrics.sum("fastgw_requests_total", route=route)
        for name in ("fastgw_request_duration_seconds", "fastgw_gateway_duration_seconds"):
            assert metrics.sum(f"{name}_count", route=route) == total, (name, route)
            assert metrics.sum(f"{name}_bucket", route=route, le="+Inf") == total, (name, route)
    for one in metrics.select("fastgw_upstream_duration_seconds_count", upstream="main"):
        assert one.value > 0


@pytest.mark.parametrize("method", ["BREW", "M-SEARCH"])
def test_unknown_methods_fold_into_one_label(method: str, gateway: Gateway) -> None:
    with gateway.client() as client:
        client.get("/fold", method=method)
    wait_for(lambda: gateway.journal.where(lambda e: e["path"] == "/fold"), what="the line")
    methods = {one.labels["method"] for one in gateway.metrics().select("fastgw_requests_total")}
    assert method not in methods


def test_labels_never_hold_a_path_or_a_host(gateway: Gateway) -> None:
    with gateway.client() as client:
        client.get("/label-x/secret", host="label-host.example")
        client.send(b"GET /label-bad HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        client.read()
    text = gateway.admin("/metrics")[1]
    assert b"label-x" not in text and b"label-host" not in text and b"label-bad" not in text


def test_gauges_return_to_zero(gateway: Gateway, upstream: Upstream) -> None:
    path = upstream.script(scripts.stall())
    clients = [gateway.client() for _ in range(5)]
    for client in clients:
        client.send(request(path))
    upstream.wait(lambda: len(upstream.find(path)) == 5)
    wait_for(lambda: counter(gateway, "fastgw_in_flight") >= 5, what="five in flight", every=0.02)
    wait_for(
        lambda: counter(gateway, "fastgw_upstream_in_flight", upstream="main") >= 5, what="five", every=0.02
    )
    for client in clients:
        client.close()
    wait_for(lambda: counter(gateway, "fastgw_in_flight") == 0, what="none in flight", every=0.02)
    wait_for(
        lambda: counter(gateway, "fastgw_upstream_in_flight") == 0, what="none at the upstream", every=0.02
    )
    wait_for(lambda: counter(gateway, "fastgw_connections") == 0, what="no connection", every=0.02)


def test_pipelined_refused_and_aborted_ones_are_all_there(gateway: Gateway, upstream: Upstream) -> None:
    stalled = upstream.script(scripts.stall())
    before = len(gateway.journal.refresh())
    with gateway.client() as client:
        client.send(request("/acc1") + request("/gone") + b"GET /acc2 HTTP/1.1\r\n\r\n")
        assert [client.read().status for _ in range(3)] == [200, 410, 400]
    client = gateway.client()
    client.send(request(stalled))
    upstream.one(stalled)
    client.reset()
    wait_for(lambda: len(gateway.journal.refresh()) >= before + 4, what="four lines")
    assert [entry["reason"] for entry in gateway.journal.entries[before:]] == [
        "ok",
        "ok",
        "bad_request",
        "client_closed",
    ]


def test_reasons_of_upstream_and_gateway_errors_are_told_apart(gateway: Gateway, upstream: Upstream) -> None:
    """A 502 that the upstream made is its own: reason ok, source upstream, no problem document, no
    Proxy-Status."""
    path = upstream.script(scripts.answer(scripts.message(b"mine", 502)))
    with gateway.client() as client:
        answer = client.get(path)
    assert (answer.status, answer.body) == (502, b"mine")
    entry = gateway.journal.of(answer.get("X-Request-Id"))
    assert (entry["reason"], entry["source"]) == ("ok", "upstream")


def test_a_path_in_the_log_is_one_line_whatever_is_in_it(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.get("/log%22quote%0Aline", host="test.example")
    assert gateway.journal.of(answer.get("X-Request-Id"))["path"].startswith("/log%22quote%0Aline")

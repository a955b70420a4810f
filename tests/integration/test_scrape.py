"""/metrics and the overview of a real gateway: read from shared memory, whatever its workers are at."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from itertools import product

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.support.client import Client, request
from tests.support.config import route
from tests.support.gateway import Gateway
from tests.support.wire import wait_for

REPLY = {"status": 200, "body": "{}", "content_type": "application/json"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two workers that answer by themselves."""
    config = {"routes": [route("here", "/here/*", reply=REPLY)]}
    one = Gateway(tmp_path_factory.mktemp("scraped"), config, workers=2).start()
    yield one
    assert one.stop() == 0


def ask(gateway: Gateway, path: str = "/here/x", **options: str) -> int:
    with Client(gateway.address) as client:
        client.send(request(path, **options))
        return client.read().status


def test_it_answers_while_no_worker_can(gateway: Gateway) -> None:
    """Every worker stands still, and what they have counted is there all the same."""
    assert ask(gateway) == 200
    before = gateway.metrics().sum("fastgw_requests_total", route="here")
    pids = gateway.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert gateway.metrics().sum("fastgw_requests_total", route="here") == before
        assert gateway.admin("/api/overview")[0] == 200
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert gateway.worker_pids() == pids


def test_it_shows_an_exchange_as_soon_as_it_is_over(gateway: Gateway) -> None:
    for _ in range(5):
        before = gateway.metrics().sum("fastgw_requests_total", route="here")
        assert ask(gateway) == 200
        wait_for(
            lambda before=before: gateway.metrics().sum("fastgw_requests_total", route="here") == before + 1,
            1.0,
            "the exchange in the metrics",
            every=0.005,
        )


def test_what_clients_make_up_makes_no_series(gateway: Gateway) -> None:
    """Methods, hosts, paths and queries: 200 of each request are as many as two."""
    for base in ("/here", "/nowhere"):
        with Client(gateway.address) as client:
            for number, (method, host) in enumerate(product(range(10), range(10))):
                client.send(
                    request(f"{base}/{number}?q={number}", method=f"M{method}", host=f"h{host}.example")
                )
                client.read()
    labels = [one.labels for one in gateway.metrics().select("fastgw_requests_total")]
    assert {one["method"] for one in labels} - {"GET"} == {"other"}  # GET is what the other tests ask with
    assert {one["route"] for one in labels} == {"here", "-"}
    assert len(labels) <= 3


def test_openmetrics_of_a_real_gateway(gateway: Gateway) -> None:
    code, body = gateway.admin("/metrics", fields={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert code == 200
    families = {family.name: family for family in parse_openmetrics(body.decode())}
    assert families["fastgw_ready"].samples[0].value == 1
    assert len(families["fastgw_worker_heartbeats"].samples) == 2


def test_the_overview_moves(gateway: Gateway) -> None:
    def seen() -> bool:
        assert ask(gateway) == 200
        overview = json.loads(gateway.admin("/api/overview")[1])
        return any(row["route"] == "here" and row["requests_s"] > 0 for row in overview["routes"])

    wait_for(seen, 10.0, "a rate in the overview", every=0.1)

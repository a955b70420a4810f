"""How long to search: a moment in the suite, FASTGW_FUZZ_SECONDS per test under `make fuzz`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.support.config import route, service
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

EXAMPLES = 250
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@pytest.fixture(scope="package")
def upstream() -> Iterator[Upstream]:
    one = Upstream()
    yield one
    one.close()


@pytest.fixture(scope="package")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    """Each route says its name to the upstream, so that what was matched stands beside what was forwarded."""

    def named(name: str, path: str, **match: Any) -> dict[str, Any]:
        return route(name, path, match=match, rewrite={"request_headers": {"set": {"X-Route": name}}})

    config = {
        "upstreams": {"main": service(upstream.url)},
        "routes": [
            named("rest", "/*"),
            named("admin", "/admin/*"),
            named("admin-exact", "/admin/exact"),
            named("public", "/public/*"),
            named("public-item", "/public/{id}/item"),
            named("other-host", "/*", hosts=["other.example"]),
            named("deletes", "/admin/*", methods=["DELETE"]),
        ],
    }
    one = Gateway(tmp_path_factory.mktemp("fuzz"), config).start()
    worker = one.worker_pids()
    yield one
    assert one.worker_pids() == worker, "a worker did not survive"
    one.check_ledger()
    one.stop()


@pytest.fixture(scope="session")
def search() -> Callable[[SearchStrategy[Any], Callable[[Any], None]], None]:
    """Run a property: the same examples each time in the suite, ever new ones for a given time under `make
    fuzz`."""
    seconds = float(os.environ.get("FASTGW_FUZZ_SECONDS", "0"))

    def run(strategy: SearchStrategy[Any], check: Callable[[Any], None]) -> None:
        if not seconds:
            fixed = settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=QUIET,
            )
            fixed(given(strategy)(check))()
            return
        end = time.monotonic() + seconds
        number = int(time.time())
        while time.monotonic() < end:
            number += 1
            fresh = settings(max_examples=2000, deadline=None, database=None, suppress_health_check=QUIET)
            seed(number)(fresh(given(strategy)(check)))()

    return run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seconds = float(os.environ.get("FASTGW_FUZZ_SECONDS", "0"))
    for item in items:
        if seconds and "/fuzz/" in str(item.path):
            item.add_marker(pytest.mark.timeout(seconds + 300))

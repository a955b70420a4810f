"""One gateway with one worker before one scripted upstream, for the whole corpus."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import corpus
from tests.support.config import route, simple
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream


@pytest.fixture(scope="package")
def upstream() -> Iterator[Upstream]:
    one = Upstream()
    yield one
    one.close()


@pytest.fixture(scope="package")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    config = simple(upstream.url)
    config["routes"].append(route("small", "/small/*", max_body="1KB"))
    one = Gateway(tmp_path_factory.mktemp("wire"), config).start()
    worker = one.worker_pids()
    yield one
    assert one.worker_pids() == worker, "a worker did not survive the corpus"
    one.check_ledger()
    one.stop()


@pytest.fixture(autouse=True)
def nothing_malformed_forwarded(upstream: Upstream) -> Iterator[None]:
    yield
    upstream.check()


@pytest.fixture(scope="session")
def marks() -> Iterator[str]:
    return corpus.marks()

"""The admin API of a running gateway: what its description promises, held to it by schemathesis; and what publishing does
to the traffic of workers (design section 11)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.config import route, service
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

JSON = {"Content-Type": "application/json"}
ANY = {**JSON, "If-Match": "*"}

# A description cannot say all that makes a document right, so what fits its schema may be refused (the first). A
# precondition that is missing has its own status, and one that is not met comes before what is in the body.
RULES = """\
[checks]
positive_data_acceptance.enabled = false
missing_required_header.expected-statuses = [428]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428]
"""
# Every branch of the schemas of these is 2,000 documents, which `make fuzz` tries; here some at random must do.
LARGE = """\
[[operations]]
include-method = "PUT"
phases.coverage.enabled = false
"""
LONG = "FASTGW_FUZZ_SECONDS" in os.environ


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    breaker = {"failures": 3}
    config = {
        "upstreams": {"orders": service(upstream.url, breaker=breaker), "other": service(upstream.url)},
        "routes": [route("orders", "/orders/*", upstream="orders")],
        "consumers": [{"name": "orders", "keys": ["sha256:" + "0" * 64]}],
    }
    one = Gateway(tmp_path_factory.mktemp("admin"), config, workers=2).start()
    yield one
    one.check_ledger()
    one.stop()


def one_get(gateway: Gateway, path: str) -> int:
    with gateway.client() as client:
        return client.get(path).status


def change(gateway: Gateway, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    status, answer = gateway.admin(path, method, None if body is None else json.dumps(body).encode(), ANY)
    return status, json.loads(answer)


def test_a_route_is_there_as_soon_as_every_worker_has_it(admin: Gateway) -> None:
    body = {"match": {"path": "/new"}, "reply": {"status": 418}}
    for number in range(3):
        name = f"new{number}"
        body["match"] = {"path": f"/new{number}"}
        status, outcome = change(admin, "PUT", f"/api/routes/{name}?wait=10s", body)
        assert (status, outcome["workers"]) == (201, {"serving": 2, "of": 2})
        # Each connection may come to another worker.
        assert {one_get(admin, f"/new{number}") for _ in range(8)} == {418}
        status, outcome = change(admin, "DELETE", f"/api/routes/{name}?wait=10s")
        assert (status, outcome["workers"]) == (200, {"serving": 2, "of": 2})
        assert {one_get(admin, f"/new{number}") for _ in range(8)} == {404}
    assert {each["version"] for each in admin.status()["workers"]} == {outcome["version"]}


def test_what_was_published_is_served_after_a_restart_too(make_gateway: Callable[..., Gateway]) -> None:
    """The file has not changed, so it does not undo what came after it."""
    one = make_gateway({"routes": []})
    change(one, "PUT", "/api/routes/kept?wait=10s", {"match": {"path": "/kept"}, "reply": {"status": 418}})
    version = one.status()["version"]
    one.stop()
    one.run()
    one.wait_ready()
    assert one.status()["version"] == version
    assert one_get(one, "/kept") == 418
    one.stop()


@pytest.mark.timeout(3600 if LONG else 60)
def test_the_api_keeps_what_its_description_promises(admin: Gateway, tmp_path: Path) -> None:
    rules = tmp_path / "schemathesis.toml"
    rules.write_text(RULES if LONG else RULES + LARGE)
    done = subprocess.run(
        [
            sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "--config-file", str(rules), "run",
            f"http://127.0.0.1:{admin.admin_port}/api/openapi.json",
            "--exclude-path", "/api/tail",  # would not end
            "--phases", "coverage,fuzzing", "--max-examples", "200" if LONG else "3", "--generation-database", "none",
            "--no-color", *(() if LONG else ("--seed", "1")),
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Traceback" not in admin.stderr()
    assert "internal error" not in admin.stderr()

"""Gateways that many tests share. A test that harms its gateway makes one of its own with `make_gateway`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.config import route, service
from tests.support.gateway import Gateway, free_port
from tests.support.upstream import Upstream

# An address of loopback that the gateway trusts; the tests speak from 127.0.0.1 unless they say so.
TRUSTED = "127.0.0.9"


@pytest.fixture(scope="package")
def upstream() -> Iterator[Upstream]:
    one = Upstream()
    yield one
    one.close()


@pytest.fixture(scope="package")
def unix_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    one = Upstream(str(tmp_path_factory.mktemp("unix") / "u.sock"))
    yield one
    one.close()


@pytest.fixture(scope="package")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, unix_upstream: Upstream
) -> Iterator[Gateway]:
    """Defaults everywhere, one worker, one route for each thing that a route can be."""
    directory = tmp_path_factory.mktemp("plain")
    narrow = {"max": 1, "idle": 1, "queue": 1, "queue_timeout": "250ms"}
    config = {
        "trusted_proxies": [f"{TRUSTED}/32"],
        "upstreams": {
            "main": service(upstream.url),
            "own-name": service(upstream.url, preserve_host=False),
            "unix": service(unix_upstream.url),
            "dead": service(f"http://127.0.0.1:{free_port()}"),
            "narrow": service(upstream.url, connections=narrow),
        },
        "routes": [
            route("all"),
            route("small", "/small/*", max_body="1KB"),
            route("own-name", "/own-name/*", upstream="own-name"),
            route("unix", "/unix/*", upstream="unix"),
            route("dead", "/dead/*", upstream="dead"),
            route("narrow", match={"hosts": ["narrow.example"]}, upstream="narrow"),
            route("few", match={"hosts": ["few.example"]}, max_in_flight=1),
            route(
                "gone",
                "/gone",
                reply={"status": 410, "body": '{"gone": true}', "content_type": "application/json"},
            ),
            route("only-get", match={"hosts": ["only-get.example"], "methods": ["GET"]}),
            route(
                "rewritten",
                "/orders/*",
                rewrite={
                    "path": {"strip_prefix": "/orders", "add_prefix": "/v2"},
                    "request_headers": {"set": {"X-Gateway": "fastgw"}, "remove": ["x-debug"]},
                    "response_headers": {"set": {"X-Served-By": "fastgw"}, "remove": ["server"]},
                },
            ),
        ],
    }
    socket_path = str(directory / "front.sock")
    one = Gateway(directory, config, unix_listener=socket_path).start()
    yield one
    one.check_ledger()
    one.stop()


@pytest.fixture(scope="package")
def hasty(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    """Every deadline is a fraction of a second."""
    short = {"connect": "300ms", "response": "400ms", "idle": "400ms"}
    config = {
        "server": {
            "header_timeout": "400ms",
            "body_timeout": "400ms",
            "send_timeout": "600ms",
            "keepalive_timeout": "500ms",
        },
        "upstreams": {
            "main": service(upstream.url, timeouts=short, connections={"idle_timeout": "400ms"}),
            "patient": service(upstream.url),
        },
        "routes": [
            route("all"),
            route(
                "total",
                match={"hosts": ["total.example"]},
                upstream="patient",
                timeouts={"total": "600ms", "connect": "500ms"},
            ),
            route("patient", match={"hosts": ["patient.example"]}, upstream="patient"),
        ],
    }
    one = Gateway(tmp_path_factory.mktemp("hasty"), config).start()
    yield one
    one.check_ledger()
    one.stop()


@pytest.fixture
def make_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Gateways that the test stops itself; what is left at the end is killed."""
    made: list[Gateway] = []

    def make(config: dict[str, Any], start: bool = True, **options: Any) -> Gateway:
        directory = tmp_path / f"gateway{len(made)}"
        directory.mkdir()
        one = Gateway(directory, config, **options)
        made.append(one)
        return one.start() if start else one

    yield make
    for one in made:
        if one.process is not None:
            one.kill_all()


@pytest.fixture(autouse=True)
def nothing_malformed_forwarded(upstream: Upstream, unix_upstream: Upstream) -> Iterator[None]:
    yield
    upstream.check()
    unix_upstream.check()

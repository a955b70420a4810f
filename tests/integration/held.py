"""Exchanges that are held at the store until a test lets them go: the document, and a client that waits."""

from __future__ import annotations

from typing import Any

from tests.support.client import Client
from tests.support.config import route, service
from tests.support.faulty_store import FaultyStore
from tests.support.gateway import Gateway
from tests.support.limits import limit
from tests.support.upstream import Upstream


def config_of(
    store: FaultyStore, upstream: Upstream, timeout: str = "1s", on_error: str = "deny"
) -> dict[str, Any]:
    """The longest timeout there is. Who waits longer is denied, and so is seen."""
    many = limit("many", "header:X-Caller", "1/h", 1000, on_error=on_error)
    return {
        "redis": {"url": store.url, "timeout": timeout},
        "server": {  # none of these clocks may run while the gateway itself is what is waited for
            "header_timeout": "400ms",
            "body_timeout": "400ms",
            "keepalive_timeout": "400ms",
            "max_body": "64MB",
        },
        "upstreams": {"main": service(upstream.url, timeouts={"connect": "10s"})},
        "routes": [
            route("all", limits=[many]),
            route("once", "/once/*", limits=[limit("once", "header:X-Caller", burst=1)]),
            route("free", "/free/*"),
        ],
    }


def waiting(gateway: Gateway, store: FaultyStore, data: bytes, **options: Any) -> Client:
    """A client whose request is with the store now. The second one of a test waits for the first one's answer."""
    asked = store.decisions()
    client = gateway.client(**options)
    client.send(data)
    store.wait_asked(asked)
    return client

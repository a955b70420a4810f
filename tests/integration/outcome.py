"""What a failure must show: the same reason in the reply, the log and the metric; how long it takes; a closed port."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.gateway import Gateway
from tests.support.wire import Response, wait_for

SLACK = 1.0  # how late a deadline may be: a tick, and a busy machine


def check_refusal(gateway: Gateway, response: Response, status: int, reason: str) -> dict[str, Any]:
    """Problem document, Proxy-Status and log line agree; returns the log line."""
    assert response.status == status, response.body[:500]
    assert (response.get("Content-Type") or "").startswith("application/problem+json")
    problem = json.loads(response.body)
    assert problem["reason"] == reason
    assert problem["status"] == status
    assert problem["title"] and problem["detail"] and problem["type"].rstrip("/").endswith(reason)
    request_id = response.get("X-Request-Id")
    assert problem["request_id"] == request_id
    proxy_status = response.get("Proxy-Status") or ""
    assert proxy_status.startswith("fastgw"), proxy_status
    assert reason in proxy_status
    if status == 503:
        assert int(response.get("Retry-After") or 0) >= 1
    entry = gateway.journal.of(request_id)
    assert (entry["status"], entry["reason"], entry["source"]) == (status, reason, "gateway")
    return entry


@contextmanager
def counted(gateway: Gateway, reason: str, count: int = 1) -> Iterator[None]:
    """fastgw_rejections_total of this reason grows by exactly `count` within the block."""

    def total() -> float:
        return gateway.metrics().sum("fastgw_rejections_total", reason=reason)

    before = total()
    yield
    wait_for(lambda: total() >= before + count, 3.0, f"{count} more {reason}", every=0.02)
    assert total() == before + count


@contextmanager
def takes(least: float, most: float | None = None) -> Iterator[None]:
    """The block lasts as long as a deadline says, give or take what a tick and a busy machine need."""
    start = time.monotonic()
    yield
    spent = time.monotonic() - start
    most = least + SLACK if most is None else most
    assert least - 0.02 <= spent <= most, f"{spent:.3f} s instead of {least} to {most}"


def refused(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False

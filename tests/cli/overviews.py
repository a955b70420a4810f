"""What GET /api/overview answers, for the tests of those who show it."""

from __future__ import annotations

from typing import Any


def point(requests: float = 1234.5) -> dict[str, Any]:
    return {
        "at": 999_998.0, "requests_s": requests, "refused_s": 2.5, "errors_s": 0.25, "p50_ms": 12.0, "p99_ms": 80.0,
        "own_p50_ms": 0.2, "own_p99_ms": 0.9, "upstream_p50_ms": 11.8, "upstream_p99_ms": None, "in_flight": 40,
        "connections": 300,
    }  # fmt: skip


def route(name: str, requests: float) -> dict[str, Any]:
    return {
        "route": name, "requests_s": requests, "refused_s": 0.0, "errors_s": requests / 100, "p50_ms": 10.0,
        "p99_ms": 250.0, "own_p99_ms": 0.8,
    }  # fmt: skip


OVERVIEW: dict[str, Any] = {
    "at": 1_000_000.0, "interval_s": 2.0, "version": 7, "truncated": False,
    "points": [point(100.0), point(50.0), point()],
    "routes": [route("orders", 1000.0), route("catalog", 200.5)],
    "upstreams": [{"upstream": "app", "requests_s": 1200.0, "p50_ms": 9.0, "p99_ms": 90.0, "retries_s": 0.5,
                   "in_flight": 38}],
    "reasons": [{"reason": "rate_limited", "route": "orders", "per_s": 2.5, "total": 77}],
    "limits": [{"route": "orders", "limit": "per-key", "admitted_s": 997.5, "refused_s": 2.5, "shadow_s": 0.0,
                "mode": {"redis": 2}}],
}  # fmt: skip

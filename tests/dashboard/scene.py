"""What a gateway in the middle of a working day would say of itself: the answers of its admin API as plain values.

Deterministic. No server lives here (fake_api.py), and no browser.
"""

from __future__ import annotations

import math
import random
from typing import Any

NOW = 1_764_000_000.0
MINUTES = 10
INTERVAL = 2.0


def overview(now: float, *, quiet: bool = False) -> dict[str, Any]:
    chance = random.Random(7)
    points = [] if quiet else [_point(now, index, chance) for index in range(int(MINUTES * 60 / INTERVAL))]
    return {
        "at": now,
        "interval_s": INTERVAL,
        "version": 7,
        "points": points,
        "routes": [] if quiet else ROUTES,
        "upstreams": [] if quiet else UPSTREAM_FIGURES,
        "reasons": [] if quiet else REASONS,
        "limits": [] if quiet else LIMITS,
        "truncated": False,
    }


def _point(now: float, index: int, chance: random.Random) -> dict[str, Any]:
    of = int(MINUTES * 60 / INTERVAL)
    wave = 1 + 0.22 * math.sin(index / 38) + 0.07 * math.sin(index / 7) + chance.uniform(-0.03, 0.03)
    requests = 1850 * wave
    storm = max(0.0, 1 - abs(index - 205) / 26)  # an upstream was in trouble, until its circuit opened
    upstream = 11 * wave * (1 + 5 * storm) + chance.uniform(0, 1.2)
    own = 0.21 * wave + chance.uniform(0, 0.02)
    return {
        "at": now - (of - index) * INTERVAL,
        "requests_s": round(requests, 1),
        "refused_s": round(38 + 60 * max(0.0, math.sin(index / 20)) + chance.uniform(0, 8), 1),
        "errors_s": round(2.1 + 190 * storm**2 + chance.uniform(0, 1.5), 1),
        "p50_ms": round(upstream * 0.42 + own, 2),
        "p99_ms": round(upstream * 4.2 + own * 2, 2),
        "own_p50_ms": round(own, 3),
        "own_p99_ms": round(own * 4.4 + storm * 0.4, 3),
        "upstream_p50_ms": round(upstream * 0.42, 2),
        "upstream_p99_ms": round(upstream * 4.2, 2),
        "in_flight": round(23 * wave * (1 + 3 * storm)),
        "connections": 412 + index % 9,
    }


def _route(name: str, rate: float, refused: float, errors: float, p50: float, p99: float) -> dict[str, Any]:
    return {
        "route": name, "requests_s": rate, "refused_s": refused, "errors_s": errors,
        "p50_ms": p50, "p99_ms": p99, "own_p99_ms": 0.9,
    }  # fmt: skip


ROUTES = [
    _route("orders", 912.4, 31.2, 0.4, 4.8, 46.1),
    _route("catalog", 640.1, 0, 0, 1.9, 12.4),
    _route("search", 221.7, 12.5, 1.7, 18.2, 240.5),
    _route("payments", 64.2, 4.1, 0, 31.0, 310.2),
    _route("maintenance", 0.3, 0, 0, 0.05, 0.11),
    _route("-", 2.2, 2.2, 0, 0.04, 0.1),  # what no route has matched
]

UPSTREAM_FIGURES = [
    {
        "upstream": "orders",
        "requests_s": 870.1,
        "p50_ms": 4.5,
        "p99_ms": 44.0,
        "retries_s": 0.3,
        "in_flight": 9,
    },
    {
        "upstream": "search",
        "requests_s": 209.0,
        "p50_ms": 17.8,
        "p99_ms": 238.1,
        "retries_s": 6.2,
        "in_flight": 12,
    },
    {
        "upstream": "catalog",
        "requests_s": 640.1,
        "p50_ms": 1.8,
        "p99_ms": 12.2,
        "retries_s": 0,
        "in_flight": 2,
    },
]

REASONS = [
    {"reason": "rate_limited", "route": "orders", "per_s": 28.7, "total": 18204},
    {"reason": "missing_credentials", "route": "search", "per_s": 12.5, "total": 9120},
    {"reason": "breaker_open", "route": "search", "per_s": 1.7, "total": 5310},
    {"reason": "response_timeout", "route": "search", "per_s": 0, "total": 214},
    {"reason": "invalid_credentials", "route": "payments", "per_s": 4.1, "total": 377},
    {"reason": "client_closed", "route": "orders", "per_s": 0.4, "total": 96},
]

LIMITS = [
    {
        "route": "orders",
        "limit": "per-consumer",
        "admitted_s": 881.2,
        "refused_s": 28.7,
        "shadow_s": 0,
        "mode": {"redis": 8800, "lease": 1200},
    },
    {
        "route": "-",
        "limit": "flood",
        "admitted_s": 1838.0,
        "refused_s": 0,
        "shadow_s": 0,
        "mode": {"lease": 9190, "local": 9190},
    },
    {
        "route": "payments",
        "limit": "writes",
        "admitted_s": 60.1,
        "refused_s": 0,
        "shadow_s": 3.2,
        "mode": {"redis": 633},
    },
]


def status(now: float) -> dict[str, Any]:
    return {
        "version": 7,
        "hash": "9f2c61d0ab53e7714c0de8842a1b7f63",
        "started_at": now - 93_000,
        "supervisor": {"pid": 4102},
        "workers": [_worker(index) for index in range(2)],
        "redis": {
            "url": "redis://limits.internal:6379", "embedded": None, "state": "up", "error": "", "instances": 2,
            "modes": ["redis", "redis"],
        },
        "upstreams": ["search: 1 of 2 targets unhealthy, breaker of 10.0.2.12:8080 not closed in 2 of 2 workers"],
        "control": {"pid": 4105, "age_s": 92_990, "restarts": 0, "rss_bytes": 71_303_168},
        "logger": {"pid": 4104, "restarts": 0, "lines_dropped": 0},
        "last_reload": None,
    }  # fmt: skip


def _worker(index: int) -> dict[str, Any]:
    return {
        "index": index, "pid": 4110 + index, "state": "serving", "version": 7, "age_s": 1860.0 + index,
        "uptime_s": 92_988.0, "connections": 203 + 9 * index, "in_flight": 11 + index,
        "loop_lag_ms": 0.4, "rss_bytes": 58_720_256 + index * 1_048_576, "respawns": 0,
    }  # fmt: skip


def _circuit(now: float, worker: int, state: str = "closed", cause: str = "") -> dict[str, Any]:
    cut = state != "closed"
    return {
        "worker": worker, "state": state, "cause": cause, "since": now - 41 if cut else None,
        "probe_at": now + 4 if cut else None, "forced": False,
    }  # fmt: skip


def _target(now: float, url: str, weight: int = 1, *, cause: str = "") -> dict[str, Any]:
    where = url.removeprefix("http://")
    circuit = ("open", "5 failures in a row: response_timeout") if cause else ("closed", "")
    return {
        "target": where, "url": url, "weight": weight, "address": None, "healthy": not cause,
        "cause": cause or "answered 200", "checked_at": now - 1, "changed_at": now - (41 if cause else 93_000),
        "breaker": [_circuit(now, worker, *circuit) for worker in range(2)], "forced": None,
    }  # fmt: skip


def upstreams(now: float) -> list[dict[str, Any]]:
    def upstream(name: str, balance: str, *targets: dict[str, Any], breaker: bool = True) -> dict[str, Any]:
        own = [_circuit(now, worker) for worker in range(2)] if breaker else None
        for each in targets:
            each["breaker"] = each["breaker"] if breaker else None
        return {"name": name, "balance": balance, "breaker": own, "forced": None, "targets": list(targets)}

    return [
        upstream("catalog", "round_robin", _target(now, "http://10.0.3.20:8080"), breaker=False),
        upstream(
            "orders", "p2c", _target(now, "http://10.0.1.11:8080"), _target(now, "http://10.0.1.12:8080", 2)
        ),
        upstream(
            "search",
            "least_requests",
            _target(now, "http://10.0.2.11:8080"),
            _target(now, "http://10.0.2.12:8080", cause="3 checks in a row: no answer in 1s"),
        ),
    ]


def versions(now: float) -> list[dict[str, Any]]:
    def version(
        number: int, ago: float, by: str, note: str, changes: dict[str, Any] | None
    ) -> dict[str, Any]:
        return {
            "version": number, "hash": f"{number:02x}c4e1d0ab53e7714c0d", "at": now - ago, "by": by, "note": note,
            "changes": changes,
        }  # fmt: skip

    def changes(added: list[str], changed: list[str], removed: list[str]) -> dict[str, Any]:
        total = len(added) + len(changed) + len(removed)
        return {"added": added, "changed": changed, "removed": removed, "total": total}

    return [
        version(1, 93_000, "start", "", None),
        version(
            2,
            81_400,
            "api, 10.0.0.8",
            "search gets a route",
            changes(["route:search", "upstream:search"], [], []),
        ),
        version(3, 60_200, "SIGHUP", "", changes([], ["route:orders"], [])),
        version(4, 22_000, "api, 10.0.0.8", "payments: 20/s a consumer", changes([], ["route:payments"], [])),
        version(
            5, 9_400, "api, 10.0.0.8", "canary 5 %", changes(["upstream:orders-next"], ["route:orders"], [])
        ),
        version(6, 430, "api, 10.0.0.8", "canary 25 %", changes([], ["route:orders"], [])),
        version(
            7,
            130,
            "api, 10.0.0.9",
            "canary off again",
            changes([], ["route:orders"], ["upstream:orders-next"]),
        ),
    ]


DIFFERENCE = {
    "added": [
        {"path": "upstreams.orders-next", "value": {"targets": ["http://10.0.1.21:8080"]}},
        {"path": "routes.orders.split", "value": {"orders": 75, "orders-next": 25}},
    ],
    "changed": [{"path": "routes.orders.limits.per-consumer.rate", "from": "1000/m", "to": "600/m"}],
    "removed": [{"path": "routes.orders.upstream", "value": "orders"}],
    "truncated": False,
}

EXPLANATION = {
    "request": "GET api.example.com/orders/7",
    "version": 7,
    "client": "203.0.113.9",
    "consumer": "mobile-app",
    "route": "orders",
    "match": {"hosts": ["api.example.com"], "path": "/orders/*", "methods": ["GET", "POST"], "headers": []},
    "others": [{"route": "orders-v2", "misses": ['it wants the header x-api-version to be "2"']}],
    "status": None,
    "reason": "ok",
    "source": "upstream",
    "rule": "",
    "detail": "",
    "upstream": "orders",
    "candidates": [{"upstream": "orders", "weight": 75}, {"upstream": "orders-next", "weight": 25}],
    "targets": [],
    "path": "/v2/7",
    "query": "",
    "headers": {"Host": "api.example.com", "X-Forwarded-For": "203.0.113.9", "X-Consumer": "mobile-app"},
    "chain": [
        {"policy": "ip_access", "verdict": "pass", "detail": ""},
        {"policy": "limits before auth", "verdict": "pass", "detail": "per-address"},
        {"policy": "auth", "verdict": "pass", "detail": "api_key of mobile-app"},
        {"policy": "limits after auth", "verdict": "pass", "detail": "per-consumer"},
        {"policy": "rewrite", "verdict": "pass", "detail": "/orders/7 becomes /v2/7"},
    ],
    "limits": [
        {
            "name": "per-address", "key": "client_ip", "value": "203.0.113.9", "rate": "100/s", "burst": 200,
            "phase": "before auth", "shadow": False,
        },
        {
            "name": "per-consumer", "key": "consumer", "value": "mobile-app", "rate": "1000/m", "burst": 100,
            "phase": "after auth", "shadow": False,
        },
    ],
    "cache": None,
}  # fmt: skip


def fleet(now: float) -> dict[str, Any]:
    def gateway(name: str, me: bool) -> dict[str, Any]:
        return {
            "instance": name, "id": name, "version": 7, "hash": "9f2c61d0ab53e7714c0de8842a1b7f63", "at": now,
            "workers": {"serving": 2, "of": 2}, "error": "", "me": me,
        }  # fmt: skip

    return {
        "instances": [gateway("edge-1", True), gateway("edge-2", False)],
        "store": {"kind": "redis", "up": True, "error": ""},
    }


def exchange(number: int, now: float, **more: Any) -> dict[str, Any]:
    """A line of the access log."""
    route, status_, reason, path, took = (
        ("orders", 200, "ok", f"/orders/{7000 + number}", 5.2),
        ("catalog", 200, "ok", f"/catalog/shoes/{number}", 1.7),
        ("search", 503, "breaker_open", "/search", 0.09),
        ("orders", 429, "rate_limited", "/orders", 0.4),
        ("catalog", 304, "ok", "/catalog/index", 1.1),
    )[number % 5]
    answered = reason == "ok"
    return {
        "ts": f"2026-11-24T12:00:{number % 60:02d}.{number * 37 % 1000:03d}Z",
        "request_id": f"{number:016x}",
        "trace_id": f"{number:032x}",
        "client": f"203.0.113.{number % 250}",
        "method": "GET" if number % 4 else "POST",
        "host": "api.example.com",
        "path": path,
        "route": route,
        "consumer": "mobile-app" if route == "orders" else None,
        "status": status_,
        "reason": reason,
        "rule": None if answered else "per-consumer" if status_ == 429 else "breaker",
        "source": "upstream" if answered else "gateway",
        "bytes_in": 0,
        "bytes_out": 512,
        "duration_ms": took,
        "gateway_ms": min(took, 0.2),
        "upstream_ms": took - 0.2 if answered else 0.0,
        "upstream": route if answered else None,
        "target": "10.0.1.11:8080" if answered else None,
        "attempts": int(answered),
        "cache": None,
        "limit": None,
        "version": 7,
        "worker": number % 2,
    } | more
